"""Rounds of requests, one target after the other, from a load generator on a processor of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from statistics import median

import psutil

from benchmarks.processes import BenchmarkFailed, Child, start_child

SERVER_CORE, LOAD_CORE = 0, 1
WARM_UP_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class Load:
    """Requests a second; milliseconds at p50 and p99; microseconds of the server's processor a request."""

    rate: float
    p50: float
    p99: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Target:
    """What to request. `pid` is the server's; `token` goes into the Authorization header."""

    url: str
    pid: int
    token: str | None = None


@contextmanager
def start_load() -> Iterator[Child]:
    """The load generator."""
    with start_child("benchmarks.workers.load", core=LOAD_CORE) as child:
        yield child


def request(load: Child, target: Target, *, connections: int, seconds: float) -> Load:
    """One round. Raises BenchmarkFailed for an answer that is not 200."""
    before = _used(target.pid)
    done = load.ask(url=target.url, token=target.token, connections=connections, seconds=seconds)
    if "error" in done:
        raise BenchmarkFailed(f"{target.url}: {done['error']}")
    cpu = (_used(target.pid) - before) / done.pop("count") * 1e6
    return Load(**done, cpu=cpu)


def compare(
    load: Child, mine: Target, theirs: Target, *, connections: int, seconds: float, rounds: int
) -> list[tuple[Load, Load]]:
    """Rounds of both, in turns, after a short one of each that does not count."""
    for target in (mine, theirs):
        request(load, target, connections=connections, seconds=min(seconds, WARM_UP_SECONDS))
    return [
        (
            request(load, mine, connections=connections, seconds=seconds),
            request(load, theirs, connections=connections, seconds=seconds),
        )
        for _ in range(rounds)
    ]


def typical(loads: list[Load]) -> Load:
    """The median of each figure."""
    return Load(*(median(column) for column in zip(*(astuple(load) for load in loads), strict=True)))


def _used(pid: int) -> float:
    """Seconds of the processor that a process has used."""
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system
