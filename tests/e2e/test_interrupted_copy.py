"""Ctrl-C at any moment of `fedreg copy`: exit 130, nothing half-registered, and the same command ends it."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest

from fedreg import aio
from fedreg.domain.errors import NotFound
from fedreg.domain.refs import Ref
from fedreg.sandbox.sandbox import Sandbox

SOURCE = "mlflow-prod:churn@version:2"
STEPS = 18
SAMPLE = ("within:16",)
SAMPLE_TIMES = 1
_serial = count(1)


async def copy(config: Path, model: str, log: Path, where: str) -> subprocess.CompletedProcess[str]:
    script = str(Path(__file__).with_name("interrupted_copy.py"))
    arguments = [str(config), SOURCE, f"sm-eu:{model}", str(log), where]
    return await asyncio.to_thread(
        subprocess.run, [sys.executable, script, *arguments], capture_output=True, text=True, timeout=100
    )


async def list_versions(fed: aio.Client, model: str) -> list[str]:
    """The versions that the target shows; none where it has no such model."""
    try:
        view = await fed.show(Ref("sm-eu", model))
    except NotFound:
        return []
    return [version.version for version in view.versions]


async def interrupt_and_go_on(sandbox: Sandbox, home: Path, where: str) -> None:
    """Interrupt a copy, look at what is there, and run the same command again."""
    config, log, model = home / "fedreg.yaml", home / "steps.log", f"interrupted-{next(_serial)}"
    config.write_text(sandbox.config.read_text())
    stopped = await copy(config, model, log, where)
    assert "Traceback" not in stopped.stderr
    if stopped.returncode == 130:
        assert stopped.stderr.endswith("fedreg: interrupted; what was begun goes on with the same command\n")
        assert stopped.stdout == ""
    else:  # it had ended by then
        assert where.startswith("time:") and stopped.returncode in (0, -signal.SIGINT), stopped.stderr
    async with aio.open(config, read_only=(home / "fedreg.db").exists()) as fed:
        versions = await list_versions(fed, model)
        journal = [entry async for entry in fed.audit()]
        assert len(journal) <= len(versions) <= 1  # recorded once it is there; the record itself may have been the last
    again = await copy(config, model, log, "none")
    assert again.returncode == 0, again.stderr
    async with aio.open(config) as fed:
        assert await list_versions(fed, model) == ["1"]
        compared = await fed.check(SOURCE, f"sm-eu:{model}@version:1", download=True)
        assert compared.same
        assert [entry.change.action for entry in await fed.history(Ref("sm-eu", model))] == ["created", "copied"]


@pytest.mark.parametrize("where", SAMPLE)
async def test_interrupted_at_a_step_boundary(sandbox: Sandbox, tmp_path: Path, where: str) -> None:
    await interrupt_and_go_on(sandbox, tmp_path, where)


@pytest.mark.parametrize("number", range(SAMPLE_TIMES))
async def test_interrupted_at_a_random_moment(sandbox: Sandbox, tmp_path: Path, number: int) -> None:
    await interrupt_and_go_on(sandbox, tmp_path, f"time:{random.Random(number).uniform(0.0, 2.0):.3f}")


@pytest.mark.soak
@pytest.mark.parametrize("when", ["after", "within"])
@pytest.mark.parametrize("number", range(1, STEPS + 1))
async def test_interrupted_at_every_step_boundary(sandbox: Sandbox, tmp_path: Path, number: int, when: str) -> None:
    await interrupt_and_go_on(sandbox, tmp_path, f"{when}:{number}")


@pytest.mark.soak
@pytest.mark.parametrize("number", range(100, 120))
async def test_interrupted_at_twenty_random_moments(sandbox: Sandbox, tmp_path: Path, number: int) -> None:
    await interrupt_and_go_on(sandbox, tmp_path, f"time:{random.Random(number).uniform(0.0, 2.0):.3f}")
