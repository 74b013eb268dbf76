"""Several gateways on one store: a webhook, a poll, a signature is one gateway's at a time, another's after it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from fedreg.bootstrap import open_gateway
from fedreg.domain.errors import LeaseLost
from fedreg.domain.records import Actor, Change
from fedreg.domain.reports import RefreshReport
from fedreg.services import anchors, deliveries, duties, polling, webhooks
from fedreg.services.deliveries import deliver_due, deliver_for_ever
from fedreg.services.gateway import Gateway
from fedreg.services.lease import SharedLease
from fedreg.services.polling import poll
from fedreg.services.webhook_sending import open_sender
from fedreg.settings import Settings, load_settings
from fedreg.store import duties as rows
from fedreg.store import heads, journal
from fedreg.store.replicas import GIVEN_UP
from fedreg.store.schema import replicas

from .receivers import Receiver

ADA = Actor(subject="ada")
Pair = tuple[Gateway, Gateway]


@pytest.fixture
def shared(tmp_path: Path, postgresql_url: str, request: pytest.FixtureRequest) -> Settings:
    config = tmp_path / "fedreg.yaml"
    config.write_text(
        f"store: {{url: '{postgresql_url}', lease: 60}}\n"
        "webhooks: {allow_http: true, allow_private: [127.0.0.0/8], backoff: 10, timeout: 5}\n"
        "audit: {key: audit.pem, anchors: [{file: heads.jsonl}]}\n"
        f"registries: {{left: {{kind: memory, space: '{request.node.nodeid}'}}}}\n"
    )
    return load_settings(config, {})


@pytest.fixture
async def pair(shared: Settings) -> AsyncIterator[Pair]:
    async with open_gateway(shared) as one, open_gateway(shared) as two:
        yield one, two


async def change(gateway: Gateway, count: int = 1) -> None:
    made = [Change(action="created", registry="left", model=f"churn-{n}", actor=ADA) for n in range(count)]
    await gateway.store.write(lambda tx: journal.append_all(tx, made, gateway.now()))


@asynccontextmanager
async def delivering(*gateways: Gateway) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(deliver_for_ever(gateway)) for gateway in gateways]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def give_up(gateway: Gateway, by: Gateway) -> None:
    """As another gateway does with one that was not seen for too long."""
    late = update(replicas).where(replicas.c.id == gateway.lease.executor_id).values(seen_at=GIVEN_UP)
    await by.store.write(lambda tx: tx.execute(late).rowcount)


async def arrive(receiver: Receiver, count: int) -> None:
    """Wait until so many messages have come in all."""
    while len(receiver.got) < count:
        receiver.arrived.clear()
        await receiver.arrived.wait()


def _sequences(folder: Path) -> list[int]:
    """Of the heads in the anchor file."""
    return [json.loads(line)["sequence"] for line in (folder / "heads.jsonl").read_text().splitlines()]


async def test_a_duty_is_one_gateways_until_it_is_gone(pair: Pair) -> None:
    one, two = pair
    mine = await duties.take(one, "churn")
    assert mine is not None and mine == await duties.take(one, "churn")
    await duties.require(one, mine)
    assert await duties.take(two, "churn") is None
    assert await duties.take(two, "fraud") is not None
    await give_up(one, by=two)
    assert await duties.take(two, "churn") == duties.Duty("churn", two.lease.executor_id)


async def test_alone_all_duties_are_ones_own(gateway: Gateway) -> None:
    """On SQLite, where the store has one owner."""
    for _ in range(2):
        duty = await duties.take(gateway, "churn")
        assert duty is not None
        await duties.require(gateway, duty)


async def test_a_new_lease_does_not_bring_a_lost_duty_back(pair: Pair) -> None:
    one, two = pair
    assert isinstance(one.lease, SharedLease)
    lost = asyncio.Event()

    async def note() -> None:
        lost.set()

    one.lease.on_lost, one.lease.length = note, timedelta(seconds=1)
    mine = await duties.take(one, "churn")
    assert mine is not None
    await give_up(one, by=two)
    theirs = await duties.take(two, "churn")
    await lost.wait()
    await one.lease.require()  # begins anew
    with pytest.raises(LeaseLost, match="taken over"):
        await duties.require(one, mine)
    assert await duties.take(one, "churn") is None
    assert theirs is not None
    await duties.require(two, theirs)


async def test_two_gateways_send_each_message_once(pair: Pair, receive: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliveries, "POLL_SECONDS", 0.01)
    one, two = pair
    receiver = await receive()
    await webhooks.set_webhook(one, "hook", receiver.url, actor=ADA, actions=["created"])
    async with delivering(one, two):
        for round_ in range(1, 6):
            await change(two, 4)
            await arrive(receiver, 4 * round_)
        serving = await two.store.read(lambda conn: rows.get_holder(conn, "webhook hook"))
        assert serving in (one.lease.executor_id, two.lease.executor_id)
        first, other = (one, two) if serving == one.lease.executor_id else (two, one)
        await give_up(first, by=other)  # it serves on, and may not
        await change(other, 4)
        await arrive(receiver, 24)
    sequences = [body["data"]["sequence"] for body in receiver.bodies]
    assert len(sequences) == 24 and sequences == sorted(set(sequences))


async def test_who_was_given_up_over_a_message_sends_no_other(pair: Pair, receive: Any) -> None:
    one, two = pair
    receiver = await receive()
    await webhooks.set_webhook(one, "hook", receiver.url, actor=ADA, actions=["created"])
    await change(one, 3)
    receiver.held = asyncio.Event()
    async with open_sender(one.webhooks) as sender:
        stopped = asyncio.create_task(deliver_due(one, sender, "hook"))
        await receiver.arrived.wait()
        assert await deliver_due(two, sender, "hook") == 0
        await give_up(one, by=two)
        held, receiver.held = receiver.held, None
        assert await deliver_due(two, sender, "hook") == 3
        held.set()
        with pytest.raises(LeaseLost):
            await stopped
    ids = [headers["webhook-id"] for headers, _ in receiver.got]
    assert len(ids) == 4 and ids[0] == ids[1] and len(set(ids)) == 3


async def test_one_gateway_polls(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = pair
    scans: list[Gateway] = []
    scanned = asyncio.Event()

    async def refresh(gateway: Gateway, registry: str, *, full: bool) -> RefreshReport:
        scans.append(gateway)
        scanned.set()
        return RefreshReport(registry=registry)

    monkeypatch.setattr(polling, "refresh", refresh)
    async with poll(one, {"left": 0.001}):
        await scanned.wait()
        assert await duties.take(two, "poll left") is None
        async with poll(two, {"left": 0.0}):
            for _ in range(3):
                scanned.clear()
                await scanned.wait()
    assert two not in scans
    await give_up(one, by=two)
    async with poll(two, {"left": 0.0}):
        while two not in scans:
            scanned.clear()
            await scanned.wait()


async def test_a_head_is_signed_and_anchored_once(pair: Pair, tmp_path: Path) -> None:
    one, two = pair
    await change(one, 3)
    signed = await asyncio.gather(*(anchors.sign_head(gateway) for gateway in (one, two, one, two)))
    assert len([head for head in signed if head is not None]) == 1
    assert [head.sequence for head in await one.store.read(heads.list_heads)] == [3]
    assert _sequences(tmp_path) == [3]


async def test_the_end_of_a_gateway_is_signed(shared: Settings, tmp_path: Path) -> None:
    async with open_gateway(shared) as gateway:
        await gateway.lease.join()
        await change(gateway, 2)
    assert _sequences(tmp_path) == [2]


async def test_what_another_was_told_of_is_looked_at_when_it_is_gone(pair: Pair) -> None:
    one, two = pair
    assert isinstance(one.lease, SharedLease)
    told = asyncio.Event()

    async def resume() -> None:
        told.set()

    one.lease.on_taken_over = resume
    await one.lease.join()
    await two.lease.join()
    await give_up(two, by=one)
    assert await one.lease.take_over(_Engine()) == []  # type: ignore[arg-type]
    assert told.is_set()


class _Engine:
    """An engine with nothing to adopt."""

    async def adopt(self, executor_id: str) -> list[str]:
        return []
