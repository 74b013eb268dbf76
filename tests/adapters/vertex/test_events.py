"""Pushes of Pub/Sub: tokens made by google-auth's own signer, log entries as Cloud Logging writes them."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import pytest
from google.auth import jwt

from fedreg.domain.errors import ConfigError, Forbidden, InvalidRequest, Unsupported
from fedreg.domain.models import RegistryEvent
from fedreg_adapters.vertex.adapter import VertexAdapter
from fedreg_adapters.vertex.events import METHODS
from fedreg_adapters.vertex.manifest import VertexOptions, narrow

from .backend import AUDIENCE, EMAIL, PARENT, VertexBackend, bearer, log_entry, push, signer


@pytest.mark.oracle("parse_event")
@pytest.mark.parametrize("method", sorted(METHODS))
async def test_a_token_of_google_auth(adapter: VertexAdapter, method: str) -> None:
    body = push(log_entry(method, f"{PARENT}/models/churn@2"))
    [event] = await adapter.parse_event(bearer(), body)
    assert (event.model, event.version, event.kind) == ("churn", "2", METHODS[method].value)
    assert event.occurred_at is not None and event.occurred_at.year == 2026


FORGED: dict[str, dict[str, Any]] = {
    "another audience": {"aud": "https://other.example"},
    "another issuer": {"iss": "https://evil.example"},
    "another service account": {"email": "other@acme.iam.gserviceaccount.com"},
    "an email that is not verified": {"email_verified": False},
    "expired": {"iat": time.time() - 7200, "exp": time.time() - 3600},
    "from the future": {"iat": time.time() + 3600, "exp": time.time() + 7200},
}


@pytest.mark.parametrize("claims", FORGED.values(), ids=FORGED.keys())
async def test_another_token(adapter: VertexAdapter, claims: dict[str, Any]) -> None:
    with pytest.raises(Forbidden):
        await adapter.parse_event(bearer(**claims), push(log_entry("UpdateModel", f"{PARENT}/models/churn")))


async def test_another_key_or_no_token(adapter: VertexAdapter, backend: VertexBackend) -> None:
    body = push(log_entry("UpdateModel", f"{PARENT}/models/churn"))
    genuine = bearer()["authorization"]
    unsigned = jwt.encode(signer("another"), {"aud": AUDIENCE, "email": EMAIL}).decode()
    cut = genuine.rpartition(".")[0] + "."
    for token in (
        "",
        "Bearer",
        "Bearer x",
        "Bearer a.b.c",
        f"Bearer {unsigned}",
        cut,
        genuine.replace("Bearer", "Basic"),
    ):
        with pytest.raises(Forbidden):
            await adapter.parse_event({"authorization": token}, body)


async def test_reads_and_other_services_are_no_reason_to_look(adapter: VertexAdapter) -> None:
    """A look reads: were reads a reason to look, each look would be the reason for the next."""
    name = f"{PARENT}/models/churn"
    entries = [
        log_entry("GetModel", name),
        log_entry("ListModelVersions", name),
        {"textPayload": "hello", "insertId": "1"},
        log_entry("UpdateModel", name.replace("europe-west4", "us-central1")),
        log_entry("UploadModel", PARENT),
    ]
    other = log_entry("UpdateModel", name)
    other["protoPayload"]["methodName"] = "google.cloud.aiplatform.v1.EndpointService.UpdateModel"
    for entry in (*entries, other):
        assert await adapter.parse_event(bearer(), push(entry)) == []


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"request": {"modelId": "churn"}}, ("churn", None)),
        ({"request": {"parentModel": f"{PARENT}/models/123"}}, ("123", None)),
        ({"response": {"model": f"{PARENT}/models/123", "modelVersionId": "4"}}, ("123", "4")),
        ({"request": {"model": {"displayName": "Churn", "name": f"{PARENT}/models/9"}}}, ("9", None)),
    ],
)
async def test_an_upload_names_its_model_somewhere(
    adapter: VertexAdapter, more: dict[str, Any], expected: tuple[str, str | None]
) -> None:
    [event] = await adapter.parse_event(bearer(), push(log_entry("UploadModel", PARENT, **more)))
    assert (event.model, event.version) == expected


@pytest.mark.parametrize(
    "body", [b"{}", b'{"message": 1}', b'{"message": {"data": "%"}}', b'{"message": {"data": ""}}']
)
async def test_a_genuine_push_of_something_else(adapter: VertexAdapter, body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        await adapter.parse_event(bearer(), body)


async def test_the_same_entry_twice_has_one_id(adapter: VertexAdapter) -> None:
    entry = log_entry("UpdateModel", f"{PARENT}/models/churn")
    found: list[RegistryEvent] = []
    for number in ("1", "2"):
        body = json.loads(push(entry))
        body["message"]["messageId"] = number
        found += await adapter.parse_event(bearer(), json.dumps(body).encode())
    assert len(found) == 2 and found[0].id == found[1].id
    assert base64.b64decode(json.loads(push(entry))["message"]["data"])


async def test_certificates_are_fetched_once(adapter: VertexAdapter, backend: VertexBackend) -> None:
    body = push(log_entry("UpdateModel", f"{PARENT}/models/churn"))
    for _ in range(3):
        await adapter.parse_event(bearer(), body)
    assert backend.certificates_fetched == 1


async def test_only_where_configured(backend: VertexBackend) -> None:
    deaf = await backend.open_adapter(event_audience=None, event_email=None)
    with pytest.raises(Unsupported):
        await deaf.parse_event(bearer(), b"{}")
    await deaf.aclose()
    with pytest.raises(ConfigError, match="belong together"):
        narrow(VertexOptions(project="p", location="l", event_audience="a"))
