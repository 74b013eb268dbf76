"""The worker's end of a pipe: a JSON line in, a JSON line out, until the other end closes."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

Task = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


async def answer_tasks(task: Task) -> None:
    """Carry out tasks one after the other. The first failure ends the worker: its traceback is the report."""
    while line := await asyncio.to_thread(sys.stdin.readline):
        sys.stdout.write(json.dumps(await task(json.loads(line))) + "\n")
        sys.stdout.flush()
