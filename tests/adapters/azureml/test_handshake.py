"""Event Grid asks whether a subscription is meant: answered where the question brings the secret."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from fedreg.domain.errors import Forbidden, Unsupported
from fedreg.domain.models import Handshake
from fedreg_adapters.azureml.adapter import AzureMLAdapter

from .backend import EVENT_SECRET, AzureMLBackend
from .fixtures import adapter as adapter
from .fixtures import backend as backend
from .fixtures import certificate as certificate
from .fixtures import start as start

IN_HEADER = {"x-fedreg-event-secret": EVENT_SECRET}
IN_QUERY = {"secret": EVENT_SECRET}
CODE = json.dumps(
    [
        {
            "id": "1",
            "topic": "/subscriptions/s",
            "subject": "",
            "data": {"validationCode": "512d38b6", "validationUrl": "https://rp-eastus.eventgrid.azure.net/validate"},
            "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
            "eventTime": "2026-01-01T00:00:00Z",
            "metadataVersion": "1",
            "dataVersion": "1",
        }
    ]
).encode()
ORIGIN = {"webhook-request-origin": "eventgrid.azure.net"}


@pytest.mark.parametrize(("headers", "query"), [(IN_HEADER, {}), ({}, IN_QUERY)], ids=["header", "query"])
async def test_both_questions_are_answered(
    adapter: AzureMLAdapter, headers: Mapping[str, str], query: Mapping[str, str]
) -> None:
    answered = await adapter.answer_handshake(headers, CODE, query)
    assert answered == Handshake(body={"validationResponse": "512d38b6"})
    allowed = await adapter.answer_handshake({**headers, **ORIGIN}, b"", query)
    assert allowed is not None and allowed.headers["WebHook-Allowed-Origin"] == "eventgrid.azure.net"


@pytest.mark.parametrize("query", [{}, {"secret": ""}, {"secret": EVENT_SECRET + "x"}, {"secret": "\udce9"}])
async def test_not_without_the_secret(adapter: AzureMLAdapter, query: Mapping[str, str]) -> None:
    for headers, body in ((ORIGIN, b""), ({}, CODE)):
        with pytest.raises(Forbidden):
            await adapter.answer_handshake(headers, body, query)


async def test_events_are_no_questions(adapter: AzureMLAdapter) -> None:
    for body in (b"", b"{}", b"[1]", CODE.replace(b"validationCode", b"other")):
        assert await adapter.answer_handshake(IN_HEADER, body, {}) is None
    assert await adapter.parse_event({}, CODE, IN_QUERY) == []


async def test_without_a_secret_nothing_is_taken(backend: AzureMLBackend) -> None:
    deaf = await backend.open_adapter(event_secret=None)
    try:
        for asked in (deaf.parse_event({}, CODE), deaf.answer_handshake(ORIGIN, b"")):
            with pytest.raises(Unsupported):
                await asked
    finally:
        await deaf.aclose()
