"""Is the store sound, and a copy of it for keeping."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import Connection, text

from fedreg.domain.errors import AlreadyExists, StoreError, Unsupported
from fedreg.store import chain
from fedreg.store.connections import driver, make_private
from fedreg.store.dialects import is_postgresql

_GUARDS = ("journal_no_update", "journal_no_delete", "journal_no_truncate")
_TRIGGERS = "SELECT tgname FROM pg_trigger WHERE tgrelid = 'journal'::regclass AND tgenabled IN ('O', 'A')"


def check(conn: Connection) -> list[str]:
    """What is wrong, one line each: the database's own check, references without a row, the journal's chain."""
    problems = _check_server(conn) if is_postgresql(conn) else _check_file(conn)
    found = chain.verify(conn)
    if not found.ok:
        problems.append(f"journal: the chain is broken at entry {found.broken_at}: {found.detail}")
    return problems


def _check_file(conn: Connection) -> list[str]:
    problems = [f"file: {row[0]}" for row in conn.exec_driver_sql("PRAGMA integrity_check") if row[0] != "ok"]
    problems += [
        f"table {row[0]}: row {row[1]} refers to a row of {row[2]} that is missing"
        for row in conn.exec_driver_sql("PRAGMA foreign_key_check")
    ]
    return problems


def _check_server(conn: Connection) -> list[str]:
    """PostgreSQL keeps references whole by itself; but anybody with rights may switch a trigger off."""
    on = set(conn.scalars(text(_TRIGGERS)))
    return [f"table journal: the trigger {name} is missing or off" for name in _GUARDS if name not in on]


def backup(conn: Connection, path: Path) -> None:
    """Copy the whole store to a new file with SQLite's backup; a half-written copy is never left under that name.

    Raises AlreadyExists for an existing file, StoreError where it can't be written, Unsupported for PostgreSQL.
    """
    if is_postgresql(conn):
        raise Unsupported(
            "`fedreg store backup` copies a SQLite file, and this store is on PostgreSQL",
            cure="back the database up with pg_dump, or as its administrators do",
        )
    if path.exists():
        raise AlreadyExists(f"backup: {str(path)!r} exists already", cure="name a new file")
    draft = path.with_name(f"{path.name}.part")
    try:
        draft.unlink(missing_ok=True)
        make_private(draft)
        with closing(sqlite3.connect(draft)) as target:
            driver(conn).backup(target)
        draft.replace(path)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"backup to {str(path)!r} failed: {error}", cure="check the folder and its space") from error
