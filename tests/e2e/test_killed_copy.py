"""A copy from a real MLflow server to SageMaker, killed with SIGKILL, ends in one verified version.

Files that were in place are not sent again: shown by the byte counts of a proxy before S3.
"""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path
from urllib.parse import quote

import pytest
import pytest_asyncio

from fedreg import aio
from fedreg.domain.refs import Ref
from fedreg.sandbox.sandbox import Sandbox
from fedreg.testing.backend import Match
from fedreg.testing.faults import FaultProxy

SOURCE = "mlflow-prod:churn@version:2"
STEPS = 5 + 5 + 8  # load, model, begin, 5 puts, source, manifest, 5 reads, finish, verify, record
SAMPLE = ("within:6", "after:16")
SAMPLE_TIMES = 1
_serial = count(1)


class Run:
    """One copy into a model of its own, with a store of its own and S3 behind a counting proxy."""

    def __init__(self, sandbox: Sandbox, proxy: FaultProxy, home: Path) -> None:
        self.model = f"killed-{next(_serial)}"
        self.proxy = proxy
        self.log = home / "steps.log"
        self.config = home / "fedreg.yaml"
        self.config.write_text(sandbox.config.read_text().replace(sandbox.s3_url, proxy.url))

    async def copy(self, where: str) -> subprocess.CompletedProcess[str]:
        script = str(Path(__file__).with_name("killed_copy.py"))
        arguments = [str(self.config), SOURCE, f"sm-eu:{self.model}", str(self.log), where]
        return await asyncio.to_thread(
            subprocess.run, [sys.executable, script, *arguments], capture_output=True, text=True, timeout=100
        )

    def done(self) -> list[str]:
        """Paths of the files whose `put` step was checkpointed."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [line.removeprefix("put ") for line in lines if line.startswith("put ") and line != "put manifest"]

    def received(self, path: str) -> int:
        """Bytes of one file that were sent to S3 so far."""
        return self.proxy.traffic(Match(method="PUT", path=f"/{self.model}/.*/{quote(path)}(\\?|$)")).received


@pytest_asyncio.fixture
async def run(sandbox: Sandbox, tmp_path: Path) -> AsyncIterator[Run]:
    async with FaultProxy(sandbox.s3_url) as proxy:
        yield Run(sandbox, proxy, tmp_path)


async def kill_and_resume(run: Run, where: str) -> None:
    """Kill a copy, run it again, and look at what both ends have."""
    killed = await run.copy(where)
    before = {path: run.received(path) for path in run.done()}
    again = await run.copy("none")
    assert again.returncode == 0, again.stderr
    assert killed.returncode == -9 or where.startswith("time:"), killed.stderr
    assert {path: run.received(path) for path in before} == before, "a finished file was sent again"
    async with aio.open(run.config) as fed:
        view = await fed.show(Ref("sm-eu", run.model))
        assert [version.version for version in view.versions] == ["1"]
        compared = await fed.check(SOURCE, f"sm-eu:{run.model}@version:1", download=True)
        assert compared.same and compared.source_digest == compared.target_digest
        assert [entry.change.action for entry in await fed.history(Ref("sm-eu", run.model))] == ["created", "copied"]
        assert (await fed.verify_audit()).ok


@pytest.mark.parametrize("where", SAMPLE)
async def test_killed_at_a_step_boundary(run: Run, where: str) -> None:
    await kill_and_resume(run, where)


@pytest.mark.parametrize("number", range(SAMPLE_TIMES))
async def test_killed_at_a_random_moment(run: Run, number: int) -> None:
    await kill_and_resume(run, f"time:{random.Random(number).uniform(0.0, 2.5):.3f}")


@pytest.mark.soak
@pytest.mark.parametrize("when", ["after", "within"])
@pytest.mark.parametrize("number", range(1, STEPS + 1))
async def test_killed_at_every_step_boundary(run: Run, number: int, when: str) -> None:
    await kill_and_resume(run, f"{when}:{number}")


@pytest.mark.soak
@pytest.mark.parametrize("number", range(100, 130))
async def test_killed_at_thirty_random_moments(run: Run, number: int) -> None:
    await kill_and_resume(run, f"time:{random.Random(number).uniform(0.0, 2.5):.3f}")


async def test_a_run_has_the_steps_that_are_killed_here(run: Run) -> None:
    """Keeps STEPS honest: a step more in the workflow is a boundary more to be killed at."""
    done = await run.copy("none")
    assert done.returncode == 0, done.stderr
    assert len(run.log.read_text().splitlines()) == STEPS, json.dumps(run.log.read_text().splitlines())
