"""The floor under the store: sqlite3 itself, one table, no layer above."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path


@contextmanager
def open_table(path: Path) -> Iterator[sqlite3.Connection]:
    """A new file with an empty table of versions, in WAL like the store."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute(
            "CREATE TABLE versions (id INTEGER PRIMARY KEY, registry, model, version, document, observed_at,"
            " UNIQUE (registry, model, version))"
        )
        yield connection


def write_rows(connection: sqlite3.Connection, rows: Sequence[tuple[object, ...]]) -> None:
    """Insert or update `(registry, model, version, document, observed_at)` in one transaction."""
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany(
        "INSERT INTO versions (registry, model, version, document, observed_at) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET document = excluded.document, observed_at = excluded.observed_at",
        rows,
    )
    connection.execute("COMMIT")


def read_rows(connection: sqlite3.Connection, after: int, limit: int) -> list[tuple[object, ...]]:
    """Rows by their key."""
    return connection.execute("SELECT * FROM versions WHERE id > ? ORDER BY id LIMIT ?", (after, limit)).fetchall()


def walk(connection: sqlite3.Connection, key: str, *, depth: int, cap: int) -> set[str]:
    """Keys within `depth` steps either way in the store's own table of edges, at most about `cap`."""
    reached = {key}
    for near, far in (("dst", "src"), ("src", "dst")):
        query = f"SELECT {far} FROM edges WHERE {near} IN (SELECT value FROM json_each(?)) LIMIT ?"
        frontier = [key]
        for _ in range(depth):
            if not frontier or len(reached) >= cap:
                break
            found = {row[0] for row in connection.execute(query, (json.dumps(frontier), 4 * cap))}
            frontier = sorted(found - reached)[: cap - len(reached)]
            reached.update(frontier)
    return reached
