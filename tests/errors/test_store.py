"""A store that can't be used: made by a newer release, no store at all, or owned by another process."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from .cases import AT_START
from .page import Row, Said
from .verdict import compare, judge
from .world import COMMAND, PYTHON, Outcome, World, from_streams, read_tables

OWNER = (
    "import asyncio, sys\n"
    "from fedreg.store.database import Store\n"
    "async def own():\n"
    "    store = await Store.open(sys.argv[1])\n"
    "    print('mine', flush=True)\n"
    "    await asyncio.to_thread(sys.stdin.read)\n"
    "    await store.aclose()\n"
    "asyncio.run(own())\n"
)


def write_on(world: World, surface: str) -> Outcome:
    """Try to change something."""
    if surface == PYTHON:
        return world.python(lambda fed: fed.promote("left:churn@version:1", "production"))
    if surface == COMMAND:
        return world.cli("promote", "left:churn@version:1", "--to", "production")
    command = [sys.executable, "-m", "fedreg.cli.main", "--config", str(world.config), "serve", "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return from_streams(done.returncode, done.stdout, done.stderr)


@contextmanager
def owned(world: World) -> Iterator[None]:
    """Another process owns the store."""
    url = f"sqlite:///{world.home / 'fedreg.db'}"
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", OWNER, url], stdin=pipe, stdout=pipe, text=True) as owner:
        assert owner.stdout is not None and owner.stdin is not None
        assert owner.stdout.readline() == "mine\n"
        yield
        owner.stdin.close()
        assert owner.wait(30) == 0


@pytest.mark.parametrize("surface", AT_START)
def test_made_by_a_newer_release(world: World, page: dict[Row, Said], surface: str) -> None:
    path = world.home / "fedreg.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    before = path.read_bytes()
    outcome = write_on(world, surface)
    judge(outcome, "ConfigError" if surface == PYTHON else "exit 2", ("fedreg.db", "9999"), "newer release")
    assert path.read_bytes() == before
    compare(page, "store made by a newer release", surface, outcome, world.home)


@pytest.mark.parametrize("surface", AT_START)
def test_file_that_is_no_store(world: World, page: dict[Row, Said], surface: str) -> None:
    path = world.home / "fedreg.db"
    path.write_bytes(b"Dear diary, today I was mistaken for a database." * 100)
    before = path.read_bytes()
    outcome = write_on(world, surface)
    judge(outcome, "ConfigError" if surface == PYTHON else "exit 2", ("store.url", "fedreg.db"), "name a SQLite file")
    assert path.read_bytes() == before
    compare(page, "file that is no store", surface, outcome, world.home)


@pytest.mark.parametrize("surface", AT_START)
def test_owned_by_another_process(world: World, page: dict[Row, Said], surface: str) -> None:
    with owned(world):
        before = world.state()
        outcome = write_on(world, surface)
        judge(outcome, "StoreBusy" if surface == PYTHON else "exit 5", ("fedreg.db", "process"), "wait until it ends")
        assert world.state() == before
        reading = world.cli("history", "left:churn")
        assert reading.ending == "exit 0", reading.text
    compare(page, "store that another process owns", surface, outcome, world.home)
    assert world.cli("promote", "left:churn@version:1", "--to", "production").ending == "exit 0"
    assert len(read_tables(world.home / "fedreg.db")["journal"]) == 1
