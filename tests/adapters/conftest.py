"""What the tests of every kind share: a sample of the suite, and the live suite as `make conformance` runs it."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
import yaml

from fedreg.testing.declared import PARAMETERS

ROOT = Path(__file__).parents[2]
# `make test` runs a share of what the suite varies, another one of each kind; `make conformance` and `make soak` run
# the rest. What a registry declares is no such variation, but for its stages: `test_set_and_read` goes through all.
SHARE = 3
OWN = {name for name in PARAMETERS if not name.endswith("_stage")}
WHOLE = ("memory", "test_set_and_read")
TWIN = "test_conformance_registry.py"  # of a kind that has gone through the suite already: a share of every class


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    files = sorted(ROOT.glob("tests/adapters/*/test_conformance*.py"))
    suite = [item for item in items if item.path in files and is_sampled(item)]
    for (file, name), group in groupby(suite, key=group_of):
        thin_out(list(group), crc32(name.partition("::")[2].encode()) + files.index(file))


def is_sampled(item: pytest.Item) -> bool:
    function = item.originalname if isinstance(item, pytest.Function) else item.name
    return item.path.parent.name not in WHOLE and function not in WHOLE


def group_of(item: pytest.Item) -> tuple[Path, str]:
    """The tests of which a share is enough."""
    name, _, parameters = item.nodeid.partition("[")
    if item.path.name == TWIN:
        return item.path, name.rpartition("::")[0]
    own = OWN & set(getattr(item, "fixturenames", ()))
    return item.path, item.nodeid if own or not parameters else name


def thin_out(group: list[pytest.Item], number: int) -> None:
    """Leave every third to `make test`, one at least: others in each file, so that together they go through all."""
    first = number % min(SHARE, len(group))
    for place, item in enumerate(group):
        if place % SHARE != first:
            item.add_marker(pytest.mark.soak)


@dataclass(frozen=True)
class LiveRun:
    """What a run said, and how it ended."""

    code: int
    text: str

    def count(self, outcome: str) -> int:
        """Tests of an outcome, over all lines of the summary."""
        return sum(map(int, re.findall(rf"(\d+) {outcome}", self.text)))


RunLive = Callable[..., Awaitable[LiveRun]]


@pytest.fixture
def run_live(tmp_path: Path) -> RunLive:
    """Runs it on a registry of a kind and options; `options` None leaves the configuration out."""

    async def run(kind: str, options: Mapping[str, Any] | None, *arguments: str) -> LiveRun:
        env = {name: value for name, value in os.environ.items() if not name.startswith(("FEDREG_", "PYTEST_"))}
        env["FEDREG_LIVE_KIND"] = kind
        if options is not None:
            config = tmp_path / "live.yaml"
            config.write_text(yaml.safe_dump({"registries": {"mine": {"kind": kind, **options}}}))
            env["FEDREG_LIVE_CONFIG"] = str(config)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "pytest", "tests/live/conformance.py", "-p", "no:cacheprovider", *arguments),
            cwd=ROOT,
            env=env,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        return LiveRun(process.returncode or 0, output.decode())

    return run
