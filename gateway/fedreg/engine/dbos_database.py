"""The SQLite file DBOS keeps its checkpoints in. On PostgreSQL DBOS opens its database itself."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa


def open_sqlite(url: str, threads: int) -> sa.Engine:
    """An engine on the SQLite file of `url`, in WAL mode, with a connection for each of `threads` and some to poll.

    A commit survives the death of the process; a power cut may take the last ones back, which only repeats steps.
    The settings besides WAL and synchronous are those DBOS gives its own SQLite engines.
    """
    database = sa.create_engine(url, pool_size=threads + 4, max_overflow=0)
    sa.event.listen(database, "connect", _configure)
    return database


def _configure(connection: Any, _record: Any) -> None:
    connection.isolation_level = "IMMEDIATE"
    for pragma in ("busy_timeout=30000", "foreign_keys=ON", "journal_mode=WAL", "synchronous=NORMAL"):
        connection.execute(f"PRAGMA {pragma}")
