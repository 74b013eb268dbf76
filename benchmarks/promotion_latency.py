"""How long a promotion over five members takes, against one at the slowest member alone, through the same gateway.

Each request to a member takes a time of its own, slept in the registry.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from itertools import cycle, islice

from benchmarks.linked import STAGES, Linked, open_linked
from benchmarks.options import Options
from benchmarks.sizes import percentile
from benchmarks.table import Row
from fedreg.domain.models import Version
from fedreg_adapters.memory.standin_faults import Mishap

LATENCIES = {"m5": 0.005, "m10": 0.01, "m20": 0.02, "m40": 0.04, "m80": 0.08}  # seconds a request; the first: authority
SLOWEST = max(LATENCIES, key=lambda name: LATENCIES[name])
PAIRS = 20
CEILING = 1.5


@dataclass(slots=True)
class Latency(Mishap):
    """Every call is slow."""

    def takes(self, call: str) -> bool:
        return True


def measure(options: Options) -> list[Row]:
    """One row: the ratio of the medians."""
    mine, alone = asyncio.run(_measure(min(PAIRS, options.promotions)))
    ours, theirs = percentile(mine, 0.5), percentile(alone, 0.5)
    ratio = ours / theirs
    times = ", ".join(f"{seconds * 1000:g}" for seconds in LATENCIES.values())
    return [
        Row(
            name=f"promotion over {len(LATENCIES)} members, p50",
            figure=f"{ours * 1000:.0f} ms",
            reference=f"{theirs * 1000:.0f} ms  at the slowest alone",
            ratio=ratio,
            value=ratio,
            unit="ratio",
            target=f"<= {CEILING:g}x",
            met=ratio <= CEILING,
            note=f"members take {times} ms a request; {len(mine)} promotions, one after the other",
        )
    ]


async def _measure(pairs: int) -> tuple[list[float], list[float]]:
    """Seconds of each promotion: over all members, and at the slowest."""
    async with open_linked(tuple(LATENCIES)) as linked:
        tied, alone = await linked.make_linked(0), await linked.make_alone(SLOWEST, 0)
        await _both(linked, tied, alone, STAGES[-1])
        for name, vendor in linked.vendors.items():
            vendor.mishaps.planned.append(Latency("slow", "", delay=LATENCIES[name]))
        found = [await _both(linked, tied, alone, stage) for stage in islice(cycle(STAGES), pairs)]
        return [mine for mine, _ in found], [theirs for _, theirs in found]


async def _both(linked: Linked, tied: Version, alone: Version, stage: str) -> tuple[float, float]:
    times = []
    for version in (tied, alone):
        started = time.perf_counter()
        await linked.move(version, stage)
        times.append(time.perf_counter() - started)
    return times[0], times[1]
