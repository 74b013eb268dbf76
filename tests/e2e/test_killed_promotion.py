"""A promotion over five members, killed with SIGKILL anywhere and resumed, has each effect at each member once.

`make soak ARGS=tests/e2e/test_killed_promotion.py` prints what came of every point, and of every other fault.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from fedreg.sandbox.sandbox import Sandbox

from .fault_table import TABLE, Tally
from .forker import Forker, run_forker
from .kill_pairs import PAIR, Running, run_pair, strike_pair
from .kill_points import (
    BUSY,
    DOWN,
    FULL,
    LATE,
    LOST,
    MOMENT,
    RESTART,
    Calm,
    Point,
    Promotions,
    every_kill,
    strike_one,
)
from .killed_stores import Databases, ServerDatabases, SqliteFiles
from .watched_members import Members
from .watched_servers import NAMES, run_members

SAMPLE = {"sqlite": 24, "postgresql": 6}
MOMENTS, RACES, MINUTE = 130, 10, 60.0


@pytest.fixture
async def members(sandbox: Sandbox, tmp_path: Path) -> AsyncIterator[Members]:
    async with run_members(sandbox, tmp_path) as running:
        yield running


@pytest.fixture
async def forker(tmp_path: Path) -> AsyncIterator[Forker]:
    async with run_forker(tmp_path) as running:
        yield running


@pytest.fixture(params=list(SAMPLE))
def database(request: pytest.FixtureRequest) -> Databases:
    if request.param == "sqlite":
        return SqliteFiles()
    return ServerDatabases(request.getfixturevalue("postgresql_server"))


@pytest.fixture
def promotions(members: Members, database: Databases, forker: Forker, tmp_path: Path) -> Promotions:
    return Promotions(members, database, tmp_path, forker)


@pytest.mark.timeout(600)
async def test_killed_at_some_points(members: Members, forker: Forker, postgresql_server: Any, tmp_path: Path) -> None:
    """On both databases; on a server also one of two gateways, killed or stopped past its lease."""
    empty = members.keep()
    for database in (SqliteFiles(), ServerDatabases(postgresql_server)):
        members.restore(empty)
        (home := tmp_path / database.name).mkdir()
        promotions = Promotions(members, database, home, forker)
        calm = await promotions.prepare()
        check_calm(calm)
        sample = SAMPLE[database.name]
        points = random.Random(1).sample(every_kill(calm), sample)
        points += [(fault, 3) for fault in PAIR if database.name == "postgresql"]
        tallies = await strike_all(promotions, calm, sorted(points))
        assert sum(tally.counts["struck"] for tally in tallies) >= sample * 0.9


@pytest.mark.soak
@pytest.mark.timeout(5400)
async def test_killed_at_every_point(promotions: Promotions) -> None:
    calm = await promotions.prepare()
    chance, points = random.Random(2), every_kill(calm)
    points += [(MOMENT, chance.uniform(0.0, calm.seconds)) for _ in range(MOMENTS)]
    chance.shuffle(points)
    tallies = await strike_all(promotions, calm, points)
    assert sum(tally.counts["struck"] for tally in tallies) >= 200


@pytest.mark.soak
@pytest.mark.timeout(5400)
async def test_other_faults(promotions: Promotions) -> None:
    """Replies lost, requests applied late, members down or throttling (one for a minute), a restarted server."""
    calm = await promotions.prepare()
    chance = random.Random(3)
    points: list[Point] = [(fault, at) for fault in (LOST, LATE) for at in range(1, len(calm.writes) + 1)]
    points += [(fault, float(at)) for fault in (DOWN, BUSY) for at in range(1, len(NAMES) + 1)]
    points += [(BUSY, MINUTE)]
    if isinstance(promotions.database, ServerDatabases):
        points += [(RESTART, chance.uniform(0.0, calm.seconds)) for _ in range(10)]
    tallies = await strike_all(promotions, calm, points)
    assert all(tally.counts["struck"] for tally in tallies)


@pytest.mark.soak
@pytest.mark.timeout(3600)
async def test_one_of_two_gateways(promotions: Promotions) -> None:
    """Killed or stopped at every request that writes: the other finishes."""
    if isinstance(promotions.database, SqliteFiles):
        pytest.skip("several gateways need a server")
    calm = await promotions.prepare()
    await strike_all(promotions, calm, [(fault, at) for fault in PAIR for at in range(1, len(calm.writes) + 1)])


@pytest.mark.soak
@pytest.mark.timeout(3600)
async def test_a_full_disk(promotions: Promotions) -> None:
    """It fails with the store's error, and goes on when there is space again."""
    if isinstance(promotions.database, ServerDatabases):
        pytest.skip("the limit is on this process's files, the server writes its own")
    calm = await promotions.prepare()
    tallies = await strike_all(promotions, calm, [(FULL, size * 4096.0) for size in range(0, 60, 4)])
    failed = [one for one in tallies[0].told if isinstance(one, str)]
    assert failed and all("StoreError: " in one for one in failed)


@pytest.mark.soak
@pytest.mark.timeout(3600)
async def test_both_of_two_gateways_promote(promotions: Promotions) -> None:
    """One asks for the newer version in production, the other for the older in staging: all members agree after it."""
    if isinstance(promotions.database, SqliteFiles):
        pytest.skip("several gateways need a server")
    await promotions.prepare()
    for _ in range(RACES):
        async with run_pair(promotions, await promotions.begin()) as (one, two):
            asked = (one.promote("two"), two.promote("one", "staging"))
            answers = await asyncio.gather(*asked, return_exceptions=True)
            assert any(isinstance(answer, dict) for answer in answers), answers
            await asyncio.gather(one.finished(), two.finished())
            await check_agreement(one)


async def check_agreement(gateway: Running) -> None:
    """No member differs from the link's rule, and the journal is whole."""
    drift = await gateway.call("GET", "/v1/drift")
    assert (drift["rows"], drift["partial"]) == ([], [])
    assert (await gateway.call("GET", "/v1/audit/verify"))["ok"]


async def strike_all(promotions: Promotions, calm: Calm, points: list[Point]) -> list[Tally]:
    """All points, with nothing lost, doubled or ended otherwise."""
    tallies = {fault: TABLE.of(fault, promotions.database.name) for fault, _ in points}
    for fault, at in points:
        strike = strike_pair if fault in PAIR else strike_one
        await strike(promotions, fault, at, calm, tallies[fault])
    assert not [note for tally in tallies.values() for note in tally.notes]
    return list(tallies.values())


def check_calm(calm: Calm) -> None:
    """The undisturbed run is what it is meant to be: two copies, and an earlier holder gives way at every member."""
    ends = {name: history[-1] for name, history in calm.histories.items()}
    assert len(ends) == 5
    assert [len(history[0]) for history in calm.histories.values()] == [2, 2, 2, 1, 1]
    assert sorted(calm.told["stages"].values()) == ["archived"] * 5 + ["production"] * 5
    assert (calm.told["claims"], calm.told["intact"]) == (0, True)
    assert calm.steps > 20 and len(calm.writes) > 10
