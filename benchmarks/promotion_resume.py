"""How soon a promotion over a link is finished after SIGKILL in its middle: one effect done, the other not settled."""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL

from benchmarks.options import Options
from benchmarks.processes import BenchmarkFailed, start_child, start_server
from benchmarks.servers.hub import NAMESPACES, TOKEN
from benchmarks.table import Row
from benchmarks.workers.killed_gateway import MEMBERS

DELAY = 0.02  # seconds that the registries take for an answer
CEILING = 3.0


@dataclass(frozen=True, slots=True)
class Resumed:
    """Seconds: of a promotion that nothing disturbs, from the new gateway's start to the end, and of all before it."""

    undisturbed: float
    resumed: float
    imported: float


def measure(options: Options) -> list[Row]:
    """One row, about the slowest of the rounds."""
    worst = max((_kill_once() for _ in range(options.rounds)), key=lambda one: one.resumed)
    return [
        Row(
            name="linked promotion, SIGKILL in its middle: to its end",
            figure=f"{worst.resumed:.2f} s (and {worst.imported:.2f} s until the new process has a gateway)",
            reference=f"{worst.undisturbed:.2f} s  a whole promotion, undisturbed",
            ratio=worst.resumed / worst.undisturbed,
            value=worst.resumed,
            unit="s",
            target=f"<= {CEILING:g} s",
            met=worst.resumed <= CEILING,
            note=f"{len(MEMBERS)} members of {DELAY * 1000:g} ms a request; the slowest of {options.rounds}",
        )
    ]


def _kill_once() -> Resumed:
    with (
        tempfile.TemporaryDirectory(prefix="fedreg-bench-") as home,
        start_server("benchmarks.servers.hub", "--delay", DELAY) as (_, hub),
    ):
        config = _write_config(Path(home), hub)
        with start_child("benchmarks.workers.killed_gateway", config, "die") as child:
            undisturbed = json.loads(child.read_line())["undisturbed"]
            if child.process.wait() != -SIGKILL:
                child.read_line()  # tells what went wrong
                raise BenchmarkFailed("the gateway was not killed")
        started = time.monotonic()
        with start_child("benchmarks.workers.killed_gateway", config, "resume") as child:
            times = json.loads(child.read_line())
            if child.process.wait() != 0:
                child.read_line()
                raise BenchmarkFailed("the promotion was not finished")
        return Resumed(undisturbed, times["ended"] - times["opened"], times["opened"] - started)


def _write_config(home: Path, hub: str) -> Path:
    registries = {
        name: {"kind": "huggingface", "namespace": namespace, "token": TOKEN, "endpoint": hub}
        for name, namespace in zip(MEMBERS, NAMESPACES, strict=True)
    }
    link = {
        "members": [f"{name}:churn" for name in MEMBERS],
        "authority": MEMBERS[0],
        "stages": ["staging", "production"],
    }
    content = {"store": {"url": "sqlite:///fedreg.db"}, "registries": registries, "links": {"churn": link}}
    config = home / "fedreg.yaml"
    config.write_text(json.dumps(content))  # YAML is a superset
    return config
