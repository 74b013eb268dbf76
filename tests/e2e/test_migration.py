"""Migrations from a real MLflow server, to MLflow and to SageMaker: nothing is lost, nothing moves twice."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest
import pytest_asyncio

from fedreg import aio
from fedreg.domain.migrations import Carried, MigrationOptions
from fedreg.domain.refs import Ref
from fedreg.sandbox.sandbox import Sandbox

from .migrations import expect_whole, rows_of, run_process, write_config
from .mlflow_models import make_models

VERSIONS = 3  # of a model
SIZES = (2, pytest.param(20, marks=pytest.mark.soak))  # models
TARGETS = ("mlflow-new", "sm-eu")
_serial = count(1)


class Move:
    """Models to move, and where to."""

    def __init__(self, config: Path, names: list[str], target: str) -> None:
        self.config = config
        prefix = names[0].rpartition("-")[0]
        self.target = target
        self.models, self.versions = len(names), len(names) * VERSIONS
        self.names = {name: Ref(target, f"new.{name}") for name in names}
        self.options = MigrationOptions(
            models=(f"{prefix}-*",),
            names={f"{prefix}-*": "new.{model}"},
            carry=tuple(Carried),
            preserve_versions=True,
            keep_going=True,
        )


@pytest.fixture(params=SIZES, ids=lambda models: f"{models}x{VERSIONS}")
def models(request: pytest.FixtureRequest) -> int:
    count: int = request.param
    return count


@pytest_asyncio.fixture(params=TARGETS)
async def move(request: pytest.FixtureRequest, models: int, sandbox: Sandbox, tmp_path: Path) -> Move:
    names = await make_models(sandbox.mlflow_url, f"mig{next(_serial)}", models)
    return Move(write_config(sandbox, tmp_path), names, request.param)


async def test_every_version_arrives_with_all_it_has(move: Move) -> None:
    async with aio.open(move.config) as fed:
        plan = await fed.plan_migration("mlflow-prod", move.target, move.options)
        assert (plan.models, plan.to_move, plan.with_problems) == (move.models, move.versions, 0)
        report = await fed.migrate("mlflow-prod", move.target, move.options)
        rows = await rows_of(fed, report)
        assert [row.error for row in rows if row.error] == []
        assert report.complete and report.source_versions == len(rows) == move.versions
        assert report.moved + report.lossy == move.versions
        assert report.bytes == plan.bytes
        again = await fed.migrate("mlflow-prod", move.target, move.options)
        assert (again.moved, again.lossy, again.already_there) == (0, 0, move.versions)
        assert again.complete
    await expect_whole(move.config, move.names, carried=True)


@pytest.mark.parametrize("move", ["sm-eu", pytest.param("mlflow-new", marks=pytest.mark.soak)], indirect=True)
async def test_killed_halfway_it_ends_in_the_same_state(move: Move) -> None:
    killed = await run_process(move.config, "mlflow-prod", move.target, move.options, kill_after=move.versions // 2)
    assert killed.code == -9, killed.errors
    ended = await run_process(move.config, "mlflow-prod", move.target, move.options, kill_after=0)
    assert ended.report is not None, ended.errors
    assert ended.report.complete
    assert ended.report.source_versions == ended.report.moved + ended.report.lossy == move.versions
    again = await run_process(move.config, "mlflow-prod", move.target, move.options, kill_after=0)
    assert again.report is not None and again.report.already_there == move.versions, again.errors
    await expect_whole(move.config, move.names, carried=True)
