"""What every use case works with: the registries, the store, the engine, and a lock per model."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from weakref import WeakValueDictionary

from fedreg.domain.links import Link
from fedreg.domain.records import Change
from fedreg.domain.reports import RefreshReport
from fedreg.domain.stages import DEFAULT_ORDER
from fedreg.engine.port import Engine
from fedreg.registries.federation import Federation
from fedreg.services.lease import Lease, SoleLease
from fedreg.services.looks import Looks
from fedreg.settings.sections import AuditSettings, WebhookSettings
from fedreg.store.database import Store

Observer = Callable[[Sequence[Change]], Awaitable[None]]
log = logging.getLogger(__name__)


def utc_now() -> datetime:
    """The time now, aware."""
    return datetime.now(UTC)


class Locks:
    """One lock a `registry:model`, so that direct writes and workflows on one model take turns, over all gateways."""

    def __init__(self, lease: Lease) -> None:
        self._lease = lease
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def hold(self, registry: str, model: str) -> AsyncIterator[None]:
        """Hold the lock of one model. Never take a second one inside: sort and nest at one place instead."""
        lock = self._locks.setdefault((registry, model), asyncio.Lock())
        async with lock, self._lease.hold(f"{registry}\0{model}"):
            yield


class Scans:
    """Scans that readers asked for, one a registry at once, and when one last failed in this process."""

    def __init__(self) -> None:
        self.failed: dict[str, datetime] = {}
        self._running: dict[str, asyncio.Task[RefreshReport]] = {}

    def join(
        self, registry: str, scan: Callable[[], Coroutine[Any, Any, RefreshReport]]
    ) -> asyncio.Task[RefreshReport]:
        """The scan under way, else a new one. Wait for it shielded: it is not one reader's own."""
        running = self._running.get(registry)
        if running is None:
            running = self._running[registry] = asyncio.create_task(scan(), name=f"scan {registry}")
            running.add_done_callback(lambda done: self._end(registry, done))
        return running

    async def aclose(self) -> None:
        """Stop what is under way: a scan that is cut off resumes at its page."""
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _end(self, registry: str, done: asyncio.Task[RefreshReport]) -> None:
        del self._running[registry]
        if not done.cancelled() and (error := done.exception()) is not None:
            log.error("scan of registry %r failed", registry, exc_info=error)


@dataclass(frozen=True, slots=True)
class Waits:
    """How long a promotion waits before it tries its members again, in seconds: doubled from turn to turn.

    `unlinked`: when it gives up where no link says so, as when a promotion that none concerned is taken back.
    """

    first: float = 0.5
    longest: float = 30.0
    unlinked: float = 3600.0


@dataclass(slots=True)
class KeptLinks:
    """The links made by API as they were last read. Only where nobody but this process can change them.

    `changes` counts those: what was read before the last one is not kept.
    """

    found: Mapping[str, Link] | None = None
    changes: int = 0

    def forget(self) -> None:
        self.found, self.changes = None, self.changes + 1


@dataclass(slots=True)
class Gateway:
    """Made by `bootstrap` only.

    `make_engine` gives an engine with its workflows registered, not launched. `links` are the configuration's.
    `observers` are told of changes that somebody else has made, after they were committed as observed; see `tell`.
    """

    registries: Federation
    store: Store
    make_engine: Callable[[Gateway], Engine]
    stage_order: tuple[str, ...] = DEFAULT_ORDER
    links: Mapping[str, Link] = field(default_factory=dict)
    audit: AuditSettings | None = None
    now: Callable[[], datetime] = utc_now
    lease: Lease = field(default_factory=SoleLease)
    locks: Locks = field(init=False)
    scans: Scans = field(default_factory=Scans)
    waits: Waits = Waits()
    looks: Looks = field(default_factory=Looks)
    observers: list[Observer] = field(default_factory=list)
    webhooks: WebhookSettings = field(default_factory=WebhookSettings)
    engine: Engine | None = None
    kept_links: KeptLinks = field(default_factory=KeptLinks)
    _launching: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        self.locks = Locks(self.lease)

    async def launched_engine(self) -> Engine:
        """The engine, made and launched by the first call, which resumes what a killed process has left."""
        async with self._launching:
            if self.engine is None:
                await self.lease.join()
                engine = self.make_engine(self)
                await engine.launch()
                self.engine = engine
                await self.lease.take_over(engine)
        return self.engine

    async def tell(self, changes: Sequence[Change]) -> None:
        """Tell the observers what was observed, one after the other. One that fails is logged and stops no other.

        No lock is held meanwhile, but the scan or look that has seen it waits for them.
        """
        for observe in self.observers if changes else ():
            try:
                await observe(changes)
            except Exception as error:  # what was observed stands, whatever an observer makes of it
                log.error("an observer failed", exc_info=error)

    async def close_engine(self) -> None:
        """Stop the engine, before the registries that its steps use; unfinished work waits for the next launch."""
        engine, self.engine = self.engine, None
        if engine is not None:
            await engine.aclose()
