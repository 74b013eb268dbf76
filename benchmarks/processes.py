"""Child processes of a benchmark: servers, and workers that take one JSON line and answer one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parents[1]
STOP_SECONDS = 10.0
_SOURCES = (ROOT, ROOT / "gateway", ROOT / "adapters")


class BenchmarkFailed(Exception):
    """A benchmark could not be carried out; the message says why."""


@dataclass(slots=True)
class Child:
    """A running child. Its stderr goes to a file, whose end is quoted where it fails."""

    module: str
    process: subprocess.Popen[str]
    log: IO[str]

    @property
    def pid(self) -> int:
        return self.process.pid

    def read_line(self) -> str:
        """The next line of its stdout. Raises BenchmarkFailed where the child has ended."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if line:
            return line.strip()
        self.process.wait()
        self.log.seek(0)
        tail = self.log.read()[-3000:]
        raise BenchmarkFailed(f"{self.module} ended with status {self.process.returncode}:\n{tail}")

    def ask(self, **task: Any) -> dict[str, Any]:
        """Send a task and wait for its answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(task) + "\n")
        self.process.stdin.flush()
        found: dict[str, Any] = json.loads(self.read_line())
        return found


@contextmanager
def start_child(
    module: str, *args: object, core: int | None = None, env: Mapping[str, str] | None = None
) -> Iterator[Child]:
    """Run `python -m module` beside this process and stop it at the end. `core`: its place among our processors."""
    path = os.pathsep.join(str(source) for source in _SOURCES)
    given = {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **(env or {})}
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *map(str, args)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=given,
            cwd=ROOT,
        )
        try:
            pin(process.pid, core)
            yield Child(module, process, log)
        finally:
            _stop(process)


@contextmanager
def start_server(
    module: str, *args: object, core: int | None = None, env: Mapping[str, str] | None = None
) -> Iterator[tuple[Child, str]]:
    """A child that says `listening URL` once it serves; yields it with the URL."""
    with start_child(module, *args, core=core, env=env) as child:
        try:
            line = child.read_line()
            if not line.startswith("listening "):
                raise BenchmarkFailed(f"{module} said {line!r} instead of its address")
            yield child, line.removeprefix("listening ")
        finally:
            child.process.terminate()


def run_child(module: str, *args: object, env: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What a worker without tasks prints. Raises BenchmarkFailed where it fails."""
    with start_child(module, *args, env=env) as child:
        found: dict[str, Any] = json.loads(child.read_line())
        return found


def pin(pid: int, core: int | None) -> None:
    """Keep a process on one of the processors we may use, counted round; where the system lets us."""
    if core is None or not hasattr(os, "sched_setaffinity"):
        return
    ours = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(pid, {ours[core % len(ours)]})


def _stop(process: subprocess.Popen[str]) -> None:
    """A worker ends by itself when no more tasks can come; one that does not is made to."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    for end in (process.terminate, process.kill):
        try:
            process.wait(STOP_SECONDS)
            break
        except subprocess.TimeoutExpired:
            end()
    process.wait()
    process.stdout.close()
