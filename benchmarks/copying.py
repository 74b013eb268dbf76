"""Copying one version from MLflow to SageMaker, against a plain copy over the same servers."""

from __future__ import annotations

import threading
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import psutil

from benchmarks.options import Options
from benchmarks.processes import BenchmarkFailed, Child, start_child, start_server
from benchmarks.sizes import MIB, show_size
from benchmarks.table import Row, at_least, at_most

WARM_UP = 16 * MIB  # more than one part
SPEED, GROWTH = 0.5, 64 * MIB
_EVERY = 0.01


def measure(options: Options) -> list[Row]:
    """Two rows a size: speed against the plain copy, and by how much the gateway's process grew meanwhile."""
    with ExitStack() as stack:
        s3, mlflow, sagemaker = (
            stack.enter_context(start_server(module))[1]
            for module in ("benchmarks.servers.s3", "benchmarks.servers.mlflow", "fedreg_adapters.sagemaker.standin")
        )
        ours = stack.enter_context(
            start_child("benchmarks.workers.copy_gateway", "--mlflow", mlflow, "--s3", s3, "--sagemaker", sagemaker)
        )
        plain = stack.enter_context(start_child("benchmarks.workers.copy_plain", "--mlflow", mlflow, "--s3", s3))
        for child in (ours, plain):
            _copy(child, WARM_UP, s3)
        largest = max(options.copy_sizes)  # a small copy takes as long as the record of it
        rows = [
            row
            for size in options.copy_sizes
            for row in _measure_size(ours, plain, size, s3, options.rounds, judged=size == largest)
        ]
        return [replace(rows[0], note=_servers_alone(plain, min(options.copy_sizes), s3)), *rows[1:]]


@dataclass(frozen=True, slots=True)
class Copied:
    """Seconds by the clock and of the processor."""

    seconds: float
    cpu: float


def _measure_size(ours: Child, plain: Child, size: int, s3: str, rounds: int, *, judged: bool) -> list[Row]:
    theirs: list[Copied] = []
    mine: list[Copied] = []
    grown: list[int] = []
    for _ in range(rounds):
        theirs.append(_copy(plain, size, s3))
        with Growth(ours.pid) as growth:
            mine.append(_copy(ours, size, s3))
        grown.append(growth.bytes)
    speed = median(before.seconds / after.seconds for before, after in zip(theirs, mine, strict=True))
    label, most = show_size(size), max(grown)
    return [
        Row(
            name=f"copy of {label}, streamed, hashed, read back",
            figure=_rate(size, mine),
            reference=f"{_rate(size, theirs)}  plain copy, one read",
            ratio=speed,
            value=speed,
            unit="ratio",
            **(at_least(speed, SPEED) if judged else {}),
        ),
        Row(
            name=f"memory grown by a copy of {label}",
            figure=f"+{most / MIB:.0f} MiB",
            value=most / MIB,
            unit="MiB",
            **{**at_most(most, GROWTH), "target": f"<= {GROWTH // MIB} MiB"},
        ),
    ]


def _copy(child: Child, size: int, s3: str) -> Copied:
    """One copy; what it made is thrown away."""
    done: dict[str, Any] = child.ask(size=size)
    _clear(s3)
    if done["bytes"] != size or not done["moved"]:
        raise BenchmarkFailed(f"{child.module} moved {done['bytes']} of {size} bytes")
    return Copied(done["seconds"], done["cpu"])


def _servers_alone(plain: Child, size: int, s3: str) -> str:
    """What the servers give when nothing is to be done with the bytes."""
    done: dict[str, Any] = plain.ask(size=size, alone=True)
    _clear(s3)
    return "servers alone: " + ", ".join(f"{what} {rate / MIB:.0f} MiB/s" for what, rate in done.items())


def _clear(s3: str) -> None:
    with urllib.request.urlopen(urllib.request.Request(f"{s3}/-/clear", method="POST"), timeout=60):
        pass


def _rate(size: int, copies: list[Copied]) -> str:
    seconds, cpu = median(copy.seconds for copy in copies), median(copy.cpu for copy in copies)
    return f"{seconds:.2f} s, {size / seconds / MIB:.0f} MiB/s, CPU {cpu:.2f} s"


class Growth:
    """By how much a process's resident memory rises above what it has at the start of the block, at its peak."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._done = threading.Event()
        self._sampler = threading.Thread(target=self._sample, daemon=True)
        self.bytes = 0

    def __enter__(self) -> Growth:
        self._base = self._process.memory_info().rss
        self._sampler.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._sampler.join()

    def _sample(self) -> None:
        while not self._done.wait(_EVERY):
            self.bytes = max(self.bytes, self._process.memory_info().rss - self._base)
