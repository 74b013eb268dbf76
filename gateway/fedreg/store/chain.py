"""The journal's hash chain: how an entry is hashed, and whether every entry is the one that was written.

Rows are read as they are stored, not as the journal decodes them: an edit that decodes to the same value is an edit.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Connection, Integer, Row, Text, select, type_coerce
from sqlalchemy.exc import OperationalError

from fedreg.domain.evidence import Fault, Head
from fedreg.domain.reports import Verification
from fedreg.store.columns import canonical_json
from fedreg.store.schema import journal

GENESIS = "0" * 64
_PAGE = 1000
_PLAIN = ("action", "registry", "model", "version", "identity", "actor", "reason", "origin", "intent_id")
_INSTANTS = ("recorded_at", "not_before")
_JSON = ("before", "after")
_STORED: tuple[ColumnElement[Any], ...] = (
    journal.c.sequence,
    journal.c.previous_hash,
    journal.c.hash,
    *(journal.c[name] for name in _PLAIN),
    type_coerce(journal.c.authenticated, Integer).label("authenticated"),
    *(type_coerce(journal.c[name], BigInteger).label(name) for name in _INSTANTS),
    *(type_coerce(journal.c[name], Text).label(name) for name in _JSON),
)


def hash_entry(content: Mapping[str, Any], previous: str) -> str:
    """The hash of an entry: `content` has all its columns but the two hashes, times in microseconds."""
    return hashlib.sha256(f"{previous}\n{canonical_json(content)}".encode()).hexdigest()


def verify(conn: Connection, heads: Sequence[Head] = ()) -> Verification:
    """Compute every hash again, and hold the chain against signed heads. Stops at the first bad entry.

    `heads` must have been checked: that their signatures are right, and that they are of this store.
    """
    signed: defaultdict[int, list[Head]] = defaultdict(list)
    for head in heads:
        signed[head.sequence].append(head)
    previous, count, vouched = GENESIS, 0, None

    def broken(at: int, fault: Fault, detail: str) -> Verification:
        return Verification(
            ok=False,
            entries=at - 1,
            broken_at=at,
            fault=fault,
            detail=detail,
            heads=len(heads),
            vouched_until=vouched,
        )

    for sequence, row in _list_rows(conn):
        found = _find_fault(conn, count + 1, previous, sequence, row, trusted=vouched == count)
        if found is not None:
            return broken(*found)
        assert row is not None
        if any(head.hash != row.hash for head in signed[sequence]):
            return broken(sequence, Fault.CHANGED, _say_signed(vouched or 0, sequence))
        vouched = sequence if signed[sequence] else vouched
        previous, count = row.hash, sequence
    last = max((head.sequence for head in heads), default=0)
    if last > count:
        return broken(count + 1, Fault.CUT_OFF, f"cut off after {count}: entry {last} was signed")
    return Verification(ok=True, entries=count, heads=len(heads), vouched_until=vouched)


def _say_signed(vouched: int, sequence: int) -> str:
    if vouched + 1 == sequence:
        return f"entry {sequence} is not the one that was signed"
    return f"entry {sequence} is not the one that was signed: what was changed is in {vouched + 1} to {sequence}"


def _find_fault(
    conn: Connection, expected: int, previous: str, sequence: int, row: Row[Any] | None, *, trusted: bool
) -> tuple[int, Fault, str] | None:
    """What is wrong with the entry that should be `expected`: its sequence, the fault, and the fault in words.

    `trusted`: the entry before was signed.
    """
    if sequence > expected:
        return expected, Fault.MISSING, f"entry {expected} is missing: the next one is {sequence}"
    if sequence < expected:
        return sequence, Fault.OUT_OF_ORDER, f"entry {sequence} stands before the first"
    content = None if row is None else _to_content(row)
    if content is None or row is None:
        return expected, Fault.CHANGED, f"entry {expected} can't be read as it was written"
    if row.previous_hash == previous and row.hash == hash_entry(content, previous):
        return None
    place = _find_place(conn, row, content, previous)
    if place == expected and expected > 1 and not trusted:  # whole by itself: what it was written after has changed
        return expected - 1, Fault.CHANGED, f"entry {expected - 1} is not the one that {expected} was written after"
    if place not in (None, expected):
        return expected, Fault.OUT_OF_ORDER, f"entry {expected} was written as entry {place}"
    return expected, Fault.CHANGED, f"entry {expected} is not as it was written"


def _find_place(conn: Connection, row: Row[Any], content: dict[str, Any], previous_hash: str) -> int | None:
    """Which entry this content was written as: by the hashes beside it, or, where only they stayed, by another's.

    None where it was written nowhere, and where only a hash beside it is wrong.
    """
    right = hash_entry(content, previous_hash)
    if row.hash == right or conn.scalar(select(journal.c.sequence).where(journal.c.previous_hash == right)) is not None:
        return None
    rows = select(journal.c.sequence, journal.c.previous_hash, journal.c.hash).order_by(journal.c.sequence)
    for sequence, previous, stored in conn.execute(rows):
        moved = content | {"sequence": sequence}
        own = row.hash == hash_entry(moved, row.previous_hash)
        if own or (sequence != row.sequence and stored == hash_entry(moved, previous)):
            return int(sequence)
    return None


def _list_rows(conn: Connection) -> Iterator[tuple[int, Row[Any] | None]]:
    """Every row with its sequence, in order; None for one that is no text any more."""
    after: int | None = None
    while rows := _list_page(conn, after):
        yield from rows
        after = rows[-1][0]


def _list_page(conn: Connection, after: int | None, limit: int = _PAGE) -> list[tuple[int, Row[Any] | None]]:
    try:
        return [(row.sequence, row) for row in conn.execute(_after(select(*_STORED), after).limit(limit))]
    except OperationalError as error:
        if "UTF-8" not in str(error.orig):
            raise
        if limit > 1:
            return _list_page(conn, after, 1)
        return [(sequence, None) for sequence in conn.scalars(_after(select(journal.c.sequence), after).limit(1))]


def _after(statement: Any, after: int | None) -> Any:
    if after is not None:
        statement = statement.where(journal.c.sequence > after)
    return statement.order_by(journal.c.sequence)


def _to_content(row: Row[Any]) -> dict[str, Any] | None:
    """What is hashed of a row; None where it holds what the journal never writes."""
    content: dict[str, Any] = {"sequence": row.sequence, "authenticated": bool(row.authenticated)}
    if row.authenticated not in (0, 1):
        return None
    for name in (*_PLAIN, *_JSON, "previous_hash", "hash"):
        content[name] = getattr(row, name)
        if not isinstance(content[name], str | None):
            return None
    for name in _INSTANTS:
        content[name] = getattr(row, name)
        if not isinstance(content[name], int | None):
            return None
    for name in _JSON:
        if content[name] is not None:
            try:
                value = json.loads(content[name])
                if value is None or canonical_json(value) != content[name]:
                    return None
            except ValueError:
                return None
            content[name] = value
    del content["previous_hash"], content["hash"]
    return content
