"""The right of this process to act: alone over a store of its own, or for as long as others see it alive.

Several gateways on one store each have a lease, which signs of life renew. One that is not seen for longer is given up:
the store refuses its writes, its locks end, and another takes over its operations. `require` stands before every
write at a registry, so that a process that was stopped for a while and goes on writes nothing.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError

from fedreg.domain.errors import LeaseLost, StoreUnavailable
from fedreg.engine.port import Engine
from fedreg.store.database import Store

if TYPE_CHECKING:
    from fedreg.store.presence import Presence

T = TypeVar("T")
log = logging.getLogger(__name__)

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # goes on while the machine sleeps
_BEATS, _SWEEPS = 4, 3  # in the time of a lease
_PATIENCE = 30.0
_FIRST_WAIT, _LONGEST_WAIT = 0.01, 0.2
_TAKING_OVER = "take over"


class Lease(Protocol):
    """What a gateway asks before it acts."""

    @property
    def executor_id(self) -> str:
        """Whose the workflows are that this process runs."""
        ...

    @property
    def length(self) -> timedelta:
        """After how long without a sign of life a gateway is given up."""
        ...

    async def join(self) -> None:
        """Begin the lease, where there is none yet. StoreUnavailable."""
        ...

    async def require(self) -> None:
        """Return where this process may write. LeaseLost; StoreUnavailable where the server can't be asked."""
        ...

    def hold(self, name: str) -> AbstractAsyncContextManager[None]:
        """A lock over all processes of the store."""
        ...

    async def take_over(self, engine: Engine) -> list[str]:
        """Go on with what dead processes have left; ids of workflows."""
        ...

    async def set_address(self, address: str | None) -> None: ...

    async def aclose(self) -> None: ...


class SoleLease:
    """Of the process that owns its store: never lost, and free."""

    length = timedelta(0)
    executor_id = "local"

    async def join(self) -> None:
        """Nothing: the store's lock is the lease."""

    async def require(self) -> None:
        """Nothing: nobody else writes."""

    @asynccontextmanager
    async def hold(self, name: str) -> AsyncIterator[None]:
        yield

    async def take_over(self, engine: Engine) -> list[str]:
        """Nothing: the engine resumes by itself what its own last process has left."""
        return []

    async def set_address(self, address: str | None) -> None:
        """Nothing: the store's owner has it."""

    async def aclose(self) -> None:
        """Nothing to end."""


class SharedLease:
    """Of one gateway of several. `on_lost` runs when it is lost: it stops what runs, and may begin anew.

    `on_taken_over` runs after another one was given up: to go on with what it did outside of the engine.
    """

    def __init__(self, store: Store, length: timedelta) -> None:
        assert isinstance(store.place, URL)
        self._store, self._url = store, store.place
        self.length = length
        self.on_lost: Callable[[], Awaitable[None]] | None = None
        self.on_taken_over: Callable[[], Awaitable[None]] | None = None
        self._address: str | None = None
        self._presence: Presence | None = None
        self._valid_until = self._steady_from = 0.0
        self._heard = asyncio.Event()  # set, and made anew, with each word of the server
        self._joining = asyncio.Lock()
        self._beating: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="fedreg-lease")

    @property
    def executor_id(self) -> str:
        assert self._presence is not None, "joined before the engine is made"
        return self._presence.replica_id

    async def join(self) -> None:
        from fedreg.store.presence import Presence  # and with it the driver

        async with self._joining:
            if self._presence is not None:
                return
            presence, started = Presence(self._url, uuid.uuid4().hex), _now()
            await self._run(lambda: presence.join(self._address))
            self._valid_until, self._steady_from = started + self.length.total_seconds(), started
            self._store.act_as(presence.replica_id)
            self._presence = presence
            self._beating = asyncio.create_task(self._beat(presence), name="lease")

    async def require(self) -> None:
        await self.join()
        presence = self._presence
        try:
            async with asyncio.timeout(_PATIENCE):
                while self._presence is presence and _now() >= self._valid_until:
                    await self._heard.wait()
        except TimeoutError:
            raise StoreUnavailable(
                "the store's server did not renew the lease: nothing is written without it",
                cure="look whether the server runs",
            ) from None
        if self._presence is not presence:
            raise LeaseLost("this gateway was not seen for longer than its lease; another one has taken over")

    @asynccontextmanager
    async def hold(self, name: str) -> AsyncIterator[None]:
        await self.join()
        presence = self._presence
        assert presence is not None
        pause = _FIRST_WAIT
        while not await self._run(lambda: presence.try_lock(name)):
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_WAIT)
        try:
            yield
        finally:
            if self._presence is presence:
                with suppress(StoreUnavailable):  # the lock ended with the session
                    await asyncio.shield(self._run(lambda: presence.unlock(name)))

    async def take_over(self, engine: Engine) -> list[str]:
        await self.require()
        presence = self._presence
        if presence is None or _now() < self._steady_from:  # nobody could be seen: give the others time to renew
            return []
        if not await self._run(lambda: presence.end_late_sessions(self.length)):  # first: one may hold the lock
            return []
        if not await self._run(lambda: presence.try_lock(_TAKING_OVER)):
            return []
        taken: list[str] = []
        gone: list[str] = []
        try:
            gone = await self._run(lambda: presence.give_up(self.length))
            for replica_id in gone:
                adopted = await engine.adopt(replica_id)
                await self._run(partial(presence.remove, replica_id))
                log.info("replica %s is gone: took over %d operations", replica_id, len(adopted))
                taken += adopted
        finally:
            with suppress(StoreUnavailable):
                await self._run(lambda: presence.unlock(_TAKING_OVER))
        if gone and self.on_taken_over is not None:
            await self.on_taken_over()
        return taken

    @property
    def sweep_seconds(self) -> float:
        """How often to look for dead replicas."""
        return min(self.length.total_seconds() / _SWEEPS, 2.0)

    async def set_address(self, address: str | None) -> None:
        self._address = address
        presence = self._presence
        if presence is not None:
            await self._run(lambda: presence.set_address(address))

    async def aclose(self) -> None:
        """End the lease: others take over at once what is unfinished."""
        presence, self._presence = self._presence, None
        if self._beating is not None:
            self._beating.cancel()
        if presence is not None:
            with suppress(StoreUnavailable):
                await self._run(presence.leave)
            await self._run(presence.close)
        self._thread.shutdown(wait=False)

    async def _beat(self, presence: Presence) -> None:
        length = self.length.total_seconds()
        while True:
            await asyncio.sleep(length / _BEATS)
            started = _now()
            try:
                alive = await self._run(presence.renew)
            except StoreUnavailable as error:
                log.warning("no sign of life could be given: %s", error)
                continue
            if not alive:
                break
            if started >= self._valid_until:
                self._steady_from = _now() + length / 2
            self._valid_until = started + length
            self._tell()
        log.error("this gateway was not seen for %g s: another one has taken over its operations", length)
        self._presence = None
        self._tell()
        await self._run(presence.close)
        if self.on_lost is not None:
            await self.on_lost()

    def _tell(self) -> None:
        heard, self._heard = self._heard, asyncio.Event()
        heard.set()

    async def _run(self, work: Callable[[], T]) -> T:
        """Run blocking work on the lease's own thread."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except DBAPIError as error:
            raise StoreUnavailable(
                f"the store's server can't be reached: {error.orig}", cure="look whether the server runs"
            ) from error


def _now() -> float:
    return time.clock_gettime(_CLOCK)
