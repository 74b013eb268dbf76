"""Two gateways on one PostgreSQL, over five members: one is killed, or stopped past its lease; the other finishes."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp

from .fault_table import Tally
from .forker import Child
from .kill_points import Calm, Promotions, compare
from .killed_promotion import AUTHORITY, MODEL
from .watched_members import Aim
from .watched_servers import write_config

KILLED, STOPPED = "one of two gateways killed", "one of two gateways stopped past its lease"
PAIR = {KILLED: signal.SIGKILL, STOPPED: signal.SIGSTOP}
PATIENCE = 60.0  # seconds until a fault that never comes is an error
TAKEN_OVER = "another one has taken over"
VERSIONS = f"/v1/registries/{AUTHORITY}/models/{MODEL}/versions"


@dataclass
class Running:
    """A gateway that serves in a forked process."""

    pid: int
    url: str
    log: Path
    child: Child

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        """A request's answer, which must be a good one."""
        async with aiohttp.ClientSession(self.url) as session, session.request(method, path, json=body) as answer:
            content = await answer.json()
            assert answer.ok, content
            return content

    async def promote(self, description: str, stage: str = "production") -> Any:
        """Ask for the promotion of a version, as its operation's document."""
        items = (await self.call("GET", VERSIONS))["items"]
        [version] = [one["version"] for one in items if one["description"] == description]
        return await self.call("PUT", f"{VERSIONS}/{version}/stage", {"stage": stage})

    async def finished(self) -> None:
        """When no operation is under way any more; the event stream of one ends with it."""
        while running := await self._operations():
            for one in running:
                async with aiohttp.ClientSession(self.url) as session:
                    await (await session.get(f"/v1/operations/{one['id']}/events")).read()

    async def _operations(self) -> list[Any]:
        found = (await self.call("GET", "/v1/operations"))["items"]
        return [one for one in found if one["state"] in ("pending", "running")]

    async def said(self, words: str) -> None:
        """When its log has them."""
        while words not in self.log.read_text():
            await asyncio.sleep(0.02)

    def signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)


@asynccontextmanager
async def run_pair(promotions: Promotions, home: Path) -> AsyncIterator[tuple[Running, Running]]:
    """Two gateways on the store of a home, over the members of `promotions`; ended with SIGKILL."""
    one, two = [await _start(promotions, home, name) for name in "ab"]
    try:
        yield one, two
    finally:
        for each in (one, two):
            each.signal(signal.SIGKILL)
            await each.child.told("status")


async def strike_pair(promotions: Promotions, fault: str, at: float, calm: Calm, tally: Tally) -> None:
    """Kill or stop one gateway of two at a writing request; the other finishes. Compare."""
    members, home = promotions.members, await promotions.begin()
    async with run_pair(promotions, home) as (one, two):
        members.aim = Aim(int(at), "before")
        members.strike = partial(one.signal, PAIR[fault])
        asked = asyncio.create_task(one.promote("two"))
        async with asyncio.timeout(PATIENCE):
            await members.struck.wait()
        began, members.aim = time.monotonic(), None
        await two.finished()
        tally.slowest = max(tally.slowest or 0.0, time.monotonic() - began)
        if fault == STOPPED:
            written, reached = len(members.writes), members.state()
            one.signal(signal.SIGCONT)
            await one.said(TAKEN_OVER)
            await promotions.at_rest()
            tally.counts["in flight"] += len(members.writes) - written
            if members.state() != reached or len(members.writes) - written > len(reached):
                tally.notes.append(f"{fault} {at:g}: gone on with, it wrote {members.writes[written:]}")
        with suppress(aiohttp.ClientError, AssertionError):  # cut off, or told that another one goes on
            await asked
    tally.counts["struck"] += 1
    status, told = await promotions.process(home, "look")
    compare(tally, f"{fault} {at:g}", members, calm, status, told)


async def _start(promotions: Promotions, home: Path, name: str) -> Running:
    config = write_config(promotions.members, home, promotions.database.url(home), name)
    log = home / f"{name}.log"
    log.touch()
    child = promotions.forker.begin(config=str(config), where="serve", result=str(home / name), log=str(log))
    return Running(await child.told("pid"), str(await child.told("url")), log, child)
