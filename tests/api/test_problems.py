"""Errors as problem+json."""

from __future__ import annotations

import json
from typing import Any

import pytest
from structlog.testing import capture_logs

from fedreg.api.problems import respond_problem
from fedreg.domain.errors import ERRORS, FedregError, Outcome
from fedreg.store.database import Store
from fedreg_adapters.memory.standin import Vendor, VendorError
from fedreg_adapters.memory.standin_faults import Mishap

M = "/v1/registries/{registry}/models/{model}"


@pytest.mark.parametrize("kind", ERRORS.values(), ids=ERRORS)
def test_each_class_keeps_its_status_and_fields(kind: type[FedregError]) -> None:
    error = kind(
        "it failed",
        cure="mend it",
        registry="left",
        operation="get_model",
        outcome=Outcome.UNKNOWN,
        upstream_code="E7",
        request_id="theirs",
        retry_after=1.2,
        details={"losses": ["a"]},
    )
    response = respond_problem(error, instance="/v1/x", request_id="ours")
    body = json.loads(bytes(response.body))  # type: ignore[arg-type]
    assert (response.status, response.content_type) == (kind.status, "application/problem+json")
    expected = {**error.to_dict(), "request_id": "ours", "upstream_request_id": "theirs"}
    assert {key: body[key] for key in expected} == expected
    assert (body["type"], body["status"], body["instance"]) == (f"urn:fedreg:problem:{kind.code}", kind.status, "/v1/x")
    assert body["detail"] == "registry 'left': it failed (mend it)"
    assert response.headers["Retry-After"] == "2"


@pytest.mark.parametrize(
    ("code", "status", "name"),
    [
        ("no-such", 404, "not_found"),
        ("busy", 429, "rate_limited"),
        ("expired", 502, "registry_auth_error"),
        ("down", 503, "registry_unavailable"),
    ],
)
async def test_errors_of_a_registry(api: Any, vendor: Vendor, code: str, status: int, name: str) -> None:
    vendor.mishaps.planned.append(Mishap("refuse", "shelf.get", times=0, error=VendorError(code, wait=3)))
    answer = await api("GET", M, registry="left", model="churn", expect=status)
    assert (answer.json["code"], answer.json["registry"]) == (name, "left")
    if name == "rate_limited":
        assert answer.headers["Retry-After"] == "3"


async def test_a_mistake_of_ours_tells_nothing_but_where_to_look(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object) -> None:
        raise RuntimeError("password=hunter2")

    monkeypatch.setattr(Store, "read", fail)
    with capture_logs() as logs:
        answer = await api("GET", "/v1/facets", headers={"X-Request-Id": "abc-1"}, expect=500)
    assert b"hunter2" not in answer.body and b"Traceback" not in answer.body
    assert (answer.json["code"], answer.json["request_id"]) == ("error", "abc-1")
    assert answer.headers["X-Request-Id"] == "abc-1"
    assert any(isinstance(entry.get("exc_info"), RuntimeError) for entry in logs)


async def test_paths_and_methods_that_do_not_exist(api: Any) -> None:
    missing = await api.client.get("/v1/nothing")
    assert (missing.status, (await missing.json())["code"]) == (404, "not_found")
    refused = await api.client.delete("/v1/models")
    assert (refused.status, refused.headers["Allow"]) == (405, "GET, HEAD")
    assert refused.content_type == "application/problem+json"


BODIES = [
    (b"not json", "body: it is not JSON"),
    (b'{"name": "\xff"}', "body: it is not JSON"),
    (b'{"nam": 1, ', "body: it is not JSON"),
    (b'["name"]', "body: Expected 'object', got 'array'"),
    (b"", "body: field 'name' is missing"),
    (b'{"name": 7}', "body.name: Expected 'str', got 'int' (it is 7)"),
    (b'{"name": "a", "tags": {"k": 1}}', "body.tags[...]: Expected 'str', got 'int'"),
    (b'{"name": "a", "nmae": "b"}', "body: field 'nmae' is unknown"),
]


async def test_bodies_that_can_not_be_meant(api: Any) -> None:
    for body, message in BODIES:
        response = await api.client.post("/v1/registries/left/models", data=body)
        problem = await response.json(content_type=None)
        assert (response.status, problem["code"]) == (400, "invalid_request")
        assert problem["message"].startswith(message)


QUERIES = [
    ("limit=many", "query.limit: Expected 'int', got 'str' (it is 'many')"),
    ("limit=0", "query.limit: Expected 'int' >= 1 (it is '0')"),
    ("stgae=production", "query: field 'stgae' is unknown"),
    ("stage=a&stage=b", "query: 'stage' is given 2 times"),
    ("tag=team", "query.tag: 'team' is no KEY=VALUE"),
    ("refresh=maybe", "query.refresh: Expected 'bool', got 'str' (it is 'maybe')"),
]


async def test_queries_that_can_not_be_meant(api: Any) -> None:
    for query, message in QUERIES:
        response = await api.client.get(f"/v1/models?{query}")
        assert (response.status, (await response.json(content_type=None))["message"]) == (400, message)


async def test_a_query_where_none_is_taken(api: Any) -> None:
    answer = await api("GET", M, registry="left", model="churn", query={"form": "index"}, expect=400)
    assert "'form'" in answer.json["message"]


async def test_a_body_too_large(api: Any) -> None:
    answer = await api(
        "POST", "/v1/registries/{registry}/models", registry="left", body={"name": "a" * 5000}, expect=413
    )
    assert "4096 bytes" in answer.json["message"]


async def test_request_ids_are_taken_or_made(api: Any) -> None:
    taken = await api("GET", "/healthz", headers={"X-Request-Id": "mine-1"})
    assert taken.headers["X-Request-Id"] == "mine-1"
    for bad in ("x" * 129, "caf\u00e9"):
        made = await api("GET", "/healthz", headers={"X-Request-Id": bad})
        assert len(made.headers["X-Request-Id"]) == 32
