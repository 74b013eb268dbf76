"""The journal: every change in one hash chain. Rows are only ever appended; triggers refuse anything else."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, insert, select

from fedreg.domain.records import Actor, Change, JournalEntry, Origin
from fedreg.store import attribution
from fedreg.store.chain import GENESIS, hash_entry
from fedreg.store.columns import to_micros
from fedreg.store.dialects import listed, matches_glob
from fedreg.store.schema import journal

# Built once: to build a statement costs more than to run it.
_HEAD = select(journal.c.sequence, journal.c.hash).order_by(journal.c.sequence.desc()).limit(1)
_INSERT = insert(journal)


def append(tx: Connection, change: Change, now: datetime) -> JournalEntry:
    """Extend the chain by one change. Its head is read in the same transaction."""
    return append_all(tx, [change], now)[0]


def append_all(tx: Connection, changes: Iterable[Change], now: datetime) -> list[JournalEntry]:
    """Extend the chain by several changes, in order. `before` and `after` must be JSON values."""
    head = tx.execute(_HEAD).first()
    sequence, previous = (head.sequence, head.hash) if head else (0, GENESIS)
    entries: list[JournalEntry] = []
    for change in changes:
        sequence += 1
        entry_hash = _hash(sequence, now, change, previous)
        entries.append(
            JournalEntry(sequence=sequence, recorded_at=now, change=change, previous_hash=previous, hash=entry_hash)
        )
        previous = entry_hash
    if entries:
        tx.execute(_INSERT, [_to_row(entry) for entry in entries])
    attribution.record(tx, [entry.change for entry in entries], now)
    return entries


def list_entries(
    conn: Connection,
    *,
    registry: str | None = None,
    model: str | None = None,
    model_glob: str | None = None,
    version: str | None = None,
    identity: str | None = None,
    actor: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    after_sequence: int | None = None,
    newest_first: bool = False,
    limit: int = 100,
) -> list[JournalEntry]:
    """Entries that match all given filters, oldest first.

    `model` is an exact name, `model_glob` a pattern. `since` is inclusive, `until` exclusive. `after_sequence`
    goes on after that entry, in the direction of the listing.
    """
    query = select(journal)
    equal = {"registry": registry, "model": model, "version": version, "identity": identity, "actor": actor}
    for name, value in equal.items():
        if value is not None:
            query = query.where(journal.c[name] == value)
    if model_glob is not None:
        query = query.where(matches_glob(journal.c.model, model_glob))
    if since is not None:
        query = query.where(journal.c.recorded_at >= since)
    if until is not None:
        query = query.where(journal.c.recorded_at < until)
    rows = conn.execute(_page(query, after_sequence, newest_first=newest_first).limit(limit))
    return [_to_entry(row) for row in rows]


def list_of_models(conn: Connection, registry: str, models: Collection[str]) -> list[JournalEntry]:
    """All entries of some models and their versions, oldest first."""
    query = select(journal).where(journal.c.registry == registry, journal.c.model.in_(listed(models)))
    return [_to_entry(row) for row in conn.execute(query.order_by(journal.c.sequence))]


def get_head(conn: Connection) -> tuple[int, str] | None:
    """Sequence and hash of the last entry; None where there is none."""
    head = conn.execute(_HEAD).first()
    return None if head is None else (head.sequence, head.hash)


def _page(query: Select[Any], after_sequence: int | None, *, newest_first: bool) -> Select[Any]:
    position = journal.c.sequence
    if after_sequence is not None:
        query = query.where(position < after_sequence if newest_first else position > after_sequence)
    return query.order_by(position.desc() if newest_first else position)


def _hash(sequence: int, recorded_at: datetime, change: Change, previous: str) -> str:
    content = {
        **_to_columns(change),
        "sequence": sequence,
        "recorded_at": to_micros(recorded_at),
        "not_before": None if change.not_before is None else to_micros(change.not_before),
    }
    return hash_entry(content, previous)


def _to_columns(change: Change) -> dict[str, Any]:
    return {
        "action": change.action,
        "registry": change.registry,
        "model": change.model,
        "version": change.version,
        "identity": change.identity,
        "actor": change.actor.subject,
        "authenticated": change.actor.authenticated,
        "before": change.before,
        "after": change.after,
        "reason": change.reason,
        "origin": change.origin.value,
        "not_before": change.not_before,
        "intent_id": change.intent_id,
    }


def _to_row(entry: JournalEntry) -> dict[str, Any]:
    return {
        **_to_columns(entry.change),
        "sequence": entry.sequence,
        "recorded_at": entry.recorded_at,
        "previous_hash": entry.previous_hash,
        "hash": entry.hash,
    }


def _to_entry(row: Row[Any]) -> JournalEntry:
    change = Change(
        action=row.action,
        registry=row.registry,
        model=row.model,
        version=row.version,
        identity=row.identity,
        actor=Actor(subject=row.actor, authenticated=row.authenticated),
        before=row.before,
        after=row.after,
        reason=row.reason,
        origin=Origin(row.origin),
        not_before=row.not_before,
        intent_id=row.intent_id,
    )
    return JournalEntry(
        sequence=row.sequence,
        recorded_at=row.recorded_at,
        change=change,
        previous_hash=row.previous_hash,
        hash=row.hash,
    )
