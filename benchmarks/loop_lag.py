"""How late the gateway's event loop is while all threads of a blocking SDK are busy, against the same loop idle.

Read off the gateway's own metric, `fedreg_event_loop_lag_seconds`.
"""

from __future__ import annotations

import json
import math
import time
import urllib.request
from collections.abc import Mapping
from itertools import pairwise
from statistics import median

from benchmarks.loading import LOAD_CORE, SERVER_CORE, WARM_UP_SECONDS, Load, Target, request, start_load
from benchmarks.options import Options
from benchmarks.processes import BenchmarkFailed, start_server
from benchmarks.table import Row
from benchmarks.workers.served import TOKEN

DELAY = 0.05  # seconds the stand-in takes for an answer
CONNECTIONS, THREADS = 32, 8
CEILING_MS = 30.0
IDLE_SECONDS = 0.5  # at least: ticks are 20 ms apart
MODEL = "bench"
METRIC = "fedreg_event_loop_lag_seconds_bucket"

Buckets = Mapping[float, float]  # upper bound in seconds -> how many ticks were not later


def measure(options: Options) -> list[Row]:
    """One row: the p99 of how late what is due is run."""
    with start_server("benchmarks.servers.standin", "sagemaker", "--delay", DELAY, core=LOAD_CORE) as (_, standin):
        blocking = {
            "kind": "sagemaker",
            "region": "eu-west-1",
            "endpoint_url": standin,
            "access_key_id": "benchmark",
            "secret_access_key": "benchmark",
            "max_pool": THREADS,
        }
        registries = json.dumps({"blocking": blocking})
        with (
            start_server("benchmarks.workers.served", registries, core=SERVER_CORE) as (server, gateway),
            start_load() as load,
        ):
            _create_model(gateway)
            target = Target(f"{gateway}/v1/registries/blocking/models/{MODEL}", server.pid, TOKEN)
            request(load, target, connections=CONNECTIONS, seconds=min(options.seconds, WARM_UP_SECONDS))
            rounds = []
            for _ in range(options.rounds):
                start = read_buckets(_metrics(gateway))
                time.sleep(max(options.seconds, IDLE_SECONDS))
                idle = read_buckets(_metrics(gateway))
                done = request(load, target, connections=CONNECTIONS, seconds=options.seconds)
                rounds.append((done, _between(idle, read_buckets(_metrics(gateway))), _between(start, idle)))
    return [_row(rounds)]


def _row(rounds: list[tuple[Load, Buckets, Buckets]]) -> Row:
    busy, idle = _sum([busy for _, busy, _ in rounds]), _sum([idle for _, _, idle in rounds])
    p99 = {name: quantile(buckets, 0.99) * 1000 for name, buckets in (("busy", busy), ("idle", idle))}
    taken = median(done.p50 for done, _, _ in rounds)
    # as many wait as connections exceed threads: a request takes so many turns of the pool
    turns = CONNECTIONS / THREADS
    return Row(
        name=f"event-loop lag, p99, {THREADS} threads of boto3 busy",
        figure=f"{p99['busy']:.1f} ms (p50 {quantile(busy, 0.5) * 1000:.1f} ms)",
        reference=f"{p99['idle']:.1f} ms  idle",
        ratio=p99["busy"] / p99["idle"],
        value=p99["busy"],
        unit="ms",
        target=f"p99 <= {CEILING_MS:g} ms",
        met=p99["busy"] <= CEILING_MS,
        note=f"{median(done.rate for done, _, _ in rounds):,.0f} reads/s on {CONNECTIONS} connections, "
        f"p50 {taken:.0f} ms: {taken / 1000 / DELAY:.1f} answers of {DELAY * 1000:.0f} ms ({turns:g} at least)",
    )


def read_buckets(text: str) -> Buckets:
    """The cumulative buckets of the lag, out of what /metrics says. Raises BenchmarkFailed where there are none."""
    lines = (line.rpartition(" ") for line in text.splitlines() if line.startswith(METRIC))
    found = {float(name.partition('le="')[2].partition('"')[0]): float(value) for name, _, value in lines}
    if not found:
        raise BenchmarkFailed(f"/metrics has no {METRIC}")
    return found


def quantile(buckets: Buckets, share: float) -> float:
    """Seconds that `share` (0 to 1) of the ticks did not exceed, as Prometheus's histogram_quantile has it.

    Linear within a bucket; beyond the last bound that bound. Raises BenchmarkFailed for no ticks.
    """
    bounds = sorted(buckets)
    total = buckets[bounds[-1]]
    if not total:
        raise BenchmarkFailed("the event loop was not looked at")
    for low, high in pairwise([0.0, *bounds]):
        below = buckets.get(low, 0.0)
        if buckets[high] >= share * total:
            return low if math.isinf(high) else low + (high - low) * (share * total - below) / (buckets[high] - below)
    raise AssertionError("the last bucket holds all")


def _sum(rounds: list[Buckets]) -> Buckets:
    return {bound: sum(buckets[bound] for buckets in rounds) for bound in rounds[0]}


def _between(before: Buckets, after: Buckets) -> Buckets:
    return {bound: after[bound] - before[bound] for bound in after}


def _create_model(gateway: str) -> None:
    _send(f"{gateway}/v1/registries/blocking/models", json.dumps({"name": MODEL}).encode())


def _metrics(gateway: str) -> str:
    return _send(f"{gateway}/metrics")


def _send(url: str, body: bytes | None = None) -> str:
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=60) as answer:
        text: str = answer.read().decode()
        return text
