"""A migration that kills itself: `killed_migration.py CONFIG SOURCE TARGET OPTIONS AFTER`.

OPTIONS is the JSON of MigrationOptions. AFTER is how many versions are settled by this process before it dies with
SIGKILL, others being under way; 0 lets it live. Prints the report as JSON, with the greatest resident memory in bytes
above what it was when the migration began.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Any

import msgspec
import psutil

from fedreg import aio
from fedreg.domain.migrations import MigrationOptions
from fedreg.services import migration_copying


def main(config: str, source: str, target: str, options: str, after: str) -> None:
    if int(after):
        _die_after(int(after))
    memory = psutil.Process()

    async def migrate() -> None:
        async with aio.open(config) as fed:
            await fed.registries()
            base = peak = memory.memory_info().rss

            def watch(_: Any) -> None:
                nonlocal peak
                peak = max(peak, memory.memory_info().rss)

            given = msgspec.json.decode(options, type=MigrationOptions)
            report = await fed.migrate(source, target, given, progress=watch)
            print(msgspec.json.encode({"report": report, "grown": peak - base}).decode())

    asyncio.run(migrate())


def _die_after(count: int) -> None:
    settle = migration_copying._settle
    settled = 0

    async def counting(*arguments: Any) -> None:
        nonlocal settled
        await settle(*arguments)
        settled += 1
        if settled == count:
            os.kill(os.getpid(), signal.SIGKILL)

    migration_copying._settle = counting


if __name__ == "__main__":
    main(*sys.argv[1:])
