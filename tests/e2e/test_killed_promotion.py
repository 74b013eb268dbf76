"""A promotion over five members, killed with SIGKILL anywhere and resumed, has each effect at each member once.

`pytest -m soak -s tests/e2e/test_killed_promotion.py` prints what came of every point.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from .kill_points import (
    Calm,
    Databases,
    Promotions,
    ServerDatabases,
    SqliteFiles,
    every_point,
    run_promotions,
    strike_all,
    wrong,
)

SAMPLE, RANDOM = {"sqlite": 24, "postgresql": 6}, 120


@pytest.fixture(params=list(SAMPLE))
def database(request: pytest.FixtureRequest) -> Databases:
    if request.param == "sqlite":
        return SqliteFiles()
    return ServerDatabases(request.getfixturevalue("postgresql_server"))


@pytest.fixture
async def promotions(database: Databases, tmp_path: Path) -> AsyncIterator[Promotions]:
    async with run_promotions(database, tmp_path) as running:
        yield running


@pytest.mark.timeout(600)
async def test_killed_at_some_points(promotions: Promotions, database: Databases) -> None:
    calm = await promotions.prepare()
    check_calm(calm)
    points = sorted(random.Random(1).sample(every_point(calm), SAMPLE[database.name]))
    tallies = await strike_all(promotions, calm, points, database)
    assert not wrong(tallies)
    assert sum(tally.counts["killed"] for tally in tallies.values()) >= SAMPLE[database.name] * 0.9


@pytest.mark.soak
@pytest.mark.timeout(3600)
async def test_killed_at_every_point(promotions: Promotions, database: Databases) -> None:
    calm = await promotions.prepare()
    chance = random.Random(2)
    points = every_point(calm) + [("at a moment", chance.uniform(0.0, calm.seconds)) for _ in range(RANDOM)]
    tallies = await strike_all(promotions, calm, points, database)
    assert not wrong(tallies)
    assert sum(tally.counts["points"] for tally in tallies.values()) >= 200


@pytest.mark.soak
@pytest.mark.timeout(3600)
async def test_a_full_disk(promotions: Promotions, database: Databases) -> None:
    """It fails with the store's error, and goes on when there is space again."""
    if isinstance(database, ServerDatabases):
        pytest.skip("the limit is on this process's files, the server writes its own")
    calm = await promotions.prepare()
    points = [("with a full disk", size * 4096) for size in range(0, 60, 4)]
    tallies = await strike_all(promotions, calm, points, database)
    assert not wrong(tallies)
    failed = [str(one) for one in tallies["with a full disk"].told if not isinstance(one, dict)]
    assert failed and all("StoreError: " in one for one in failed)


def check_calm(calm: Calm) -> None:
    """The undisturbed run is what it is meant to be: two copies, and an earlier holder gives way at every member."""
    ends = {name: history[-1] for name, history in calm.histories.items()}
    assert len(ends) == 5
    assert [len(history[0]) for history in calm.histories.values()] == [2, 2, 2, 1, 1]
    assert sorted(calm.told["stages"].values()) == ["archived"] * 5 + ["production"] * 5
    assert (calm.told["claims"], calm.told["intact"]) == (0, True)
    assert calm.steps > 20 and calm.writes > 10
