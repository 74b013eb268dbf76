"""Promotes again and again over links of two in-memory members: `promoting COUNT`. Prints its resident bytes.

`{"tenth", "end"}`: after a tenth of the promotions, and after all. SQLite's caches, which fill once and stay full, are
bounded to what the first tenth fills.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from itertools import cycle

import psutil

from benchmarks.linked import STAGES, Linked, open_linked
from benchmarks.promotions import rate
from fedreg.domain.models import Version
from fedreg.store import connections

MEMBERS = ("ours", "theirs")
MODELS = 20
CACHE_KIB = 512  # of each connection of the store


async def main() -> None:
    """Do it; the count is rounded up to whole rounds over the models."""
    count = int(sys.argv[1])
    connections.CACHE_KIB = CACHE_KIB
    rounds = max(2, -(-count // MODELS))
    async with open_linked(MEMBERS) as linked:
        versions = [await linked.make_linked(number) for number in range(min(MODELS, count))]
        resident = []
        for _, stage in zip(range(rounds), cycle(STAGES), strict=False):
            resident.append(await _promote_all(linked, versions, stage))
        tenth = max(1, rounds // 10)
        promoted = (rounds - tenth) * len(versions)
        found = {"tenth": resident[tenth - 1], "end": resident[-1], "promotions": promoted}
        sys.stdout.write(json.dumps(found) + "\n")


async def _promote_all(linked: Linked, versions: list[Version], stage: str) -> int:
    """Resident bytes afterwards. The registries' own memory of what has changed is emptied."""

    async def act(version: Version) -> None:
        await linked.move(version, stage)

    await rate(versions, act, at_once=len(versions))
    for vendor in linked.vendors.values():
        vendor.feed.clear()
    gc.collect()
    return _read_resident()


def _read_resident() -> int:
    """Resident bytes but for mapped files, which are the system's page cache: a growing store is not kept memory."""
    info = psutil.Process().memory_info()
    return int(info.rss - getattr(info, "shared", 0))


if __name__ == "__main__":
    asyncio.run(main())
