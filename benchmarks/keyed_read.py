"""One version by its key, through the whole chain of one gateway process, against a bare aiohttp hello."""

from __future__ import annotations

from dataclasses import replace
from statistics import median

from benchmarks.loading import SERVER_CORE, Load, Target, compare, request, start_load, typical
from benchmarks.options import Options
from benchmarks.processes import BenchmarkFailed, Child, start_server
from benchmarks.table import Row, at_least, at_most
from benchmarks.workers.gateway import MODEL, TOKEN

CONNECTIONS = 16
SHARE, P50_MS = 0.4, 0.3
_MODEL = f"/v1/registries/memory/models/{MODEL}"
# From the index where the API has that, else the least a live read can be: a registry in the gateway's own memory.
READS = ((f"{_MODEL}/versions/1?from=index", "from the index"), (_MODEL, "a model, live, of a registry in memory"))


def measure(options: Options) -> list[Row]:
    """Two rows: requests a second on several connections, and the median time on one."""
    with (
        start_server("benchmarks.workers.gateway", core=SERVER_CORE) as gateway,
        start_server("benchmarks.workers.hello", core=SERVER_CORE) as hello,
        start_load() as load,
    ):
        mine, note = _choose(load, *gateway)
        theirs = Target(f"{hello[1]}/", hello[0].pid)
        many = compare(load, mine, theirs, connections=CONNECTIONS, seconds=options.seconds, rounds=options.rounds)
        one = compare(load, mine, theirs, connections=1, seconds=options.seconds, rounds=options.rounds)
    return [replace(_many_row(many), note=note), _one_row(one)]


def _many_row(rounds: list[tuple[Load, Load]]) -> Row:
    share = median(mine.rate / theirs.rate for mine, theirs in rounds)
    ours, bare = (typical([pair[side] for pair in rounds]) for side in (0, 1))
    return Row(
        name="keyed read: auth, metrics, access log, one process",
        figure=f"{ours.rate:,.0f}/s, CPU {ours.cpu:.0f} µs each",
        reference=f"{bare.rate:,.0f}/s, CPU {bare.cpu:.0f} µs each  bare aiohttp hello",
        ratio=share,
        value=share,
        unit="ratio",
        **at_least(share, SHARE),
    )


def _one_row(rounds: list[tuple[Load, Load]]) -> Row:
    ours, bare = (typical([pair[side] for pair in rounds]) for side in (0, 1))
    return Row(
        name="keyed read on one connection",
        figure=f"p50 {ours.p50:.2f} ms",
        reference=f"p50 {bare.p50:.2f} ms  bare aiohttp hello",
        ratio=ours.p50 / bare.p50,
        value=ours.p50,
        unit="ms",
        **{**at_most(ours.p50, P50_MS), "target": f"p50 <= {P50_MS:g} ms"},
    )


def _choose(load: Child, server: Child, url: str) -> tuple[Target, str]:
    """The first of `READS` that this gateway answers."""
    refused = ""
    for path, note in READS:
        target = Target(f"{url}{path}", server.pid, TOKEN)
        try:
            request(load, target, connections=1, seconds=0.01)
        except BenchmarkFailed as error:
            refused = str(error)
            continue
        return target, note
    raise BenchmarkFailed(refused)
