"""The chain against signed heads: whatever is done to the journal's rows, the first bad entry is named."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedreg.domain.evidence import Fault, Head
from fedreg.domain.records import Actor, Change, JournalEntry, Origin
from fedreg.domain.reports import Verification
from fedreg.store import chain, journal
from fedreg.store.connections import driver, open_writer
from fedreg.store.database import Store

Tamper = Callable[[sqlite3.Connection], object]
COUNT, EVERY = 30, 7
COLUMNS = [column.name for column in journal.journal.columns]
TEXTS = [name for name in COLUMNS if name not in ("sequence", "recorded_at", "not_before", "authenticated")]


@dataclass(frozen=True)
class Written:
    """A journal in a file, and heads of it as they were signed: of every entry, or of each seventh."""

    path: Path
    entries: list[JournalEntry]

    def heads(self, every: int) -> list[Head]:
        picked = [entry for entry in self.entries if entry.sequence % every == 0 or entry.sequence == COUNT]
        return [_to_head(entry) for entry in picked]

    def verify(self, tamper: Tamper, *heads: list[Head]) -> list[Verification]:
        """What is found in a copy, changed as the file's owner could change it, with each of the lists of heads."""
        with closing(sqlite3.connect(self.path)) as source, open_writer(None) as connection:
            copy = driver(connection)
            source.backup(copy)
            for (name,) in copy.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
                copy.execute(f"DROP TRIGGER {name}")
            tamper(copy)
            with connection.begin():
                return [chain.verify(connection, found) for found in heads]


def _to_head(entry: JournalEntry) -> Head:
    return Head(sequence=entry.sequence, hash=entry.hash, recorded_at=entry.recorded_at, store="s", key_id="k")


def make_change(number: int) -> Change:
    """No two alike, so that every mutation is one."""
    return Change(
        action="stage_set",
        registry="prod",
        model=f"m{number % 3}",
        version=str(number),
        identity=f"id{number}" if number % 4 else None,
        actor=Actor(subject="ada" if number % 2 else "bob", authenticated=number % 5 == 0),
        before={"stage": "none", "n": number},
        after=None if number % 6 == 0 else {"b": [number, 1.5], "a": "é"},
        reason=None if number % 2 else f"Q{number}",
        origin=Origin.OURS if number % 3 else Origin.OBSERVED,
        not_before=datetime.fromisoformat("2026-01-01T00:00:00Z") if number % 3 == 0 else None,
        intent_id=f"i{number}",
    )


@pytest.fixture
async def written(tmp_path: Path, noon: datetime) -> Written:
    path = tmp_path / "fedreg.db"
    store = await Store.open(f"sqlite:///{path}")

    def fill(tx: Any) -> list[JournalEntry]:
        at = [noon + timedelta(minutes=number) for number in range(COUNT)]
        return [journal.append(tx, make_change(number), when) for number, when in enumerate(at)]

    entries = await store.write(fill)
    await store.aclose()
    return Written(path, entries)


def _set(name: str, value: Any, sequence: int) -> Callable[[sqlite3.Connection], None]:
    def tamper(db: sqlite3.Connection) -> None:
        expression = "CAST(? AS TEXT)" if isinstance(value, bytes) else "?"
        db.execute(f"UPDATE journal SET {name} = {expression} WHERE sequence = ?", (value, sequence))

    return tamper


def _rehash(db: sqlite3.Connection, start: int) -> None:
    """As who has the file and the code, but not the key."""
    db.row_factory = sqlite3.Row
    rows = db.execute("SELECT * FROM journal ORDER BY sequence").fetchall()
    previous = chain.GENESIS
    for row in rows:
        if row["sequence"] >= start:
            made = chain.hash_entry(chain._to_content(row_of(row)) or {}, previous)
            values = (previous, made, row["sequence"])
            db.execute("UPDATE journal SET previous_hash = ?, hash = ? WHERE sequence = ?", values)
            previous = made
        else:
            previous = row["hash"]


def row_of(row: sqlite3.Row) -> Any:
    return type("Row", (), {name: row[name] for name in COLUMNS})


def test_an_untouched_journal_is_whole(written: Written) -> None:
    alone, found = written.verify(lambda db: None, [], written.heads(EVERY))
    assert alone == Verification(ok=True, entries=COUNT)
    assert found == Verification(ok=True, entries=COUNT, heads=5, vouched_until=COUNT)


VALUES = st.one_of(st.text(max_size=4), st.integers(-5, 2**60), st.none(), st.just(b"\xff"), st.just('{"a": 1}'))


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_an_edit_of_any_column_is_named(written: Written, data: st.DataObject) -> None:
    sequence, name = data.draw(st.integers(1, COUNT)), data.draw(st.sampled_from(COLUMNS[1:]))
    value = data.draw(VALUES)
    changed = []

    def tamper(db: sqlite3.Connection) -> None:
        db.text_factory = bytes
        was = db.execute(f"SELECT quote({name}) FROM journal WHERE sequence = ?", (sequence,)).fetchone()
        try:
            _set(name, value, sequence)(db)
        except sqlite3.IntegrityError:  # a NULL where none can be
            db.rollback()
        is_now = db.execute(f"SELECT quote({name}) FROM journal WHERE sequence = ?", (sequence,)).fetchone()
        db.text_factory = str
        changed.append(was != is_now)

    for found in written.verify(tamper, [], written.heads(EVERY), written.heads(1)):
        if changed == [True]:
            assert (found.ok, found.broken_at, found.entries) == (False, sequence, sequence - 1)
            assert found.fault is Fault.CHANGED
        else:
            assert found.ok


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sequence=st.integers(1, COUNT - 1), moved=st.booleans())
def test_a_deleted_or_moved_entry_is_missing(written: Written, sequence: int, moved: bool) -> None:
    deleting = f"DELETE FROM journal WHERE sequence = {sequence}"
    moving = f"UPDATE journal SET sequence = 100 WHERE sequence = {sequence}"
    [found] = written.verify(lambda db: db.execute(moving if moved else deleting), written.heads(EVERY))
    assert (found.ok, found.broken_at, found.fault) == (False, sequence, Fault.MISSING)
    assert f"entry {sequence} is missing" in str(found.detail)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pair=st.sets(st.integers(1, COUNT), min_size=2, max_size=2), with_hashes=st.booleans())
def test_entries_that_change_places_are_named(written: Written, pair: set[int], with_hashes: bool) -> None:
    low, high = sorted(pair)
    moved = [name for name in COLUMNS[1:] if with_hashes or "hash" not in name]

    def swap(db: sqlite3.Connection) -> None:
        rows = [db.execute(f"SELECT {', '.join(moved)} FROM journal WHERE sequence = ?", (n,)) for n in (low, high)]
        values = [row.fetchone() for row in rows]
        for sequence, content in ((low, values[1]), (high, values[0])):
            assigned = ", ".join(f"{name} = ?" for name in moved)
            db.execute(f"UPDATE journal SET {assigned} WHERE sequence = ?", (*content, sequence))

    [found] = written.verify(swap, written.heads(EVERY))
    assert (found.ok, found.broken_at, found.fault) == (False, low, Fault.OUT_OF_ORDER)
    assert found.detail == f"entry {low} was written as entry {high}"


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(left=st.integers(0, COUNT - 1))
def test_a_cut_tail_is_named_by_heads_alone(written: Written, left: int) -> None:
    cut = f"DELETE FROM journal WHERE sequence > {left}"
    alone, found = written.verify(lambda db: db.execute(cut), [], written.heads(EVERY))
    assert alone.ok, "the chain alone can't know"
    assert (found.ok, found.broken_at, found.fault) == (False, left + 1, Fault.CUT_OFF)
    assert str(found.detail).startswith(f"cut off after {left}:")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sequence=st.integers(1, COUNT), name=st.sampled_from([name for name in TEXTS if "hash" not in name]))
def test_a_chain_hashed_anew_is_named_by_heads(written: Written, sequence: int, name: str) -> None:
    def tamper(db: sqlite3.Connection) -> None:
        _set(name, '"eve"', sequence)(db)
        _rehash(db, sequence)

    alone, exact, found = written.verify(tamper, [], written.heads(1), written.heads(EVERY))
    assert alone.ok, "the chain alone can't know"
    assert (exact.ok, exact.broken_at, exact.fault) == (False, sequence, Fault.CHANGED)
    assert not found.ok and found.fault is Fault.CHANGED
    assert (found.vouched_until or 0) < sequence <= (found.broken_at or 0) <= (found.vouched_until or 0) + EVERY
    assert f"{(found.vouched_until or 0) + 1} to {found.broken_at}" in str(found.detail) or sequence == COUNT


@pytest.mark.parametrize("sequence", [1, 13])
def test_an_entry_hashed_anew_alone_is_named_itself(written: Written, sequence: int) -> None:
    """The next entry is the one that does not fit, and is not to blame."""

    def tamper(db: sqlite3.Connection) -> None:
        kept = db.execute("SELECT previous_hash, hash FROM journal WHERE sequence = ?", (sequence + 1,)).fetchone()
        rest = db.execute("SELECT sequence, previous_hash, hash FROM journal").fetchall()
        _set("actor", "eve", sequence)(db)
        _rehash(db, sequence)
        assert kept is not None
        for number, previous, made in rest:
            if number > sequence:
                db.execute(
                    "UPDATE journal SET previous_hash = ?, hash = ? WHERE sequence = ?", (previous, made, number)
                )

    [found] = written.verify(tamper, [])
    assert (found.ok, found.broken_at, found.fault) == (False, sequence, Fault.CHANGED)


def test_an_entry_before_the_first_is_out_of_order(written: Written) -> None:
    [found] = written.verify(lambda db: db.execute("UPDATE journal SET sequence = 0 WHERE sequence = 5"), [])
    assert (found.broken_at, found.fault) == (0, Fault.OUT_OF_ORDER)


def test_of_two_heads_of_an_entry_both_count(written: Written) -> None:
    heads = written.heads(EVERY)
    [found] = written.verify(lambda db: None, [*heads, replace(heads[1], hash="0" * 64)])
    assert (found.ok, found.broken_at, found.vouched_until) == (False, 14, 7)
