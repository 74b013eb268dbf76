"""Copies, promotions, refreshes and following what is under way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from fedreg.api.context import STOPPING
from fedreg_adapters.memory.standin import Vendor

R = "/v1/registries/{registry}"
V = f"{R}/models/{{model}}/versions/{{version}}"
ENDS = {"source": "left:churn@version:1", "target": "right:churn"}


class Gate:
    """Holds the vendor's calls of one name until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, vendor: Vendor, name: str) -> None:
        self.reached, self.open, self.name = asyncio.Event(), asyncio.Event(), name
        self.calls = 0
        self._call, self._blob = vendor.call, vendor.get_blob
        monkeypatch.setattr(vendor, "call", self.call)
        monkeypatch.setattr(vendor, "get_blob", self.get_blob)

    async def call(self, name: str, /, **given: Any) -> Any:
        if name == self.name:
            await self._wait()
        return await self._call(name, **given)

    async def get_blob(self, where: Any, path: str, offset: int) -> AsyncIterator[bytes]:
        if self.name == "blob.get":
            await self._wait()
        async for chunk in self._blob(where, path, offset):
            yield chunk

    async def _wait(self) -> None:
        self.calls += 1
        self.reached.set()
        await self.open.wait()


async def test_a_copy_is_followed_and_cancelled(
    api: Any, seed: Any, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    await seed()
    gate = Gate(monkeypatch, vendor, "blob.get")
    started = await api("POST", "/v1/copies", body=ENDS, expect=202)
    await gate.reached.wait()
    again = await api("POST", "/v1/copies", body=ENDS, expect=202)
    assert again.json["id"] == started.json["id"]
    async with api.client.get(f"/v1/operations/{started.json['id']}/events") as stream:
        assert stream.content_type == "text/event-stream"
        assert await stream.content.readline() == b"event: progress\n"
        cancelled = await api("POST", "/v1/operations/{id}/cancel", id=started.json["id"], expect=200)
        assert cancelled.json["state"] == "cancelled"
        rest = await stream.content.read()
    assert b"event: end\n" in rest and b'"state":"cancelled"' in rest
    await api("GET", V, registry="right", model="churn", version="1", expect=404)


async def test_a_refresh_under_way_is_joined(api: Any, vendor: Vendor, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch, vendor, "shelf.list")
    first = await api("POST", f"{R}/refresh", registry="left", expect=202)
    await gate.reached.wait()
    second = await api("POST", f"{R}/refresh", registry="left", expect=202)
    assert (first.json["already_running"], second.json["already_running"], gate.calls) == (False, True, 1)
    gate.open.set()


async def test_losses_and_bad_ends(api: Any, seed: Any) -> None:
    await seed()
    for body, status, word in (
        ({**ENDS, "target": "right:churn@1"}, 400, "names a version"),
        ({**ENDS, "source": "left"}, 400, "has no model"),
        ({**ENDS, "source": "left:churn@9"}, 404, "matches no version"),
        ({**ENDS, "target": "nowhere:churn"}, 404, "not configured"),
        ({**ENDS, "packaging": "zip"}, 400, "packaging 'zip'"),
        ({**ENDS, "allow_lossy": 7}, 400, "allow_lossy"),
    ):
        answer = await api("POST", "/v1/copies", body=body, expect=status)
        assert word in answer.json["message"]


async def test_a_promotion_planned_and_made(api: Any, seed: Any) -> None:
    await seed()
    await seed()
    body = {"ref": "left:churn@version:1", "to": "production", "reason": "Q3"}
    planned = await api("POST", "/v1/promotions", body={**body, "dry_run": True}, expect=200)
    assert (planned.json["changed"], planned.json["operation"]) == (True, None)
    made = await api("POST", "/v1/promotions", body=body, expect=200)
    assert made.headers["Location"] == f"/v1/promotions/{made.json['operation']}"
    moved = await api("POST", "/v1/promotions", body={**body, "ref": "left:churn@version:2"}, expect=200)
    assert moved.json["holders_before"] == ["1"]
    for ref, status in (("left:churn", 400), ("left:churn@latest", 400), ("left:none@1", 404)):
        await api("POST", "/v1/promotions", body={**body, "ref": ref}, expect=status)
    await api("POST", "/v1/promotions", body={**body, "to": "Prod!"}, expect=400)
    other = await api("POST", f"{R}/models", registry="left", body={"name": "x"}, expect=201)
    await api("GET", "/v1/promotions/{id}", id=other.headers["Fedreg-Operation"], expect=404)
    await api("GET", "/v1/operations/{id}", id=other.headers["Fedreg-Operation"], expect=200)


async def test_operations_that_do_not_exist(api: Any) -> None:
    for method, path in (("GET", ""), ("GET", "/events"), ("POST", "/cancel")):
        await api(method, f"/v1/operations/{{id}}{path}", id="copy-none", expect=404)


async def test_an_event_stream_ends_when_the_gateway_stops(
    api: Any, seed: Any, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    await seed()
    gate = Gate(monkeypatch, vendor, "blob.get")
    started = await api("POST", "/v1/copies", body=ENDS, expect=202)
    await gate.reached.wait()
    async with api.client.get(f"/v1/operations/{started.json['id']}/events") as stream:
        assert await stream.content.readline() == b"event: progress\n"
        api.client.app[STOPPING].set()
        assert b"event: end" not in await stream.content.read()
    gate.open.set()
