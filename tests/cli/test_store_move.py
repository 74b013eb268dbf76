"""`fedreg store move`: nothing is lost on the way to PostgreSQL, and what was unfinished goes on there."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from fedreg.client.local import open_local
from fedreg.services.intents import reconcile, wait

from .conftest import Outcome

Command = Callable[..., Outcome]
_UNFINISHED = "UPDATE intents SET state = 'running', result = NULL"


def move_to(config: Path, url: str) -> None:
    """Set store.url, as the command asks for."""
    config.write_text(f"store: {{url: '{url}'}}\n{config.read_text()}")
    config.with_name("fedreg.db").unlink()


def test_a_store_goes_on_in_postgresql(
    fedreg: Command, config: Path, churn: str, postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert fedreg("promote", f"{churn}@version:1", "--to", "production", "--reason", "Q3 – é").code == 0
    assert fedreg("copy", f"{churn}@version:1", "right:churn").code == 0
    asked = [
        ("history", churn, "--json"),
        ("inventory", "--versions", "--json"),
        ("lineage", "right:churn@version:1", "-o", "json"),
        ("operations", "list", "--json"),
        ("audit", "--json"),
    ]
    before = [fedreg(*command).out for command in asked]
    monkeypatch.setenv("TARGET", postgresql_url)
    moved = fedreg("store", "move", "--to", "${TARGET}")
    assert moved.code == 0, moved.err
    assert "intents: 2" in moved.err and "both were compared" in moved.err
    move_to(config, postgresql_url)
    assert [fedreg(*command).out for command in asked] == before
    assert fedreg("audit", "--verify").code == 0
    assert fedreg("store", "check").code == 0
    assert fedreg("promote", f"{churn}@version:1", "--to", "staging").code == 0
    assert fedreg("inventory", "--search", "churn").code == 0


def test_what_is_unfinished_goes_on(fedreg: Command, config: Path, churn: str, postgresql_url: str) -> None:
    assert fedreg("promote", f"{churn}@version:1", "--to", "production").code == 0
    with closing(sqlite3.connect(config.with_name("fedreg.db"))) as connection:
        connection.execute(_UNFINISHED)
        connection.commit()
    moved = fedreg("store", "move", "--to", postgresql_url)
    assert (moved.code, "1 operations are unfinished" in moved.err) == (0, True)
    move_to(config, postgresql_url)
    assert asyncio.run(_finish(config)) == ["succeeded"]
    with psycopg.connect(postgresql_url) as connection:
        assert connection.execute("SELECT count(*) FROM journal").fetchone() == (1,)  # compared, not done again


async def _finish(config: Path) -> list[str]:
    """What a gateway does when it starts; the states that the operations end in."""
    async with open_local(config) as client:
        started = await reconcile(client.gateway)
        return [(await wait(client.gateway, operation)).state.value for operation in started]


def test_a_store_that_holds_something_is_not_written_to(
    fedreg: Command, config: Path, churn: str, postgresql_url: str
) -> None:
    assert fedreg("promote", f"{churn}@version:1", "--to", "production").code == 0
    assert fedreg("store", "move", "--to", postgresql_url).code == 0
    again = fedreg("store", "move", "--to", postgresql_url)
    assert again.code == 1 and "not empty" in again.err


def test_a_row_that_changes_on_the_way_is_seen(
    fedreg: Command, churn: str, postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fedreg.store import moving

    copied = moving.copy_rows

    def copy(source, target, announce):  # type: ignore[no-untyped-def]
        counts = copied(source, target, announce)
        target.exec_driver_sql("UPDATE intents SET reason = 'another'")
        return counts

    assert fedreg("promote", f"{churn}@version:1", "--to", "production").code == 0
    monkeypatch.setattr(moving, "copy_rows", copy)
    failed = fedreg("store", "move", "--to", postgresql_url)
    assert failed.code == 1 and "row 1 of 'intents'" in failed.err
    with psycopg.connect(postgresql_url) as connection:
        assert connection.execute("SELECT count(*) FROM journal").fetchone() == (0,)


def test_bad_targets(fedreg: Command, config: Path) -> None:
    same = fedreg("store", "move", "--to", f"sqlite:///{config.with_name('fedreg.db')}")
    assert same.code == 2 and "names the store" in same.err
    away = fedreg("store", "move", "--to", "postgresql://ada:hunter2@127.0.0.1:1/fedreg")
    assert away.code == 2 and "hunter2" not in away.err + away.out
    assert fedreg("store", "move", "--to", "${NOT_SET_ANYWHERE}").code == 2
