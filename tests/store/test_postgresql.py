"""What is PostgreSQL's own: several gateways on one store, connections that break, rights, and passwords."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import URL, Connection, literal, select, text

from fedreg.domain.errors import ConfigError, StoreBusy, StoreUnavailable, Unsupported
from fedreg.domain.records import Change
from fedreg.domain.reports import Verification
from fedreg.store import chain, journal, overflow, postgresql
from fedreg.store.database import Store
from fedreg.store.dialects import matches_glob
from fedreg.store.place import describe, parse_url
from fedreg.store.schema import metadata
from fedreg.store.upgrade import HEAD, upgrade

MakeChange = Callable[..., Change]
_SESSIONS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> "


def _sever(url: str) -> None:
    """End every session of the database, as a restart of the server does."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_SESSIONS + "pg_backend_pid()")  # type: ignore[arg-type]


def _execute(url: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        done = connection.execute(statement)  # type: ignore[call-overload]
        return list(done.fetchall()) if done.description else []


def test_metadata_and_migrations_agree(postgresql_url: str) -> None:
    url = parse_url(postgresql_url)
    assert isinstance(url, URL)
    connection = postgresql.open_writer(url)
    upgrade(connection, url)
    options = {"include_name": lambda name, kind, parents: not str(name).startswith("model_text")}
    with connection.begin():
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []
        by_language = connection.execute(
            text(
                "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema() "
                "AND data_type = 'text' AND collation_name IS DISTINCT FROM 'C'"
            )
        ).all()
    connection.close()
    assert by_language == [], "pages follow the order of bytes: give these columns the collation C"


async def test_gateways_that_start_at_once_migrate_once(postgresql_url: str) -> None:
    stores = await asyncio.gather(*(Store.open(postgresql_url) for _ in range(4)))
    before = [store.upgraded.before for store in stores if store.upgraded]
    assert sorted(before, key=str) == [HEAD, HEAD, HEAD, None]
    await asyncio.gather(*(store.aclose() for store in stores))


async def test_two_gateways_write_one_chain(postgresql_url: str, noon: datetime, make_change: MakeChange) -> None:
    stores = [await Store.open(postgresql_url) for _ in range(2)]

    async def write(store: Store) -> None:
        for _ in range(20):
            await store.write(lambda tx: journal.append(tx, make_change(), noon))

    await asyncio.gather(*(write(store) for store in stores for _ in range(2)))
    assert await stores[0].read(chain.verify) == Verification(ok=True, entries=80)
    assert await stores[1].check() == []
    await asyncio.gather(*(store.aclose() for store in stores))


async def test_a_write_waits_for_another_gateways(postgresql_url: str, noon: datetime) -> None:
    one, other = [await Store.open(postgresql_url) for _ in range(2)]
    held, entered = threading.Event(), threading.Event()

    def hold(tx: Connection) -> None:
        entered.set()
        held.wait(10)
        overflow.set_value(tx, "prod", "a", "f", 1, noon)

    first = asyncio.create_task(one.write(hold))
    await asyncio.to_thread(entered.wait, 10)
    second = asyncio.create_task(other.write(lambda tx: overflow.get_values(tx, "prod", ["a"])))
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    while await asyncio.to_thread(_execute, postgresql_url, waiting) == [(0,)]:
        assert not second.done()
    held.set()
    await first
    assert await second == {"a": {"f": 1}}  # read after the lock, not before
    await one.aclose()
    await other.aclose()


async def test_broken_connections_are_opened_again(postgresql_url: str, noon: datetime) -> None:
    store = await Store.open(postgresql_url)
    await store.write(lambda tx: overflow.set_value(tx, "prod", "a", "f", 1, noon))
    assert await store.read(lambda c: overflow.get_values(c, "prod", ["a"])) == {"a": {"f": 1}}
    await asyncio.to_thread(_sever, postgresql_url)
    assert await store.read(lambda c: overflow.get_values(c, "prod", ["a"])) == {"a": {"f": 1}}
    await store.write(lambda tx: overflow.set_value(tx, "prod", "b", "f", 2, noon))
    await store.aclose()


async def test_a_transaction_that_is_cut_runs_again_as_a_whole(
    postgresql_url: str, noon: datetime, make_change: MakeChange
) -> None:
    store = await Store.open(postgresql_url)
    runs: list[int] = []

    def cut(tx: Connection) -> None:
        journal.append(tx, make_change(), noon)
        runs.append(1)
        if len(runs) == 1:
            _sever(postgresql_url)
        journal.append(tx, make_change(), noon)

    await store.write(cut)
    assert len(runs) == 2
    assert await store.read(chain.verify) == Verification(ok=True, entries=2)
    await store.aclose()


@pytest.mark.parametrize("arrives", [True, False])
async def test_a_commit_whose_answer_is_lost_happens_once(
    postgresql_url: str, noon: datetime, make_change: MakeChange, monkeypatch: pytest.MonkeyPatch, arrives: bool
) -> None:
    store = await Store.open(postgresql_url)
    commit = psycopg.Connection.commit
    cuts: list[int] = []

    def lose(connection: psycopg.Connection[Any]) -> None:
        if threading.current_thread().name != "fedreg-store-writer" or cuts:
            return commit(connection)
        cuts.append(1)
        if arrives:
            commit(connection)
        connection.close()
        raise psycopg.OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(psycopg.Connection, "commit", lose)
    runs: list[int] = []

    def append(tx: Connection) -> None:
        runs.append(1)
        journal.append(tx, make_change(), noon)

    await store.write(append)
    monkeypatch.undo()
    assert cuts == [1]
    assert len(runs) == (1 if arrives else 2)
    assert await store.read(chain.verify) == Verification(ok=True, entries=1)
    await store.aclose()


async def test_a_server_that_stays_away_is_an_error_that_may_pass(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch, noon: datetime
) -> None:
    store = await Store.open(postgresql_url)
    assert await store.read(lambda c: c.scalar(text("SELECT 1"))) == 1
    monkeypatch.setattr(postgresql, "PATIENCE", 0.2)
    monkeypatch.setattr(postgresql, "open_connection", _refuse)
    await asyncio.to_thread(_sever, postgresql_url)
    for work in (
        store.read(lambda c: c.scalar(text("SELECT 1"))),
        store.write(lambda tx: overflow.set_value(tx, "prod", "a", "f", 1, noon)),
    ):
        with pytest.raises(StoreUnavailable, match="can't be reached") as caught:
            await work
        assert caught.value.retryable
        assert (caught.value.status, caught.value.exit_code) == (503, 5)
    await store.aclose()


def _refuse(*_: Any, **__: Any) -> Connection:
    from sqlalchemy.exc import OperationalError

    raise OperationalError("connect", None, psycopg.OperationalError("connection refused"))


async def test_a_process_that_hangs_in_a_transaction_is_cut_off(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch, noon: datetime
) -> None:
    monkeypatch.setitem(postgresql._SETTINGS, "idle_in_transaction_session_timeout", "2s")
    one, other = [await Store.open(postgresql_url) for _ in range(2)]
    released = threading.Event()
    hung = asyncio.create_task(one.write(lambda tx: released.wait(10)))
    await other.write(lambda tx: overflow.set_value(tx, "prod", "a", "f", 1, noon))
    assert not released.is_set()
    released.set()
    assert await hung is True  # it lost its turn, and ran again
    await one.aclose()
    await other.aclose()


async def test_readers_see_one_moment(postgresql_url: str, noon: datetime) -> None:
    store = await Store.open(postgresql_url)

    def look_twice(conn: Connection) -> tuple[int, int]:
        first = conn.scalar(text("SELECT count(*) FROM overflow"))
        _execute(postgresql_url, "INSERT INTO overflow VALUES ('prod', 'a', 'f', '1', 0)")
        return first or 0, conn.scalar(text("SELECT count(*) FROM overflow")) or 0

    assert await store.read(look_twice) == (0, 0)
    await store.aclose()


async def test_no_entry_is_changed_or_taken_away(postgresql_url: str, noon: datetime, make_change: MakeChange) -> None:
    store = await Store.open(postgresql_url)
    await store.write(lambda tx: journal.append(tx, make_change(), noon))
    for statement in (
        "TRUNCATE journal",
        "TRUNCATE journal CASCADE",
        "DELETE FROM journal",
        "UPDATE journal SET hash = ''",
    ):
        with pytest.raises(psycopg.errors.IntegrityConstraintViolation, match="append-only"):
            await asyncio.to_thread(_execute, postgresql_url, statement)
    assert await store.check() == []
    await asyncio.to_thread(_execute, postgresql_url, "ALTER TABLE journal DISABLE TRIGGER journal_no_truncate")
    assert await store.check() == ["table journal: the trigger journal_no_truncate is missing or off"]
    await store.aclose()


async def test_a_newer_store_is_refused(postgresql_url: str) -> None:
    await (await Store.open(postgresql_url)).aclose()
    _execute(postgresql_url, "UPDATE alembic_version SET version_num = '9999'")
    for read_only in (False, True):
        with pytest.raises(ConfigError, match=f"9999.*{HEAD}"):
            await Store.open(postgresql_url, read_only=read_only)


async def test_somebody_elses_database_is_left_alone(postgresql_url: str) -> None:
    _execute(postgresql_url, "CREATE TABLE users (id integer)")
    with pytest.raises(ConfigError, match="not of fedreg's"):
        await Store.open(postgresql_url)
    assert _execute(postgresql_url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'") == [("users",)]


async def test_a_schema_of_its_own(postgresql_url: str) -> None:
    _execute(postgresql_url, "CREATE TABLE users (id integer)")
    _execute(postgresql_url, "CREATE SCHEMA federation")
    store = await Store.open(f"{postgresql_url}&options=-csearch_path%3Dfederation")
    assert await store.check() == []
    await store.aclose()


async def test_reading_only(postgresql_url: str) -> None:
    with pytest.raises(ConfigError, match="revision none"):
        await Store.open(postgresql_url, read_only=True)
    await (await Store.open(postgresql_url)).aclose()
    reader = await Store.open(postgresql_url, read_only=True)
    with pytest.raises(StoreBusy, match="reading only"):
        await reader.write(lambda tx: None)
    with pytest.raises(Unsupported, match="pg_dump"):
        await reader.backup(None)  # type: ignore[arg-type]
    await reader.aclose()


@pytest.mark.parametrize(
    "given",
    [
        "postgresql://ada:hunter2@127.0.0.1:1/fedreg",
        "postgresql://ada@127.0.0.1:1/fedreg?password=hunter2",
        "postgresql://ada:hunter2@[127.0.0.1:1/fedreg",
        "postgresql://ada:hunter2@127.0.0.1:1",
        "postgresql://ada:hunt@hunter2@127.0.0.1:1/fedreg",
        "postgresql://ada:hunt@hunter2/x@127.0.0.1:1/fedreg",
        "mysql://ada:hunter2@127.0.0.1:1/fedreg",
    ],
)
async def test_no_password_is_shown(given: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(ConfigError, match=r"store\.url") as caught:
        await Store.open(given)
    shown = [str(caught.value), repr(caught.value), str(caught.value.to_dict()), caplog.text]
    assert not any("hunter2" in text for text in shown)
    assert "hunter2" not in str(caught.value.__cause__)


def test_a_place_is_described_without_its_password() -> None:
    place = parse_url("postgresql://ada:hunter2@db/fedreg?sslmode=require&password=hunter2")
    assert describe(place) == "postgresql://ada:***@db/fedreg?sslmode=require"
    assert "hunter2" not in repr(place).replace("password=hunter2", "")


async def test_globs_mean_what_they_mean_in_python(postgresql_url: str) -> None:
    globs = ["*", "a?c", "[!a]*", "[]a]", "[b-a]", "a[", "[^a]", "*.c", "a\\d*", "[a-]", ""]
    names = ["abc", "a.c", "-", "]", "^", "a[", "a\\d1", "b\n", "é", ""]
    store = await Store.open(postgresql_url)

    def match(conn: Connection) -> list[tuple[str, str]]:
        return [(g, n) for g in globs for n in names if conn.scalar(select(matches_glob(literal(n), g)))]

    assert await store.read(match) == [(g, n) for g in globs for n in names if fnmatchcase(n, g)]
    await store.aclose()


async def test_search_with_and_without_trigrams(postgresql_url: str) -> None:
    store = await Store.open(postgresql_url)
    known = _execute(postgresql_url, "SELECT 1 FROM pg_extension WHERE extname = 'pg_trgm'")
    indexed = _execute(postgresql_url, "SELECT 1 FROM pg_indexes WHERE indexname = 'model_text_trigrams'")
    assert known == indexed
    await store.aclose()
