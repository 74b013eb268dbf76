"""Scans by the clock, for what registries do not push."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial

from fedreg.domain.reports import RefreshReport
from fedreg.services import duties
from fedreg.services.gateway import Gateway
from fedreg.services.refresh import refresh

JITTER = 0.2  # of the interval, either way, so that registries are not asked in step
MAX_SKIPPED = 32
log = logging.getLogger(__name__)


@asynccontextmanager
async def poll(gateway: Gateway, seconds: Mapping[str, float]) -> AsyncIterator[None]:
    """Scan each registry every so many seconds, side by side, until the end of the block.

    One gateway of several polls a registry; another goes on when that one is gone.
    """
    tasks = [asyncio.create_task(_poll_for_ever(gateway, name, every)) for name, every in seconds.items()]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def poll_once(gateway: Gateway, registry: str) -> RefreshReport:
    """One scan, shared with readers who ask for one meanwhile; only for changes where that shows enough."""
    return await asyncio.shield(gateway.scans.join(registry, partial(refresh, gateway, registry, full=False)))


def next_wait(every: float, failures: int) -> float:
    """Seconds until the next scan: a registry that failed so often in a row is left alone for longer and longer."""
    return every * float(min(2**failures, MAX_SKIPPED)) * random.uniform(1 - JITTER, 1 + JITTER)


async def _poll_for_ever(gateway: Gateway, registry: str, every: float) -> None:
    failures = 0
    await asyncio.sleep(random.uniform(0, every))
    while True:
        failures = 0 if await _succeeds(gateway, registry) else min(failures + 1, MAX_SKIPPED)
        await asyncio.sleep(next_wait(every, failures))


async def _succeeds(gateway: Gateway, registry: str) -> bool:
    try:
        if await duties.take(gateway, f"poll {registry}") is None:
            return True
        return (await poll_once(gateway, registry)).error is None
    except Exception as error:  # a mistake of ours or an adapter's must not end the polling
        log.error("poll of registry %r failed", registry, exc_info=error)
        return False
