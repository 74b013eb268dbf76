"""Reads of a healthy registry beside three sick ones under load, against the same gateway without any sick one.

One sick registry refuses connections, one takes them and is silent, one answers after five seconds.
"""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from statistics import median
from typing import Any

from benchmarks.loading import LOAD_CORE, SERVER_CORE, WARM_UP_SECONDS, Load, Target, request, start_load
from benchmarks.options import Options
from benchmarks.processes import BenchmarkFailed, Child, start_child, start_server
from benchmarks.table import Row
from benchmarks.workers.served import TOKEN

DELAY, CRAWL = 0.02, 5.0  # seconds that the healthy and the slowest registry take for an answer
PRESSURE, PAUSE = 8, 0.2  # connections to each sick registry, and seconds between two requests of one
P50_RATIO, ADDED_P99_MS = 1.25, 10.0
MODEL = "size-1024"
# what -> path, and connections: few enough that no processor is busy all the time, for then every request counts double
PAGE = "/v1/versions?limit=100"
READS = {
    "live read": (f"/v1/registries/healthy/models/{MODEL}/versions/1", 4),
    "inventory page of all registries": (PAGE, 1),
}
SILENT = {"deadline": 2.0}  # else it takes minutes until the first scan is given up

Rounds = Sequence[tuple[Load, Load]]


def measure(options: Options) -> list[Row]:
    """Four rows: p50 and p99, of a live read and of an inventory page."""
    with (
        start_server("benchmarks.servers.mlflow", "--delay", DELAY) as (_, healthy),
        start_server("benchmarks.servers.mlflow", "--delay", CRAWL) as (_, crawling),
        start_server("benchmarks.servers.silent") as (_, silent),
        _serve({"healthy": _mlflow(healthy)}) as alone,
        _serve(
            {
                "healthy": _mlflow(healthy),
                "refusing": _mlflow(_refusing()),
                "silent": _mlflow(silent, calls=SILENT),
                "crawling": _mlflow(crawling),
            }
        ) as beside,
        start_child("benchmarks.workers.pressure", core=LOAD_CORE) as pressure,
        start_load() as load,
    ):
        for server, url in (alone, beside):
            _read(Target(f"{url}{PAGE}", server.pid, TOKEN))
        names = ("refusing", "silent", "crawling")
        sick = [f"{beside[1]}/v1/registries/{name}/models/{MODEL}/versions/1" for name in names]
        return [
            row
            for name, read in READS.items()
            for row in _rows(name, _compare(load, pressure, beside, alone, read, sick, options))
        ]


def _compare(
    load: Child,
    pressure: Child,
    beside: tuple[Child, str],
    alone: tuple[Child, str],
    read: tuple[str, int],
    sick: list[str],
    options: Options,
) -> Rounds:
    """Rounds of both, in turns; the sick registries are under load while their gateway is measured."""
    rounds = []
    for _ in range(options.rounds):
        pressure.ask(urls=sick, token=TOKEN, connections=PRESSURE, pause=PAUSE)
        mine = _request(load, beside, *read, options.seconds)
        pressure.ask()
        rounds.append((mine, _request(load, alone, *read, options.seconds)))
    return rounds


def _request(load: Child, gateway: tuple[Child, str], path: str, connections: int, seconds: float) -> Load:
    """A round, after a short one that does not count."""
    target = Target(f"{gateway[1]}{path}", gateway[0].pid, TOKEN)
    request(load, target, connections=connections, seconds=min(seconds, WARM_UP_SECONDS))
    return request(load, target, connections=connections, seconds=seconds)


def _rows(name: str, rounds: Rounds) -> list[Row]:
    p50, p50_alone, p99, p99_alone = (
        median(getattr(pair[side], figure) for pair in rounds) for figure in ("p50", "p99") for side in (0, 1)
    )
    ratio = median(mine.p50 / theirs.p50 for mine, theirs in rounds)
    added = median(mine.p99 - theirs.p99 for mine, theirs in rounds)
    return [
        Row(
            name=f"{name}, p50, beside 3 sick registries under load",
            figure=f"{p50:.1f} ms",
            reference=f"{p50_alone:.1f} ms  without them",
            ratio=ratio,
            value=ratio,
            unit="ratio",
            target=f"<= {P50_RATIO:g}x",
            met=ratio <= P50_RATIO,
            note=f"one refuses, one is silent, one takes {CRAWL:g} s; {PRESSURE} connections to each",
        ),
        Row(
            name=f"{name}, p99, beside 3 sick registries under load",
            figure=f"{added:+.1f} ms ({p99:.1f} ms)",
            reference=f"{p99_alone:.1f} ms  without them",
            ratio=median(mine.p99 / theirs.p99 for mine, theirs in rounds),
            value=added,
            unit="ms",
            target=f"p99 <= +{ADDED_P99_MS:g} ms",
            met=added <= ADDED_P99_MS,
        ),
    ]


@contextmanager
def _serve(registries: Mapping[str, Any]) -> Iterator[tuple[Child, str]]:
    with start_server("benchmarks.workers.served", json.dumps(registries), core=SERVER_CORE) as served:
        yield served


def _mlflow(url: str, **more: Any) -> dict[str, Any]:
    return {"kind": "mlflow", "url": url, **more}


def _refusing() -> str:
    """An address where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        return f"http://127.0.0.1:{gone.getsockname()[1]}"


def _read(target: Target) -> bytes:
    """One request, however long it takes: registries never scanned are scanned first."""
    asked = urllib.request.Request(target.url, headers={"Authorization": f"Bearer {target.token}"})
    try:
        with urllib.request.urlopen(asked, timeout=300) as answer:
            found: bytes = answer.read()
    except urllib.error.HTTPError as error:
        raise BenchmarkFailed(f"{target.url} answered {error.code}: {error.read().decode()[-500:]}") from error
    return found
