"""Leases of several gateways on one store: who is given up writes nothing, and what it left is taken over."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any, cast

import psycopg
import pytest
from sqlalchemy import Connection

from fedreg.domain.errors import LeaseLost, StoreUnavailable
from fedreg.services import lease as leases
from fedreg.services.lease import SharedLease
from fedreg.store import replicas
from fedreg.store.database import Store
from fedreg.store.dialects import WRITING

HOUR = timedelta(hours=1)


class Adopting:
    """An engine of which only `adopt` is asked."""

    def __init__(self) -> None:
        self.adopted: list[str] = []

    async def adopt(self, executor_id: str) -> list[str]:
        self.adopted.append(executor_id)
        return [f"copy-of-{executor_id}"]


@asynccontextmanager
async def gateway(url: str, length: timedelta = HOUR) -> AsyncIterator[tuple[Store, SharedLease]]:
    async with AsyncExitStack() as stack:
        store = await Store.open(url)
        stack.push_async_callback(store.aclose)
        lease = SharedLease(store, length)
        stack.push_async_callback(lease.aclose)
        await lease.join()
        yield store, lease


def _execute(url: str, statement: str, *given: Any) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement, given)  # type: ignore[call-overload]


async def _known(store: Store) -> list[str]:
    found: list[replicas.Replica] = await store.read(replicas.list_replicas)
    return [replica.id for replica in found]


def _say(tx: Connection) -> int:
    return int(tx.exec_driver_sql("SELECT 1").scalar_one())


async def test_who_is_given_up_writes_nothing_and_is_taken_over_once(postgresql_url: str) -> None:
    async with gateway(postgresql_url) as (old, gone), gateway(postgresql_url) as (new, mine):
        late, engine = gone.executor_id, Adopting()
        assert await mine.take_over(cast(Any, engine)) == []
        assert sorted(await _known(new)) == sorted([late, mine.executor_id])
        ago = "UPDATE replicas SET seen_at = seen_at - 3601000000 WHERE id = %s"
        await asyncio.to_thread(_execute, postgresql_url, ago, late)
        assert await mine.take_over(cast(Any, engine)) == [f"copy-of-{late}"]
        assert await mine.take_over(cast(Any, engine)) == []
        assert engine.adopted == [late]
        with pytest.raises(LeaseLost, match="taken over") as caught:
            await old.write(_say)
        assert caught.value.retryable
        assert await old.read(_say) == 1
        assert await new.write(_say) == 1
        assert await _known(new) == [mine.executor_id]


async def test_what_was_given_up_and_not_taken_over_is_so_by_the_next(postgresql_url: str) -> None:
    async with gateway(postgresql_url) as (_, mine):
        await asyncio.to_thread(_execute, postgresql_url, "INSERT INTO replicas VALUES ('dead', NULL, 1, 0)")
        engine = Adopting()
        assert await mine.take_over(cast(Any, engine)) == ["copy-of-dead"]


async def test_who_leaves_is_taken_over_at_once(postgresql_url: str) -> None:
    async with gateway(postgresql_url) as (_, mine):
        async with gateway(postgresql_url) as (_, leaving):
            left = leaving.executor_id
        engine = Adopting()
        assert await mine.take_over(cast(Any, engine)) == [f"copy-of-{left}"]


async def test_a_lock_is_held_over_all_gateways(postgresql_url: str) -> None:
    async with gateway(postgresql_url) as (_, one), gateway(postgresql_url) as (_, other):
        order: list[str] = []
        entered = asyncio.Event()

        async def wait() -> None:
            entered.set()
            async with other.hold("churn"):
                order.append("other")

        async with one.hold("churn"):
            waiting = asyncio.create_task(wait())
            await entered.wait()
            async with other.hold("fraud"):
                order.append("another model")
            order.append("one")
        await waiting
        assert order == ["another model", "one", "other"]


async def test_the_locks_of_who_is_given_up_end(postgresql_url: str) -> None:
    async with gateway(postgresql_url) as (_, gone), gateway(postgresql_url) as (_, mine), gone.hold("churn"):
        ago = "UPDATE replicas SET seen_at = seen_at - 3601000000 WHERE id = %s"
        await asyncio.to_thread(_execute, postgresql_url, ago, gone.executor_id)
        await mine.take_over(cast(Any, Adopting()))
        async with mine.hold("churn"):
            pass


async def test_who_was_stopped_over_its_work_is_taken_over(postgresql_url: str) -> None:
    """It had the writers' lock, and the one for taking over."""
    async with gateway(postgresql_url) as (theirs, stopped), gateway(postgresql_url) as (store, mine):
        late, presence = stopped.executor_id, stopped._presence
        assert presence is not None
        assert presence.try_lock("take over")
        within, ended = threading.Event(), threading.Event()

        def stop(tx: Connection) -> None:
            if not within.is_set():
                within.set()
                ended.wait()

        writing = asyncio.create_task(theirs.write(stop))
        await asyncio.to_thread(within.wait)
        ago = "UPDATE replicas SET seen_at = seen_at - 3601000000 WHERE id = %s"
        await asyncio.to_thread(_execute, postgresql_url, ago, late)
        assert await mine.take_over(cast(Any, Adopting())) == [f"copy-of-{late}"]
        assert await store.write(_say) == 1
        ended.set()
        with pytest.raises(LeaseLost):
            await writing


async def test_who_waits_for_a_writer_goes_on_living(postgresql_url: str) -> None:
    """The one that is late can't be given up yet; signs of life come from the thread that tries to."""
    async with gateway(postgresql_url, timedelta(seconds=2)) as (_, mine):
        await asyncio.to_thread(_execute, postgresql_url, "INSERT INTO replicas VALUES ('dead', NULL, 1, 1)")
        with psycopg.connect(postgresql_url) as writing:
            writing.execute("SELECT pg_advisory_xact_lock(%s)", [WRITING])
            with pytest.raises(StoreUnavailable, match="lock timeout"):
                await mine.take_over(cast(Any, Adopting()))
        assert await mine.take_over(cast(Any, Adopting())) == ["copy-of-dead"]


async def test_a_lost_lease_is_told_by_the_next_sign_of_life(postgresql_url: str) -> None:
    async with gateway(postgresql_url, timedelta(seconds=1)) as (_, lease):
        lost = asyncio.Event()

        async def note() -> None:
            lost.set()

        lease.on_lost = note
        first = lease.executor_id
        await lease.require()
        await asyncio.to_thread(_execute, postgresql_url, "UPDATE replicas SET seen_at = 0")
        await lost.wait()
        await lease.require()  # begins anew
        assert lease.executor_id != first


async def test_without_the_servers_word_nothing_is_written(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with gateway(postgresql_url) as (_, lease):
        now = leases._now()
        monkeypatch.setattr(leases, "_now", lambda: now + 3601)
        monkeypatch.setattr(leases, "_PATIENCE", 0.05)
        with pytest.raises(StoreUnavailable, match="lease"):
            await lease.require()
