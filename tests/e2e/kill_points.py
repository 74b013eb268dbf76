"""Kill points of a promotion over five members: strike at one, resume, compare with a run that nothing disturbed."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, LiteralString, cast

import psycopg
from rich.console import Console
from rich.table import Table

from .watched_members import Aim, Members, run_members, steps_of, write_config

WHERE = {
    "within a step": "within",
    "after a step": "after",
    "at a moment": "time",
    "with a full disk": "full",
}
CELLS = ("points", "killed", "lost", "doubled", "end state differs")


@dataclass(frozen=True)
class SqliteFiles:
    """A store in files beside the configuration. Another database has the same two methods."""

    name: str = "sqlite"

    def url(self, home: Path) -> str:
        """The `store.url` of a gateway at home there."""
        return f"sqlite:///{home}/fedreg.db"

    def copy(self, source: Path, target: Path) -> None:
        """The closed store (and the engine's) of one home, at another."""
        for file in source.glob("fedreg*.db*"):
            shutil.copy2(file, target)


@dataclass(frozen=True)
class ServerDatabases:
    """A store in a database of a PostgreSQL server; a killed gateway's work is taken over when its lease has ended."""

    server: Any
    name: str = "postgresql"

    def url(self, home: Path) -> str:
        """The `store.url` of a gateway at home there; the database is made where it is missing."""
        name = _database_of(home)
        if not self._ask("SELECT 1 FROM pg_database WHERE datname = %s", name):
            self._do(f"CREATE DATABASE {name}")
        return str(self.server.get_uri(database=name))

    def copy(self, source: Path, target: Path) -> None:
        """The store (and the engine's) of one home, at another."""
        self._do(f"CREATE DATABASE {_database_of(target)} TEMPLATE {_database_of(source)}")

    def _do(self, statement: LiteralString) -> None:
        with psycopg.connect(self.server.get_uri(), autocommit=True) as connection:
            connection.execute(statement)

    def _ask(self, statement: LiteralString, value: str) -> Any:
        with psycopg.connect(self.server.get_uri()) as connection:
            return connection.execute(statement, [value]).fetchone()


Databases = SqliteFiles | ServerDatabases


def _database_of(home: Path) -> LiteralString:
    return cast("LiteralString", "k" + hashlib.sha256(str(home).encode()).hexdigest()[:32])


@dataclass(frozen=True)
class Calm:
    """A run that nothing disturbed: what came of it, and how much of everything there was."""

    told: Any
    histories: dict[str, list[dict[str, str]]]
    steps: int
    writes: int
    seconds: float


@dataclass
class Tally:
    """What came of the points of one kind."""

    counts: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    told: list[Any] = field(default_factory=list)


class Promotions:
    """Promotions in forked processes over members that outlive them, each beginning at the same state."""

    def __init__(self, members: Members, database: Databases, home: Path, forker: asyncio.subprocess.Process) -> None:
        self._members, self._database, self._home, self._forker = members, database, home, forker
        self._serial = count(1)
        self._before = home / "before"

    async def prepare(self) -> Calm:
        """Make the state before, and run once undisturbed."""
        self._before.mkdir()
        status, told = await self._process(self._before, "prepare")
        assert status == 0, told
        self._members.keep()
        home, began = await self._begin(), time.monotonic()
        status, told = await self._process(home, "run")
        assert status == 0, told
        steps = len((home / "steps").read_text().splitlines())
        taken = time.monotonic() - began
        return Calm(told, self._members.histories, steps, len(self._members.writes), taken)

    async def strike(self, fault: str, at: float, calm: Calm, tally: Tally) -> None:
        """Kill at one point, resume, compare."""
        home = await self._begin()
        if fault.endswith("request"):
            self._members.aim = Aim(int(at), fault.split()[0])
            killed, _ = await self._process(home, "run")
        else:
            killed, told = await self._process(home, f"{WHERE[fault]}:{at:g}")
            tally.told.append(told)
        self._members.aim = None
        status, told = await self._process(home, "resume")
        tally.counts["points"] += 1
        tally.counts["killed"] += killed == -signal.SIGKILL
        self._compare(f"{fault} {at:g}", status, told, calm, tally)

    def _compare(self, point: str, status: int, told: Any, calm: Calm, tally: Tally) -> None:
        for name, history in self._members.histories.items():
            had, wanted = steps_of(history), steps_of(calm.histories[name])
            for cell, wrong in (("lost", wanted - had), ("doubled", had - wanted)):
                tally.counts[cell] += wrong.total()
                tally.notes += [f"{point}: {name}: {cell}: {step}" for step in wrong]
        ends = {name: history[-1] for name, history in self._members.histories.items()}
        if status != 0 or told != calm.told or ends != {name: hist[-1] for name, hist in calm.histories.items()}:
            tally.counts["end state differs"] += 1
            tally.notes.append(f"{point}: exit status {status}: {told}")

    async def _begin(self) -> Path:
        """A home of its own with the store as it was before, the members too."""
        while self._members.busy:
            await asyncio.sleep(0.01)
        self._members.restore()
        home = self._home / f"run-{next(self._serial)}"
        home.mkdir()
        self._database.copy(self._before, home)
        return home

    async def _process(self, home: Path, where: str) -> tuple[int, Any]:
        """Exit status and result of one process; what it told where it failed."""
        config = write_config(self._members, home, self._database.url(home))
        result, log = home / "result.json", home / "steps"
        log.touch()
        asked = {"config": str(config), "where": where, "result": str(result), "log": str(log)}
        assert self._forker.stdin is not None
        self._forker.stdin.write((json.dumps(asked) + "\n").encode())
        pid = (await self._line())["pid"]
        self._members.kill = partial(_kill, pid)
        status = (await self._line())["status"]
        text = result.read_text() if result.exists() else "null"
        return status, json.loads(text) if status == 0 else text

    async def _line(self) -> Any:
        assert self._forker.stdout is not None
        return json.loads(await self._forker.stdout.readline())


@asynccontextmanager
async def run_promotions(database: Databases, home: Path) -> AsyncIterator[Promotions]:
    """The members, and the process that forks the others."""
    script = str(Path(__file__).with_name("killed_promotion.py"))
    async with run_members() as members:
        pipe = asyncio.subprocess.PIPE
        forker = await asyncio.create_subprocess_exec(sys.executable, script, stdin=pipe, stdout=pipe, cwd=home)
        try:
            yield Promotions(members, database, home, forker)
        finally:
            assert forker.stdin is not None
            forker.stdin.close()
            await forker.wait()


async def strike_all(
    promotions: Promotions, calm: Calm, points: Iterable[tuple[str, float]], database: Databases
) -> dict[str, Tally]:
    """All points; the table of what came of them is printed, the tallies are by kind of fault."""
    tallies: dict[str, Tally] = {}
    try:
        for fault, at in points:
            await promotions.strike(fault, at, calm, tallies.setdefault(fault, Tally()))
    finally:  # also of a run that is broken off
        show(tallies, database)
    return tallies


def show(tallies: dict[str, Tally], database: Databases) -> None:
    """Print the table, and a line for each thing that went wrong."""
    table = Table("fault", "database", *CELLS, title="a promotion over five members, killed and resumed")
    for fault, tally in tallies.items():
        table.add_row(
            fault if fault == "with a full disk" else f"killed {fault}",
            database.name,
            *(str(tally.counts[cell]) for cell in CELLS),
        )
    console = Console(width=110)
    console.print(table)
    for note in [note for tally in tallies.values() for note in tally.notes]:
        console.print(note, markup=False)


def every_point(calm: Calm) -> list[tuple[str, float]]:
    """Every step boundary, and both sides of every request that writes."""
    steps, writes = range(1, calm.steps + 1), range(1, calm.writes + 1)
    found: list[tuple[str, float]] = [(f"{when} a step", at) for when in ("within", "after") for at in steps]
    return found + [(f"{when} a request", at) for when in ("before", "after") for at in writes]


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def wrong(tallies: dict[str, Tally]) -> Sequence[str]:
    """What must be nothing."""
    return [note for tally in tallies.values() for note in tally.notes]
