"""The metric of the event loop's lag."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from fedreg.api.event_loop import TICK_SECONDS, LoopLag

NAME = "fedreg_event_loop_lag_seconds"


def ticks(collector: CollectorRegistry, at_most: float | None = None) -> float:
    """How many were counted, or of them those that were at most so late."""
    labels = {} if at_most is None else {"le": str(at_most)}
    found = collector.get_sample_value(f"{NAME}_count" if at_most is None else f"{NAME}_bucket", labels)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("late", "counted", "below_20_ms"), [(-0.001, 1, 1), (0.0, 1, 1), (0.015, 1, 1), (0.09, 5, 1), (10.01, 501, 1)]
)
def test_every_tick_that_was_missed_counts(late: float, counted: int, below_20_ms: int) -> None:
    collector = CollectorRegistry()
    due = LoopLag(collector).record(100.0, 100.0 + late)
    assert (ticks(collector), ticks(collector, 0.02)) == (counted, below_20_ms)
    assert 100.0 + late < due <= 100.0 + late + TICK_SECONDS + 0.001


async def test_a_loop_that_is_held_up_shows() -> None:
    collector = CollectorRegistry()
    async with asyncio.timeout(60), asynccontextmanager(LoopLag(collector).watch)(web.Application()):
        await reach(collector, 1)
        time.sleep(0.3)
        await reach(collector, ticks(collector) + 1)
    assert ticks(collector) - ticks(collector, 0.25) >= 1
    assert ticks(collector) - ticks(collector, 0.1) >= 5


async def reach(collector: CollectorRegistry, count: float) -> None:
    while ticks(collector) < count:
        await asyncio.sleep(0)
