"""Faults of a promotion over five members: strike at one point, resume, compare with a run that nothing disturbed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from .fault_table import Tally
from .forker import Forker
from .killed_stores import Databases, ServerDatabases
from .watched_members import Aim, Members, Refusal, steps_of
from .watched_servers import NAMES, write_config

WITHIN, AFTER, MOMENT = "killed within a step", "killed after a step", "killed at a moment"
BEFORE_REQUEST, AFTER_REQUEST = "killed before a request", "killed after a request"
LOST, LATE = "the reply to a request lost", "a request applied late"
DOWN, BUSY = "a member down for a while", "a member throttles for a while"
FULL, RESTART = "a full disk", "the database server restarted"
IN_PROCESS = {WITHIN: "within", AFTER: "after", MOMENT: "time", FULL: "full"}
AIMED = {BEFORE_REQUEST: "before", AFTER_REQUEST: "after", LOST: "lost", LATE: "late"}
REFUSED = {DOWN: "gone", BUSY: "busy"}
Point = tuple[str, float]


@dataclass(frozen=True)
class Calm:
    """A run that nothing disturbed: what came of it, and how much of everything there was."""

    told: Any
    histories: dict[str, list[dict[str, str]]]
    steps: int
    writes: tuple[str, ...]
    seconds: float


def compare(tally: Tally, point: str, members: Members, calm: Calm, status: int, told: Any) -> None:
    """Count a point's end, which must be the undisturbed run's."""
    tally.counts["points"] += 1
    for name, history in members.histories.items():
        had, wanted = steps_of(history), steps_of(calm.histories[name])
        for cell, wrong in (("lost", wanted - had), ("doubled", had - wanted)):
            tally.counts[cell] += wrong.total()
            tally.notes += [f"{point}: {name}: {cell}: {step}" for step in wrong]
    ends = {name: history[-1] for name, history in members.histories.items()}
    if status != 0 or told != calm.told or ends != {name: hist[-1] for name, hist in calm.histories.items()}:
        tally.counts["end state differs"] += 1
        tally.notes.append(f"{point}: exit status {status}: {told}")


class Promotions:
    """Promotions in forked processes over members that outlive them, each beginning at the same state."""

    def __init__(self, members: Members, database: Databases, home: Path, forker: Forker) -> None:
        self.members, self.database, self._home, self.forker = members, database, home, forker
        self._serial = count(1)
        self._before = home / "before"

    async def prepare(self) -> Calm:
        """Make the state before, and run undisturbed."""
        self._before.mkdir()
        status, told = await self.process(self._before, "prepare")
        assert status == 0, told
        self._kept = self.members.keep()
        await self._run()  # the members' caches are filled by it
        began = time.monotonic()
        home, told = await self._run()
        seconds = time.monotonic() - began
        steps = len((home / "steps").read_text().splitlines())
        return Calm(told, self.members.histories, steps, tuple(self.members.writes), seconds)

    async def _run(self) -> tuple[Path, Any]:
        home = await self.begin()
        status, told = await self.process(home, "run")
        assert status == 0, told
        return home, told

    async def begin(self) -> Path:
        """A home of its own with the store as it was before, the members too."""
        await self.at_rest()
        self.members.restore(self._kept)
        home = self._home / f"run-{next(self._serial)}"
        home.mkdir()
        self.database.copy(self._before, home)
        return home

    async def at_rest(self) -> None:
        """Until no member has a request under way, nor one that comes late."""
        while self.members.busy:
            await asyncio.sleep(0.01)

    async def process(self, home: Path, where: str) -> tuple[int, Any]:
        """Exit status and result of one process; what it told where it failed, None where it was killed."""
        config = write_config(self.members, home, self.database.url(home))
        result, log = home / "result.json", home / "steps"
        result.unlink(missing_ok=True)
        log.touch()
        child = self.forker.begin(config=str(config), where=where, result=str(result), log=str(log))
        self.members.strike = partial(os.kill, await child.told("pid"), signal.SIGKILL)
        status = int(await child.told("status"))
        text = result.read_text() if result.exists() else None
        return status, json.loads(text) if text is not None and status == 0 else text


async def strike_one(promotions: Promotions, fault: str, at: float, calm: Calm, tally: Tally) -> None:
    """One fault at one point: a run with it, then (where that did not end well) a resumed one; compare."""
    home, members = await promotions.begin(), promotions.members
    if fault in AIMED:
        members.aim = Aim(int(at), AIMED[fault])
    elif fault in REFUSED:
        members.refusal = Refusal(NAMES[int(at) % len(NAMES)], REFUSED[fault], seconds=at)
    where = f"{IN_PROCESS[fault]}:{at:g}" if fault in IN_PROCESS else "run"
    restarting = asyncio.create_task(_restart(promotions.database, at)) if fault == RESTART else None
    status, told = await promotions.process(home, where)
    if restarting is not None:
        await restarting
    tally.told.append(told)
    tally.counts["struck"] += status != 0 or members.struck.is_set() or fault == RESTART
    members.aim = members.refusal = None
    if status != 0:
        status, told = await promotions.process(home, "resume")
    await promotions.at_rest()
    compare(tally, f"{fault} {at:g}", members, calm, status, told)


async def _restart(database: Databases, seconds: float) -> None:
    assert isinstance(database, ServerDatabases)
    await asyncio.sleep(seconds)
    await asyncio.to_thread(database.restart)


def every_kill(calm: Calm) -> list[Point]:
    """Every step boundary, and both sides of every request that writes."""
    steps, writes = range(1, calm.steps + 1), range(1, len(calm.writes) + 1)
    return [(fault, at) for fault in (WITHIN, AFTER) for at in steps] + [
        (fault, at) for fault in (BEFORE_REQUEST, AFTER_REQUEST) for at in writes
    ]
