"""Pushed events, signed by MLflow's own code."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from mlflow.entities.webhook import WebhookAction, WebhookEntity, WebhookEvent
from mlflow.webhooks.delivery import _generate_hmac_signature
from mlflow.webhooks.types import get_example_payload_for_event

from fedreg.domain.errors import Forbidden, InvalidRequest, Unsupported
from fedreg_adapters.mlflow.events import parse_event

from .conftest import Opener

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
SECRET = "s3cret"


def message(entity: WebhookEntity, action: WebhookAction, data: object = None) -> bytes:
    event = WebhookEvent(entity, action)
    payload = data or get_example_payload_for_event(event)
    whole = {"entity": entity.value, "action": action.value, "timestamp": NOW.isoformat(), "data": payload}
    return json.dumps(whole).encode()


def signed(body: bytes, *, secret: str = SECRET, at: datetime = NOW) -> dict[str, str]:
    stamp = str(int(at.timestamp()))
    return {
        "x-mlflow-signature": _generate_hmac_signature(secret, "d-1", stamp, body.decode()),
        "x-mlflow-timestamp": stamp,
        "x-mlflow-delivery-id": "d-1",
    }


@pytest.mark.oracle("parse_event")
@pytest.mark.parametrize(
    ("entity", "action", "version"),
    [
        (WebhookEntity.REGISTERED_MODEL, WebhookAction.CREATED, None),
        (WebhookEntity.MODEL_VERSION, WebhookAction.CREATED, "1"),
        (WebhookEntity.MODEL_VERSION_TAG, WebhookAction.SET, "1"),
        (WebhookEntity.MODEL_VERSION_TAG, WebhookAction.DELETED, "1"),
        (WebhookEntity.MODEL_VERSION_ALIAS, WebhookAction.CREATED, "1"),
        (WebhookEntity.MODEL_VERSION_ALIAS, WebhookAction.DELETED, None),
    ],
)
def test_their_own_examples(entity: WebhookEntity, action: WebhookAction, version: str | None) -> None:
    body = message(entity, action)
    [event] = parse_event(signed(body), body, secret=SECRET, registry="prod", now=NOW)
    assert (event.model, event.version, event.id) == ("example_model", version, "d-1")
    assert (event.kind, event.occurred_at) == (f"{entity.value}.{action.value}", NOW)


def test_prompts_are_nothing_of_ours() -> None:
    body = message(WebhookEntity.PROMPT, WebhookAction.CREATED)
    assert parse_event(signed(body), body, secret=SECRET, registry="prod", now=NOW) == []


@pytest.mark.parametrize("late", [timedelta(seconds=301), timedelta(seconds=-301)])
def test_too_old_or_from_the_future(late: timedelta) -> None:
    body = message(WebhookEntity.MODEL_VERSION, WebhookAction.CREATED)
    with pytest.raises(Forbidden, match="too old"):
        parse_event(signed(body, at=NOW - late), body, secret=SECRET, registry="prod", now=NOW)


def test_wrong_secret_changed_body_or_no_signature() -> None:
    body = message(WebhookEntity.MODEL_VERSION, WebhookAction.CREATED)
    for headers, sent in [(signed(body, secret="other"), body), (signed(body), body + b" "), ({}, body)]:
        with pytest.raises(Forbidden, match="signature"):
            parse_event(headers, sent, secret=SECRET, registry="prod", now=NOW)


@pytest.mark.parametrize("body", [b"{}", b"[]", b"null", b'{"entity": "model_version", "action": "x", "data": 1}'])
def test_signed_nonsense(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        parse_event(signed(body), body, secret=SECRET, registry="prod", now=NOW)


async def test_without_a_secret_no_event_is_taken(connect: Opener) -> None:
    with pytest.raises(Unsupported):
        await connect(url="http://127.0.0.1:1").parse_event({}, b"{}")
