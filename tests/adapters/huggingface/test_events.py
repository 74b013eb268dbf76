"""Webhooks: as the SDK's own server reads them, and what of them concerns this registry."""

from __future__ import annotations

import json

import pytest
from huggingface_hub import WebhookPayload

from fedreg.domain.errors import Unsupported
from fedreg.testing import steps
from fedreg_adapters.huggingface.adapter import HuggingFaceAdapter

from .backend import WEBHOOK_SECRET, HubBackend

SECRET = {"x-webhook-secret": WEBHOOK_SECRET}


@pytest.mark.oracle("parse_event")
async def test_is_what_the_sdk_takes_for_one(adapter: HuggingFaceAdapter, backend: HubBackend) -> None:
    version = await steps.new_version(adapter, backend)
    payload = WebhookPayload(**json.loads(backend.message(version)))
    assert payload.updatedRefs is not None and payload.updatedRefs[0].newSha == version.identity
    [event] = await adapter.parse_event(SECRET, backend.message(version))
    assert (event.model, event.version) == (payload.repo.name.partition("/")[2], version.version)


async def test_an_event_for_each_ref(adapter: HuggingFaceAdapter, backend: HubBackend) -> None:
    version = await steps.new_version(adapter, backend)
    names = ["tags/v1", "heads/production", "heads/champion", "heads/main", "heads/fedreg-upload-1"]
    refs = [{"ref": f"refs/{name}", "oldSha": None, "newSha": version.identity} for name in names]
    events = await adapter.parse_event(SECRET, backend.message(version, updatedRefs=refs))
    assert [(event.version, event.kind) for event in events] == [
        ("v1", "repo.content.update"),
        (None, "stage"),
        (None, "alias"),
        (None, "repo.content.update"),
    ]
    assert len({event.id for event in events}) == 4 and {event.model for event in events} == {version.model}
    assert await adapter.parse_event(SECRET, backend.message(version, updatedRefs=refs[-1:])) == []


async def test_of_others(adapter: HuggingFaceAdapter, backend: HubBackend) -> None:
    version = await steps.new_version(adapter, backend)
    repo = json.loads(backend.message(version))["repo"]
    for other in ({"type": "dataset"}, {"name": "somebody/model"}):
        assert await adapter.parse_event(SECRET, backend.message(version, repo={**repo, **other})) == []
    [event] = await adapter.parse_event(SECRET, backend.message(version, updatedRefs=None))
    assert (event.model, event.version) == (version.model, None)


async def test_without_a_secret_none_are_taken(backend: HubBackend) -> None:
    adapter = await backend.open_adapter(webhook_secret=None)
    try:
        with pytest.raises(Unsupported):
            await adapter.parse_event({"x-webhook-secret": ""}, b"{}")
    finally:
        await adapter.aclose()
