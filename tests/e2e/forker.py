"""A process that has imported what takes long, and forks for each thing it is asked: `killed_promotion.py`."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any


@dataclass
class Child:
    """What was asked: a process, and what it has said so far and nobody has heard yet."""

    said: asyncio.Queue[dict[str, Any]] = field(default_factory=asyncio.Queue)

    async def told(self, what: str) -> Any:
        """The next thing it says: `pid`, `url` of a gateway that listens, `status` at the end."""
        line = await self.said.get()
        assert what in line, line
        return line[what]


class Forker:
    """Made by `run_forker`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._serial = count(1)
        self._children: dict[int, Child] = {}

    def begin(self, **asked: str) -> Child:
        """A process begins; it says its `pid` first."""
        number = next(self._serial)
        child = self._children[number] = Child()
        assert self._process.stdin is not None
        self._process.stdin.write((json.dumps({"number": number, **asked}) + "\n").encode())
        return child

    async def listen(self) -> None:
        """Hand on what the processes say, to the end."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            said = json.loads(line)
            self._children[said["number"]].said.put_nowait(said)


@asynccontextmanager
async def run_forker(home: Path) -> AsyncIterator[Forker]:
    """One that ends when it is left, once its processes have ended."""
    script, pipe = str(Path(__file__).with_name("killed_promotion.py")), asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, script, stdin=pipe, stdout=pipe, cwd=home)
    forker = Forker(process)
    listening = asyncio.create_task(forker.listen())
    try:
        yield forker
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()
        await listening
