"""Events in: who may push, what is taken once, and that a look follows."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from fedreg.domain.models import RegistryEvent
from fedreg.domain.records import Origin
from fedreg.services import audit
from fedreg.services import events as service
from fedreg.services.gateway import Gateway
from fedreg.services.refresh import refresh
from fedreg.settings import Settings, load_settings
from fedreg.store.schema import events
from fedreg_adapters.memory.standin import push

EVENTS = "/v1/events/{registry}"
SECRET = "ev3nts"


@pytest.fixture
def settings(tmp_path: Path, spaces: dict[str, str], tokens: str) -> Settings:
    config = tmp_path / "fedreg.yaml"
    config.write_text(
        f"store: {{url: 'sqlite:///fedreg.db'}}\n{tokens}registries:\n"
        f"  left: {{kind: memory, space: '{spaces['left']}', event_secret: {SECRET}}}\n"
        f"  right: {{kind: memory, space: '{spaces['right']}'}}\n"
    )
    return load_settings(config, {})


def pushed(secret: str = SECRET, *, model: str = "churn", age: float = 0) -> tuple[dict[str, str], bytes]:
    return push(secret, model, 1, "phase", at=time.time() - age)


async def post(api: Any, message: tuple[Mapping[str, str], bytes], registry: str = "left", query: str = "") -> Any:
    """Without the gateway's own tokens, as registries push."""
    return await api.client.post(f"/v1/events/{registry}{query}", data=message[1], headers=message[0])


async def count_events(gateway: Gateway) -> int:
    return int(await gateway.store.read(lambda conn: conn.scalar(select(func.count()).select_from(events))) or 0)


async def test_an_event_is_taken_at_once_and_looked_at(api: Any, seed: Any, gateway: Gateway) -> None:
    version = await seed("churn")
    await refresh(gateway, "left")
    adapter = await gateway.registries.get("left")
    await adapter.set_stage(version.id, "staging")
    message = pushed()
    answer = await post(api, message)
    assert (answer.status, await answer.json()) == (202, {"events": 1, "fresh": 1})
    await gateway.looks.settle()
    [entry] = await audit.list_audit(gateway)
    assert (entry.change.action, entry.change.origin) == ("stage_set", Origin.OBSERVED)
    again = await post(api, message)
    assert (again.status, await again.json()) == (202, {"events": 1, "fresh": 0})
    assert await gateway.store.read(service.events.list_waiting) == []


REFUSED = {
    "a wrong signature": (pushed("wrong"), "left"),
    "no signature": (({}, b"{}"), "left"),
    "an old message": (pushed(age=3600), "left"),
    "a registry that takes none": (pushed(), "right"),
    "a registry that is not there": (pushed(), "nowhere"),
}


@pytest.mark.parametrize(("message", "registry"), REFUSED.values(), ids=REFUSED.keys())
async def test_what_is_not_the_registrys_own(api: Any, gateway: Gateway, message: Any, registry: str) -> None:
    """The same answer to all of them, and nothing left but a count."""
    answer = await post(api, message, registry)
    problem = await answer.json()
    assert (answer.status, problem["code"]) == (401, "unauthenticated")
    assert problem["message"] == "the message can't be told to be the registry's own"
    assert "registry" not in problem
    assert await count_events(gateway) == 0
    metrics = await api.acting_as("reader")("GET", "/metrics", expect=200)
    assert b'fedreg_events_total{outcome="refused",registry=""} 1.0' in metrics.body
    assert registry.encode() not in b"".join(line for line in metrics.body.splitlines() if b"fedreg_events" in line)


async def test_the_gateways_own_tokens_mean_nothing_here(api: Any) -> None:
    answer = await post(api, ({"Authorization": "Bearer admin"}, b"{}"))
    assert answer.status == 401


async def test_genuine_and_malformed(api: Any, gateway: Gateway) -> None:
    body = b'{"id": 1}'
    headers = {"x-memory-signature": hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()}
    assert (await post(api, (headers, body))).status == 400
    assert await count_events(gateway) == 0


async def test_more_than_an_event_can_be(api: Any) -> None:
    assert (await post(api, ({}, b"x" * ((1 << 20) + 1)))).status == 413


async def test_an_unknown_parameter_is_refused_without_its_value(api: Any) -> None:
    answer = await post(api, pushed(), query="?token=hunter2")
    assert answer.status == 400 and "hunter2" not in await answer.text()


async def test_options_without_a_secret(api: Any) -> None:
    answer = await api.client.options("/v1/events/left", headers={"WebHook-Request-Origin": "evil.example"})
    assert answer.status == 401 and "WebHook-Allowed-Origin" not in answer.headers


async def test_a_flood_becomes_two_looks(api: Any, gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    looked, begun, go_on = [], asyncio.Event(), asyncio.Event()

    async def observe(gateway: Gateway, registry: str, model: str) -> list[Any]:
        looked.append((registry, model))
        begun.set()
        await go_on.wait()
        return []

    monkeypatch.setattr(service, "observe_model", observe)
    await post(api, pushed())
    await begun.wait()
    for answer in await asyncio.gather(*(post(api, pushed()) for _ in range(30))):
        assert answer.status == 202
    go_on.set()
    await gateway.looks.settle()
    assert looked == [("left", "churn")] * 2
    assert await gateway.store.read(service.events.list_waiting) == []


async def test_what_was_not_looked_at_is_looked_at_after_the_start(
    api: Any, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = []

    async def observe(gateway: Gateway, registry: str, model: str) -> list[Any]:
        looked.append((registry, model))
        return []

    monkeypatch.setattr(service, "observe_model", observe)
    monkeypatch.setattr(service, "ask_for_look", lambda *given: None)  # killed before it came to it
    await post(api, pushed())
    monkeypatch.undo()
    monkeypatch.setattr(service, "observe_model", observe)
    assert looked == []
    await service.resume_looks(gateway)
    await gateway.looks.settle()
    assert looked == [("left", "churn")]


async def test_an_id_made_of_what_was_said_may_come_again(gateway: Gateway) -> None:
    """Of services that number nothing: known until somebody has looked."""
    event = RegistryEvent(id="content", model="churn", version=None, kind="stage", unique=False)
    now = gateway.now()

    async def take() -> int:
        return len(await gateway.store.write(lambda tx: service.events.take(tx, "left", [event, event], now)))

    assert [await take(), await take()] == [1, 0]
    await gateway.store.write(lambda tx: service.events.mark_looked(tx, "left", "churn", now, now))
    assert [await take(), await take()] == [1, 0]
