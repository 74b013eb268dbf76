"""Migrating 60 versions between two real MLflow servers, against the loop one writes with MlflowClient.

Both move the same versions over the same servers, in turns. Afterwards what stands at the target is read past either
of them and compared with the source: files, texts, tags, metrics, parameters, aliases, numbers.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.migration_models import VERSIONS, Held, make_models, read_models
from benchmarks.options import Options
from benchmarks.processes import BenchmarkFailed, Child, start_child
from benchmarks.table import Row, at_least
from fedreg.sandbox.processes import ServerProcess, answers, free_port, start_server, wait_until
from fedreg.sandbox.sandbox import QUIET

SPEED, FASTER = 3.0, 5.0
EXPORT_IMPORT = 0.66  # seconds a version that mlflow-export-import took on a machine of this size
WORKERS = 2  # of each server: one would leave a processor idle while it answers
JOBS = 8


def measure(options: Options) -> list[Row]:
    """Two rows: against the script in the same run, and against the figure of mlflow-export-import."""
    with tempfile.TemporaryDirectory(prefix="fedreg-bench-") as home, ExitStack() as stack:
        source, target = stack.enter_context(_mlflow_servers(Path(home)))
        asyncio.run(make_models(source, options.models))
        expected = asyncio.run(read_models(source, ""))
        count = sum(len(versions) for versions in expected.values())
        if count != options.models * VERSIONS:
            raise BenchmarkFailed(f"{count} versions were made, not {options.models * VERSIONS}")
        servers = ("--source", source, "--target", target)
        script = stack.enter_context(start_child("benchmarks.workers.migration_script", *servers, env=QUIET))
        ours = stack.enter_context(start_child("benchmarks.workers.migration_gateway", *servers))
        theirs, mine = [], []
        for number in range(options.rounds):
            theirs.append(_migrate(script, target, f"script-{number}-", expected))
            mine.append(_migrate(ours, target, f"fedreg-{number}-", expected))
    return _rows(count, theirs, mine)


def _rows(count: int, theirs: list[dict[str, Any]], mine: list[dict[str, Any]]) -> list[Row]:
    speed = median(before["seconds"] / after["seconds"] for before, after in zip(theirs, mine, strict=True))
    each = median(done["seconds"] for done in mine) / count
    phases = ", ".join(f"{phase} {seconds:.2f} s" for phase, seconds in mine[-1]["phases"].items())
    return [
        Row(
            name=f"migration of {count} versions MLflow → MLflow",
            figure=_describe(count, mine),
            reference=f"{_describe(count, theirs)}  sequential script, MlflowClient",
            ratio=speed,
            value=speed,
            unit="ratio",
            note=f"read back and compared, nothing lost; {JOBS} models at once; {phases}",
            **at_least(speed, SPEED),
        ),
        Row(
            name="the same, a version",
            figure=f"{each:.3f} s",
            reference=f"{EXPORT_IMPORT} s  mlflow-export-import, another run",
            ratio=EXPORT_IMPORT / each,
            value=EXPORT_IMPORT / each,
            unit="ratio",
            **at_least(EXPORT_IMPORT / each, FASTER),
        ),
    ]


def _migrate(child: Child, target: str, prefix: str, expected: dict[str, dict[int, Held]]) -> dict[str, Any]:
    """One migration. Raises BenchmarkFailed where anything of the source is missing or differs at the target."""
    done: dict[str, Any] = child.ask(prefix=prefix, jobs=JOBS)
    arrived = asyncio.run(read_models(target, prefix))
    if arrived != expected or done["moved"] != sum(len(versions) for versions in expected.values()):
        wrong = [name for name in expected if arrived.get(name) != expected[name]]
        raise BenchmarkFailed(f"{child.module}: {done['moved']} moved; models that differ: {wrong[:5]}")
    return done


def _describe(count: int, runs: list[dict[str, Any]]) -> str:
    seconds, cpu = median(done["seconds"] for done in runs), median(done["cpu"] for done in runs)
    return f"{seconds:.1f} s, {count / seconds:.1f}/s, CPU {cpu:.1f} s"


@contextmanager
def _mlflow_servers(home: Path) -> Iterator[tuple[str, str]]:
    """Two real `mlflow server`s with their artifact proxies, on SQLite; yields their addresses."""
    with ExitStack() as stack:
        started = [_start_mlflow(home / name, stack) for name in ("source", "target")]
        for server, url in started:
            wait_until(server, partial(answers, f"{url}/health"))
        yield started[0][1], started[1][1]


def _start_mlflow(home: Path, stack: ExitStack) -> tuple[ServerProcess, str]:
    home.mkdir()
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", str(WORKERS), "--backend-store-uri", "sqlite:///mlflow.db"]
    command += ["--artifacts-destination", "./artifacts"]
    env = {**QUIET, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    return start_server("mlflow", command, home, stack, env), f"http://127.0.0.1:{port}"
