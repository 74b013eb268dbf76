"""Connections to a SQLite file, driven by SQLAlchemy with our own BEGIN."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, NullPool, create_engine
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

_BUSY_MS = 10_000
_MMAP_BYTES = 1 << 30
# Reads come from the mapping; a cache holds what the log has not given back to the file yet. It fills, and stays full.
CACHE_KIB = 8 * 1024


class SqliteDialect(SQLiteDialect_pysqlite):
    """SQLAlchemy's, but for `begin`, which opens its transactions. A listener for that would slow every statement."""

    supports_statement_cache = True

    def __init__(self, begin: str = "BEGIN", **options: Any) -> None:
        super().__init__(**options)
        self._begin = begin

    def do_begin(self, dbapi_connection: Any) -> None:
        dbapi_connection.execute(self._begin).close()


registry.register("sqlite.fedreg", __name__, SqliteDialect.__name__)


def open_writer(path: Path | None) -> Connection:
    """The writing connection; the file is made where it is missing. Its transactions begin IMMEDIATE."""
    target = ":memory:" if path is None else str(path)
    if path is not None:
        make_private(path)
    connection = _engine(target, begin="BEGIN IMMEDIATE", uri=False).connect()
    if path is not None:
        _pragma(connection, "journal_mode=WAL")
    _set_up(connection)
    return connection


def make_private(path: Path) -> None:
    """Make a missing file, for its owner alone to read; SQLite gives its mode to those it puts beside it.

    A file that is there keeps the mode that somebody gave it. One that can't be made is for SQLite to complain about.
    """
    with suppress(OSError):
        os.close(os.open(path, os.O_CREAT, 0o600))


def open_reader(path: Path, *, read_only: bool) -> Connection:
    """A reading connection that can't write. `read_only`: not even the file's owner-side housekeeping."""
    mode = "ro" if read_only else "rw"
    connection = _engine(f"{path.absolute().as_uri()}?mode={mode}", begin="BEGIN", uri=True).connect()
    _set_up(connection)
    _pragma(connection, "query_only=ON")
    return connection


def driver(connection: Connection) -> sqlite3.Connection:
    """The sqlite3 connection below."""
    lower = connection.connection.dbapi_connection
    assert isinstance(lower, sqlite3.Connection)
    return lower


class SqliteSession:
    """The writing connection of the process that owns the store: `writer.Session` over SQLite."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def run(self, work: Callable[[Connection], None], *, durable: bool) -> None:
        """Run `work` in one transaction and commit it. A durable one survives a power cut, another may not."""
        _pragma(self._connection, f"synchronous={'FULL' if durable else 'NORMAL'}")
        with self._connection.begin():
            work(self._connection)

    @contextmanager
    def isolate(self, connection: Connection) -> Iterator[None]:
        """Undo what is done within, and no more, where it raises. Past SQLAlchemy, which costs ten times as much."""
        lower = driver(connection)
        lower.execute("SAVEPOINT job").close()
        try:
            yield
        except BaseException:
            if lower.in_transaction:
                lower.execute("ROLLBACK TO job").close()
                lower.execute("RELEASE job").close()
            raise
        lower.execute("RELEASE job").close()

    def is_open(self, connection: Connection) -> bool:
        """Whether SQLite still has the transaction open; some errors make it roll back by itself."""
        return driver(connection).in_transaction

    def close(self) -> None:
        self._connection.close()


def _engine(target: str, *, begin: str, uri: bool) -> Engine:
    # isolation_level=None: sqlite3 begins nothing by itself, so that ours is the only BEGIN.
    def connect() -> sqlite3.Connection:
        return sqlite3.connect(target, uri=uri, isolation_level=None, check_same_thread=False, cached_statements=512)

    return create_engine("sqlite+fedreg://", creator=connect, poolclass=NullPool, begin=begin)


def _set_up(connection: Connection) -> None:
    _pragma(connection, f"busy_timeout={_BUSY_MS}")
    _pragma(connection, "foreign_keys=ON")
    _pragma(connection, f"mmap_size={_MMAP_BYTES}")
    _pragma(connection, f"cache_size=-{CACHE_KIB}")
    _pragma(connection, "temp_store=MEMORY")


def _pragma(connection: Connection, statement: str) -> None:
    # Past SQLAlchemy: it would begin a transaction, in which some of these have no effect.
    driver(connection).execute(f"PRAGMA {statement}").close()
