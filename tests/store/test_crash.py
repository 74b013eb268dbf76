"""A writer killed in the middle of its commits: what was acknowledged is there, the chain holds, the lock is free."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from fedreg.store import chain, journal, overflow
from fedreg.store.database import Store

_WRITER = """
import asyncio, itertools, os, sys
from datetime import UTC, datetime
from fedreg.domain.records import Actor, Change
from fedreg.store import journal, overflow
from fedreg.store.database import Store

async def worker(store, name):
    for count in itertools.count():
        key = f"{name}-{count}"
        def change(tx):
            now = datetime.now(UTC)
            overflow.set_value(tx, "prod", key, "note", key, now)
            journal.append(tx, Change(action="created", registry="prod", model=key, actor=Actor(subject="w")), now)
        await store.write(change)
        os.write(1, f"{key}\\n".encode())

async def main():
    store = await Store.open(sys.argv[1])
    await asyncio.gather(*(worker(store, name) for name in range(8)))

asyncio.run(main())
"""


@pytest.mark.parametrize("acknowledged", [1, 57, 400])
async def test_acknowledged_writes_survive_a_kill(url: str, acknowledged: int) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, "-c", _WRITER, url], stdout=subprocess.PIPE, env=environment)
    assert process.stdout is not None
    seen = [process.stdout.readline().decode().strip() for _ in range(acknowledged)]
    process.send_signal(signal.SIGKILL)
    rest = process.stdout.read().decode()
    assert process.wait(30) == -signal.SIGKILL
    seen += [line for line in rest.split("\n")[:-1] if line]

    reader = await Store.open(url, read_only=True)  # nobody has recovered the log yet
    found = await reader.read(lambda c: overflow.get_values(c, "prod", seen))
    assert sorted(found) == sorted(seen)
    await reader.aclose()

    store = await Store.open(url)  # the lock went with the process
    assert await store.check() == []
    whole = await store.read(chain.verify)
    assert whole.ok
    assert whole.entries >= len(seen) >= acknowledged
    entries = await store.read(lambda c: journal.list_entries(c, limit=whole.entries))
    assert set(seen) <= {entry.change.model for entry in entries}
    await store.aclose()
