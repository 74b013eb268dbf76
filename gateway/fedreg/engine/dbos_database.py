"""The database DBOS keeps its checkpoints in: a SQLite file, or a schema of a PostgreSQL database."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

_CACHE_KIB = 512  # SQLite's default is four times that


def open_database(url: str, threads: int) -> sa.Engine:
    """An engine on the database of a URL, with a connection for each of `threads` and some to poll."""
    return _open_sqlite(url, threads) if url.startswith("sqlite") else _open_postgresql(url, threads)


def _open_sqlite(url: str, threads: int) -> sa.Engine:
    """In WAL mode. A commit survives the death of the process; a power cut may take the last ones back, which only
    repeats steps. What it reads is what it has just written, so caches are small: each connection has one. The other
    settings are those DBOS gives its own SQLite engines.
    """
    database = sa.create_engine(url, pool_size=threads + 4, max_overflow=0)
    sa.event.listen(database, "connect", _configure)
    return database


def _open_postgresql(url: str, threads: int) -> sa.Engine:
    """Errors quote no parameters: they may hold what is copied. A process that is stopped in the middle of a
    transaction must not stop who takes its workflows over.
    """
    database = sa.create_engine(
        sa.make_url(url).set(drivername="postgresql+psycopg"),
        pool_size=threads + 4,
        max_overflow=0,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args={"application_name": "fedreg engine", "connect_timeout": 10},
    )

    @sa.event.listens_for(database, "connect")
    def limit(connection: Any, _record: Any) -> None:
        connection.execute("SELECT set_config('idle_in_transaction_session_timeout', '10s', false)")
        connection.commit()

    return database


def _configure(connection: Any, _record: Any) -> None:
    connection.isolation_level = "IMMEDIATE"
    for pragma in (
        "busy_timeout=30000",
        "foreign_keys=ON",
        "journal_mode=WAL",
        "synchronous=NORMAL",
        f"cache_size=-{_CACHE_KIB}",
    ):
        connection.execute(f"PRAGMA {pragma}")
