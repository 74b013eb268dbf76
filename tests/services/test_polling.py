"""Polls: registries are scanned by the clock, and a sick one is left alone for longer and longer."""

from __future__ import annotations

import asyncio

import pytest

from fedreg.domain.reports import RefreshReport
from fedreg.services import polling
from fedreg.services.gateway import Gateway
from fedreg.services.polling import JITTER, MAX_SKIPPED, next_wait, poll
from fedreg.store import index

from .conftest import make_version


async def test_a_polled_registry_is_scanned(gateway: Gateway) -> None:
    version = await make_version(gateway, "left", "churn")
    seen = asyncio.Event()

    async def observe(changes: object) -> None:
        seen.set()

    gateway.observers.append(observe)
    async with poll(gateway, {"left": 0.001}):
        while await gateway.store.read(lambda conn: index.get_version(conn, "left", "churn", "1")) is None:
            await asyncio.sleep(0)
        adapter = await gateway.registries.get("left")
        await adapter.set_stage(version.id, "staging")
        await seen.wait()


async def test_a_failure_makes_the_next_wait_longer_and_ends_nothing(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes = iter([{"code": "registry_unavailable"}, RuntimeError("a mistake"), None])
    failures, done = [], asyncio.Event()

    async def refresh(gateway: Gateway, registry: str, *, full: bool) -> RefreshReport:
        outcome = next(outcomes, None)
        if isinstance(outcome, Exception):
            raise outcome
        return RefreshReport(registry=registry, error=outcome)

    def wait(every: float, so_far: int) -> float:
        failures.append(so_far)
        if len(failures) == 3:
            done.set()
        return 0

    monkeypatch.setattr(polling, "refresh", refresh)
    monkeypatch.setattr(polling, "next_wait", wait)
    async with poll(gateway, {"left": 0.0}):
        await done.wait()
    assert failures[:3] == [1, 2, 0]


@pytest.mark.parametrize(("failures", "factor"), [(0, 1), (1, 2), (3, 8), (5, MAX_SKIPPED), (60, MAX_SKIPPED)])
def test_waits(failures: int, factor: int) -> None:
    assert 10 * factor * (1 - JITTER) <= next_wait(10, failures) <= 10 * factor * (1 + JITTER)
