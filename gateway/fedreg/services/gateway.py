"""What every use case works with: the registries, the store, the engine, and a lock per model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from weakref import WeakValueDictionary

from fedreg.domain.stages import DEFAULT_ORDER
from fedreg.engine.port import Engine
from fedreg.registries.federation import Federation
from fedreg.store.database import Store


def utc_now() -> datetime:
    """The time now, aware."""
    return datetime.now(UTC)


class Locks:
    """One lock a `registry:model`, so that direct writes and workflows on one model take turns."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def hold(self, registry: str, model: str) -> AsyncIterator[None]:
        """Hold the lock of one model. Never take a second one inside: sort and nest at one place instead."""
        lock = self._locks.setdefault((registry, model), asyncio.Lock())
        async with lock:
            yield


@dataclass(slots=True)
class Gateway:
    """Made by `bootstrap` only. `make_engine` gives an engine with its workflows registered, not launched."""

    registries: Federation
    store: Store
    make_engine: Callable[[Gateway], Engine]
    stage_order: tuple[str, ...] = DEFAULT_ORDER
    now: Callable[[], datetime] = utc_now
    locks: Locks = field(default_factory=Locks)
    engine: Engine | None = None
    _launching: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def launched_engine(self) -> Engine:
        """The engine, made and launched by the first call, which resumes what a killed process has left."""
        async with self._launching:
            if self.engine is None:
                engine = self.make_engine(self)
                await engine.launch()
                self.engine = engine
        return self.engine

    async def close_engine(self) -> None:
        """Stop the engine, before the registries that its steps use; unfinished work waits for the next launch."""
        engine, self.engine = self.engine, None
        if engine is not None:
            await engine.aclose()
