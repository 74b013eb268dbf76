"""A version read live from a registry that takes 20 ms, against the same request sent there directly."""

from __future__ import annotations

from statistics import median

from benchmarks.loading import SERVER_CORE, Load, Target, compare, start_load, typical
from benchmarks.options import Options
from benchmarks.processes import start_server
from benchmarks.servers.mlflow import API
from benchmarks.table import Row
from benchmarks.workers.gateway import TOKEN

DELAY = 0.02
CONNECTIONS = 32
ADDED_P50_MS, ADDED_P99_MS = 1.5, 10.0
MODEL = "size-1024"


def measure(options: Options) -> list[Row]:
    """Two rows: milliseconds added at p50 and p99."""
    with (
        start_server("benchmarks.servers.mlflow", "--delay", DELAY) as (slow, registry),
        start_server("benchmarks.workers.gateway", "--mlflow", registry, core=SERVER_CORE) as (server, gateway),
        start_load() as load,
    ):
        rounds = compare(
            load,
            Target(f"{gateway}/v1/registries/slow/models/{MODEL}/versions/1", server.pid, TOKEN),
            Target(f"{registry}{API}model-versions/get?name={MODEL}&version=1", slow.pid),
            connections=CONNECTIONS,
            seconds=options.seconds,
            rounds=options.rounds,
        )
    return [
        _row("p50", ADDED_P50_MS, [(mine.p50, theirs.p50) for mine, theirs in rounds], rounds),
        _row("p99", ADDED_P99_MS, [(mine.p99, theirs.p99) for mine, theirs in rounds], rounds),
    ]


def _row(what: str, most: float, pairs: list[tuple[float, float]], rounds: list[tuple[Load, Load]]) -> Row:
    added = median(mine - theirs for mine, theirs in pairs)
    ours, straight = (typical([pair[side] for pair in rounds]) for side in (0, 1))
    taken = median(mine for mine, _ in pairs)
    return Row(
        name=f"live read, added at {what}, {CONNECTIONS} connections, {DELAY * 1000:.0f} ms registry",
        figure=f"{added:+.1f} ms ({taken:.1f} ms, {ours.rate:,.0f}/s, CPU {ours.cpu:.0f} µs each)",
        reference=f"{median(theirs for _, theirs in pairs):.1f} ms, {straight.rate:,.0f}/s  straight",
        ratio=median(mine / theirs for mine, theirs in pairs),
        value=added,
        unit="ms",
        target=f"{what} <= +{most:g} ms",
        met=added <= most,
    )
