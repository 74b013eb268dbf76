"""The journal: appended, chained, filtered, and never changed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

import pytest
from sqlalchemy import Connection, Executable, text, update
from sqlalchemy.exc import DatabaseError

from fedreg.domain.evidence import Fault
from fedreg.domain.records import Actor, Change, Origin
from fedreg.domain.reports import Verification
from fedreg.store import chain, journal
from fedreg.store.database import Store
from fedreg.store.schema import journal as rows

MakeChange = Callable[..., Change]


def _execute(tx: Connection, statement: Executable) -> None:
    tx.execute(statement)


def _of(tx: Connection) -> str:
    """PostgreSQL's triggers are named with their table."""
    return " ON journal" if tx.dialect.name == "postgresql" else ""


async def test_entries_come_back_as_they_went_in(store: Store, noon: datetime, make_change: MakeChange) -> None:
    change = make_change(
        identity="prod/churn/1",
        actor=Actor(subject="ada", authenticated=True),
        before={"stage": "none", "holders": ["2", "é"]},
        after=[1, 0.1, None, True],
        reason="Q3",
        origin=Origin.OBSERVED,
        not_before=noon - timedelta(hours=1),
        intent_id="i1",
    )
    written = await store.write(lambda tx: journal.append_all(tx, [change, make_change()], noon))
    read = await store.read(journal.list_entries)
    assert read == written
    assert [entry.sequence for entry in read] == [1, 2]
    assert read[0].previous_hash == chain.GENESIS
    assert read[1].previous_hash == read[0].hash


async def test_filters(store: Store, noon: datetime, make_change: MakeChange) -> None:
    def fill(tx: Connection) -> None:
        for hour in range(10):
            change = make_change(
                model=f"m{hour % 2}",
                version=str(hour),
                identity=f"id{hour}",
                registry="prod" if hour < 8 else "dev",
                actor=Actor(subject="ada" if hour % 3 else "bob"),
            )
            journal.append(tx, change, noon + timedelta(hours=hour))

    await store.write(fill)

    async def found(**filters: object) -> list[int]:
        entries = await store.read(lambda c: journal.list_entries(c, **filters))  # type: ignore[arg-type]
        return [entry.sequence for entry in entries]

    assert await found(registry="dev") == [9, 10]
    assert await found(model="m1", limit=2) == [2, 4]
    assert await found(model_glob="m[!0]") == [2, 4, 6, 8, 10]
    assert await found(model="m*") == []
    assert await found(version="3") == [4]
    assert await found(identity="id3") == [4]
    assert await found(actor="bob") == [1, 4, 7, 10]
    assert await found(since=noon + timedelta(hours=3), until=noon + timedelta(hours=5)) == [4, 5]
    assert await found(after_sequence=8) == [9, 10]
    assert await found(after_sequence=4, newest_first=True, limit=2) == [3, 2]


async def test_rows_can_be_neither_changed_nor_deleted(store: Store, noon: datetime, make_change: MakeChange) -> None:
    await store.write(lambda tx: journal.append(tx, make_change(), noon))
    for statement in (update(rows).values(reason="x"), rows.delete()):
        with pytest.raises(DatabaseError, match="append-only"):
            await store.write(partial(_execute, statement=statement))
    assert (await store.read(chain.verify)).ok


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE journal SET actor = 'eve' WHERE sequence = 3",
        "UPDATE journal SET authenticated = NOT authenticated WHERE sequence = 3",
        "UPDATE journal SET after = '\"archived\"' WHERE sequence = 3",
        "UPDATE journal SET recorded_at = recorded_at + 1 WHERE sequence = 3",
        "UPDATE journal SET hash = 'f' || substr(hash, 2) || 'x' WHERE sequence = 3",
        "UPDATE journal SET sequence = 30 WHERE sequence = 3",
    ],
)
async def test_tampering_breaks_the_chain(
    store: Store, noon: datetime, make_change: MakeChange, tampering: str
) -> None:
    await store.write(lambda tx: journal.append_all(tx, [make_change(after="production")] * 5, noon))
    assert await store.read(chain.verify) == Verification(ok=True, entries=5)

    def tamper(tx: Connection) -> None:
        tx.execute(text(f"DROP TRIGGER journal_no_update{_of(tx)}"))
        tx.execute(text(tampering))

    await store.write(tamper)
    found = await store.read(chain.verify)
    assert not found.ok
    assert found.entries == 2
    assert found.broken_at in (3, 4)
    assert found.fault is (Fault.MISSING if "sequence = 30" in tampering else Fault.CHANGED)
    assert "journal: the chain is broken" in (await store.check())[-1]


async def test_a_deleted_entry_breaks_the_chain(store: Store, noon: datetime, make_change: MakeChange) -> None:
    await store.write(lambda tx: journal.append_all(tx, [make_change()] * 5, noon))

    def tamper(tx: Connection) -> None:
        tx.execute(text(f"DROP TRIGGER journal_no_delete{_of(tx)}"))
        tx.execute(text("DELETE FROM journal WHERE sequence = 1"))

    await store.write(tamper)
    found = await store.read(chain.verify)
    assert (found.ok, found.entries, found.broken_at, found.fault) == (False, 0, 1, Fault.MISSING)


async def test_a_naive_time_is_refused(store: Store, make_change: MakeChange) -> None:
    naive = datetime(2026, 1, 1)  # noqa: DTZ001  the mistake under test
    with pytest.raises(ValueError, match="time zone"):
        await store.write(lambda tx: journal.append(tx, make_change(), naive))
    assert await store.read(journal.list_entries) == []
