"""`fedreg store`: upgraded after a backup, checked, backed up."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from fedreg.store.connections import open_writer
from fedreg.store.upgrade import HEAD, migrate

from .conftest import Outcome

Command = Callable[..., Outcome]


def revision(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        return str(connection.execute("SELECT version_num FROM alembic_version").fetchone()[0])


def test_an_older_store_is_upgraded_and_kept(fedreg: Command, config: Path) -> None:
    path = config.with_name("fedreg.db")
    connection = open_writer(path)
    migrate(connection, "0001")
    connection.close()
    outcome = fedreg("store", "upgrade")
    backup = path.with_name("fedreg.db.0001.bak")
    assert (outcome.code, outcome.out) == (0, f"{HEAD}\n")
    assert f"from revision 0001 to {HEAD}; as it was: {backup}" in outcome.err
    assert "any command that writes upgrades an older store by itself" in outcome.err
    assert (revision(path), revision(backup)) == (HEAD, "0001")
    assert fedreg("store", "check").code == 0


def test_nothing_to_upgrade(fedreg: Command) -> None:
    assert "there was no store yet" in fedreg("store", "upgrade").err
    again = fedreg("store", "upgrade")
    assert (again.code, again.out) == (0, f"{HEAD}\n") and "nothing to do" in again.err


def test_a_backup_is_a_store(fedreg: Command, churn: str, tmp_path: Path) -> None:
    assert fedreg("promote", f"{churn}@version:1", "--to", "production").code == 0
    backup = tmp_path / "backup.db"
    assert fedreg("store", "backup", str(backup)).code == 0
    assert revision(backup) == HEAD
    again = fedreg("store", "backup", str(backup))
    assert again.code == 1 and "exists already" in again.err
