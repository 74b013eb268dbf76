"""Looks at models because something may have happened there: plain tasks, one a model at once, a few in all."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

AT_ONCE = 8
Key = tuple[str, str]
log = logging.getLogger(__name__)


class Looks:
    """A flood of reasons for one model becomes the look under way and one after it. Belongs to one event loop."""

    def __init__(self) -> None:
        self._running: dict[Key, asyncio.Task[None]] = {}
        self._again: set[Key] = set()
        self._slots = asyncio.Semaphore(AT_ONCE)

    def ask(self, registry: str, model: str, look: Callable[[], Awaitable[None]]) -> None:
        """Look soon, or once more after the look under way, which may have been too early."""
        key = registry, model
        if key in self._running:
            self._again.add(key)
            return
        self._running[key] = asyncio.create_task(self._run(key, look), name=f"look at {registry}:{model}")

    async def settle(self) -> None:
        """Wait until nothing is under way."""
        while self._running:
            await asyncio.gather(*self._running.values(), return_exceptions=True)

    async def aclose(self) -> None:
        """Stop what is under way: whoever keeps the reasons asks again."""
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _run(self, key: Key, look: Callable[[], Awaitable[None]]) -> None:
        try:
            async with self._slots:
                await look()
                while key in self._again:
                    self._again.discard(key)
                    await look()
        except Exception as error:
            log.error("the look at %s:%s failed", *key, exc_info=error)
        finally:
            self._again.discard(key)
            del self._running[key]
