"""How late the event loop is: what every request, whatever its registry, waits at least."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from aiohttp import web
from prometheus_client import CollectorRegistry, Histogram

TICK_SECONDS = 0.02
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class LoopLag:
    """A histogram of how late ticks come that are due every 20 ms.

    A loop that is held up counts every tick it missed, so that a quantile is a share of time, not of what was left
    of the ticks.
    """

    def __init__(self, collector: CollectorRegistry) -> None:
        self._seconds = Histogram(
            "fedreg_event_loop_lag_seconds",
            "How late the event loop ran what was due, looked at 50 times a second.",
            registry=collector,
            buckets=BUCKETS,
        )

    async def watch(self, app: web.Application) -> AsyncIterator[None]:
        """Measure while an application runs; one of its `cleanup_ctx`."""
        loop = asyncio.get_running_loop()
        self._await_tick(loop, loop.time() + TICK_SECONDS)
        yield
        self._timer.cancel()

    def record(self, due: float, now: float) -> float:
        """Count the ticks due until `now`, at least the one due first; returns when the next is due."""
        self._seconds.observe(max(0.0, now - due))
        due += TICK_SECONDS
        while due <= now:
            self._seconds.observe(now - due)
            due += TICK_SECONDS
        return due

    def _await_tick(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        self._timer = loop.call_at(due, self._tick, loop, due)

    def _tick(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        self._await_tick(loop, self.record(due, loop.time()))
