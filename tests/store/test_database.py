"""Opening, owning, reading, and the group commit."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text

from fedreg.domain.errors import AlreadyExists, ConfigError, StoreBusy, StoreError
from fedreg.domain.records import Change
from fedreg.store import journal, overflow
from fedreg.store.database import Store


async def test_one_error_in_a_group_harms_nobody_else(store: Store, noon: Any) -> None:
    held, entered = threading.Event(), threading.Event()
    transactions: list[int] = []

    def hold(tx: Connection) -> None:
        entered.set()
        held.wait(10)

    def put(number: int) -> Callable[[Connection], int]:
        def run(tx: Connection) -> int:
            transactions.append(tx.exec_driver_sql("SELECT count(*) FROM overflow").scalar_one())
            overflow.set_value(tx, "prod", str(number), "note", number, noon)
            if number % 3 == 0:
                raise ValueError(number)
            return number

        return run

    first = asyncio.create_task(store.write(hold))
    await asyncio.to_thread(entered.wait, 10)
    others = [asyncio.create_task(store.write(put(n))) for n in range(1, 10)]
    await asyncio.sleep(0)  # let each submit: all nine wait behind the first
    held.set()
    await first
    results = await asyncio.gather(*others, return_exceptions=True)

    assert [r for r in results if isinstance(r, int)] == [1, 2, 4, 5, 7, 8]
    assert [type(r) for r in results if not isinstance(r, int)] == [ValueError] * 3
    values = await store.read(lambda c: overflow.get_values(c, "prod", [str(n) for n in range(1, 10)]))
    assert sorted(values) == ["1", "2", "4", "5", "7", "8"]
    assert transactions == [0, 1, 2, 2, 3, 4, 4, 5, 6]  # each saw its predecessors: one transaction, in order


async def test_a_lost_transaction_is_reported_to_its_whole_group(store: Store, noon: Any) -> None:
    held, entered = threading.Event(), threading.Event()

    def hold(tx: Connection) -> None:
        entered.set()
        held.wait(10)

    def lose(tx: Connection) -> None:  # as SQLite does by itself on a full disk
        tx.exec_driver_sql("ROLLBACK")
        raise RuntimeError("disk full")

    first = asyncio.create_task(store.write(hold))
    await asyncio.to_thread(entered.wait, 10)
    good = asyncio.create_task(store.write(lambda tx: overflow.set_value(tx, "prod", "a", "f", 1, noon)))
    bad = asyncio.create_task(store.write(lose))
    await asyncio.sleep(0)
    held.set()
    await first
    results = await asyncio.gather(good, bad, return_exceptions=True)
    assert all(isinstance(result, Exception) for result in results)
    assert await store.read(lambda c: overflow.get_values(c, "prod", ["a"])) == {}
    await store.write(lambda tx: overflow.set_value(tx, "prod", "b", "f", 1, noon))
    assert await store.read(lambda c: overflow.get_values(c, "prod", ["a", "b"])) == {"b": {"f": 1}}


async def test_a_write_cancelled_before_its_turn_never_happens(store: Store, noon: Any) -> None:
    held, entered = threading.Event(), threading.Event()

    def hold(tx: Connection) -> None:
        entered.set()
        held.wait(10)

    first = asyncio.create_task(store.write(hold))
    await asyncio.to_thread(entered.wait, 10)
    second = asyncio.create_task(store.write(lambda tx: overflow.set_value(tx, "prod", "a", "f", 1, noon)))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    held.set()
    await first
    assert await store.read(lambda c: overflow.get_values(c, "prod", ["a"])) == {}


@pytest.mark.sqlite("its pragma")
async def test_durable_commits_are_full_and_index_commits_normal(store: Store) -> None:
    def level(tx: Connection) -> int:
        return int(tx.exec_driver_sql("PRAGMA synchronous").scalar_one())

    assert await store.write(level) == 2
    assert await store.write_index(level) == 1
    assert await store.write(level) == 2


async def test_readers_can_not_write(store: Store) -> None:
    with pytest.raises(StoreError, match=r"read-?only"):
        await store.read(lambda c: c.execute(text("DELETE FROM overflow")))


@pytest.mark.sqlite("PostgreSQL has no owner")
async def test_a_second_owner_is_refused_and_told_the_first_ones_address(url: str) -> None:
    owner = await Store.open(url, address="http://127.0.0.1:8080")
    try:
        with pytest.raises(StoreBusy) as caught:
            await Store.open(url)
        assert caught.value.details == {"pid": os.getpid(), "address": "http://127.0.0.1:8080"}
        assert "--url http://127.0.0.1:8080" in str(caught.value.cure)
        assert (caught.value.code, caught.value.status, caught.value.exit_code) == ("store_busy", 503, 5)
        assert caught.value.retryable
        await owner.set_address(None)
        with pytest.raises(StoreBusy, match="stop it"):
            await Store.open(url)
    finally:
        await owner.aclose()
    await (await Store.open(url)).aclose()


@pytest.mark.sqlite("PostgreSQL has no owner")
async def test_a_second_process_reads_beside_the_owner(
    store: Store, url: str, noon: Any, make_change: Callable[..., Change]
) -> None:
    await store.write(lambda tx: journal.append(tx, make_change(), noon))
    program = (
        "import asyncio, sys\n"
        "from fedreg.store import journal\n"
        "from fedreg.store.database import Store\n"
        "async def main():\n"
        "    store = await Store.open(sys.argv[1], read_only=True)\n"
        "    print(len(await store.read(journal.list_entries)), store.read_only, store.owner.pid)\n"
        "    await store.aclose()\n"
        "asyncio.run(main())\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, url, stdout=-1, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    assert output.decode().split() == ["1", "True", str(os.getpid())]


async def test_a_read_only_store_refuses_writes(store: Store, url: str) -> None:
    reader = await Store.open(url, read_only=True)
    try:
        with pytest.raises(StoreBusy):
            await reader.write(lambda tx: None)
    finally:
        await reader.aclose()


@pytest.mark.sqlite("a missing file; an empty database is test_postgresql's")
async def test_read_only_needs_a_store(url: str) -> None:
    with pytest.raises(ConfigError, match="no store"):
        await Store.open(url, read_only=True)


@pytest.mark.parametrize("bad", ["postgresql://h", "postgresql+asyncpg://h/db", "mysql://h/db", "fedreg.db", ""])
async def test_other_urls_are_refused(bad: str) -> None:
    with pytest.raises(ConfigError, match=r"store\.url") as caught:
        await Store.open(bad)
    assert "sqlite:///fedreg.db" in str(caught.value)


async def test_a_file_that_is_no_store_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(b"not a database, certainly long enough to be read as one\n" * 20)
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="can't be used"):
        await Store.open(f"sqlite:///{path}")
    assert path.read_bytes() == before
    foreign = tmp_path / "foreign.db"
    with sqlite3.connect(foreign) as connection:
        connection.execute("CREATE TABLE users (id)")
    connection.close()
    with pytest.raises(ConfigError, match="not of fedreg's"):
        await Store.open(f"sqlite:///{foreign}")


async def test_a_missing_folder_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="folder"):
        await Store.open(f"sqlite:///{tmp_path / 'no' / 'such' / 'fedreg.db'}")


async def test_in_memory(noon: Any) -> None:
    store = await Store.open("sqlite://")
    await store.write(lambda tx: overflow.set_value(tx, "prod", "a", "f", [1], noon))
    assert await store.read(lambda c: overflow.get_values(c, "prod", ["a"])) == {"a": {"f": [1]}}
    assert await store.check() == []
    await store.aclose()


async def test_a_closed_store_says_so(url: str) -> None:
    store = await Store.open(url)
    await store.aclose()
    await store.aclose()
    with pytest.raises(StoreError, match="closed"):
        await store.read(lambda c: None)
    with pytest.raises(StoreError, match="closed"):
        await store.write(lambda c: None)


@pytest.mark.sqlite("a file; pg_dump does it for PostgreSQL")
async def test_backup_is_a_whole_store(
    store: Store, tmp_path: Path, noon: Any, make_change: Callable[..., Change]
) -> None:
    await store.write(lambda tx: journal.append(tx, make_change(), noon))
    target = tmp_path / "copy.db"
    await store.backup(target)
    with pytest.raises(AlreadyExists):
        await store.backup(target)
    copy = await Store.open(f"sqlite:///{target}")
    assert await copy.check() == []
    assert len(await copy.read(journal.list_entries)) == 1
    await copy.aclose()


@pytest.mark.sqlite("PostgreSQL lets none be stored")
async def test_check_finds_missing_references(store: Store, url: str) -> None:
    assert await store.check() == []
    await store.aclose()
    with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
        connection.execute("INSERT INTO version_documents (version_id, document) VALUES (99, x'00')")
    connection.close()
    again = await Store.open(url)
    assert await again.check() == ["table version_documents: row 99 refers to a row of versions that is missing"]
    await again.aclose()
