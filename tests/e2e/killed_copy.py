"""A `fedreg copy` that kills itself: `killed_copy.py CONFIG SOURCE TARGET LOG WHERE`.

WHERE is `none`, `after:N` (the Nth step is checkpointed), `within:N` (its work is done, its checkpoint is not)
or `time:S` (seconds after the start of the copy). LOG gets a line for each checkpointed step.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from fedreg import aio
from fedreg.engine import dbos_context


def main(config: str, source: str, target: str, log: str, where: str) -> None:
    kind, _, amount = where.partition(":")
    _watch_steps(log, kind, int(amount) if kind in ("after", "within") else 0)

    async def copy() -> None:
        async with aio.open(config) as fed:
            if kind == "time":
                threading.Timer(float(amount), _die).start()
            report = await fed.copy(source, target)
            print(report.target, report.digest, "moved" if report.moved else "there")

    asyncio.run(copy())


def _watch_steps(log: str, kind: str, number: int) -> None:
    """Note each checkpointed step, and die at the one asked for. The engine itself has no such hook."""
    run = dbos_context._run
    seen = 0

    async def watched(reservation: Any, name: str, fn: Any, *rest: Any) -> Any:
        nonlocal seen
        seen += 1
        mine = seen

        async def within() -> Any:
            result = await fn()
            if kind == "within" and mine == number:
                _die()
            return result

        result = await run(reservation, name, within, *rest)
        with Path(log).open("a") as lines:
            lines.write(f"{name}\n")
        if kind == "after" and mine == number:
            _die()
        return result

    dbos_context._run = watched


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(*sys.argv[1:])
