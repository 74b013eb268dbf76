"""Migrations: they agree with the metadata, older stores are migrated after a backup, newer ones refused."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from fedreg.domain.errors import ConfigError
from fedreg.store import overflow
from fedreg.store.connections import open_writer
from fedreg.store.database import Store
from fedreg.store.schema import metadata
from fedreg.store.upgrade import HEAD, get_config, migrate

_OLD_ROW = "INSERT INTO overflow (registry, identity, field, value, updated_at) VALUES ('prod', 'a', 'note', '1', 0)"


def _make_old(path: Path, revision: str) -> None:
    connection = open_writer(path)
    migrate(connection, revision)
    with connection.begin():
        connection.exec_driver_sql(_OLD_ROW)
    connection.close()


def test_metadata_and_migrations_agree(tmp_path: Path) -> None:
    connection = open_writer(tmp_path / "fedreg.db")
    migrate(connection, HEAD)
    options = {"include_name": lambda name, kind, parents: not str(name).startswith("model_text")}
    with connection.begin():
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []
    connection.close()


def test_head_is_the_last_script() -> None:
    assert ScriptDirectory.from_config(get_config()).get_heads() == [HEAD]


async def test_an_older_store_is_backed_up_and_migrated(tmp_path: Path) -> None:
    path = tmp_path / "50% off.db"
    _make_old(path, "0001")
    with pytest.raises(ConfigError, match="0001"):
        await Store.open(f"sqlite:///{path}", read_only=True)
    store = await Store.open(f"sqlite:///{path}")
    assert await store.read(lambda c: overflow.get_values(c, "prod", ["a"])) == {"a": {"note": 1}}
    assert await store.check() == []
    await store.aclose()
    with closing(sqlite3.connect(tmp_path / "50% off.db.0001.bak")) as backup:
        assert backup.execute("SELECT version_num FROM alembic_version").fetchall() == [("0001",)]
        assert backup.execute("SELECT value FROM overflow").fetchall() == [("1",)]
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(HEAD,)]


async def test_a_failed_migration_leaves_the_store_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "fedreg.db"
    _make_old(path, "0001")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE versions (id)")  # in the way of 0002
        connection.commit()
    with pytest.raises(ConfigError, match="versions"):
        await Store.open(f"sqlite:///{path}")
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("0001",)]
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert "labels" not in tables


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.sqlite("changes the file")
async def test_a_newer_store_is_refused(url: str, read_only: bool) -> None:
    await (await Store.open(url)).aclose()
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0999'")
        connection.commit()
    with pytest.raises(ConfigError, match=f"0999.*{HEAD}") as caught:
        await Store.open(url, read_only=read_only)
    assert "newer release" in str(caught.value.cure)
