"""What the tests of every kind share: the live suite in a process of its own, as `make conformance LIVE=1` runs it."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]


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
