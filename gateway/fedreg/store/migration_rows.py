"""Rows of migrations: what is planned for each version, and what became of it.

A row's sequence counts from 1; its lane is a number that all rows of one target model share.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, delete, func, insert, not_, select, update

from fedreg.domain.migrations import MigratedVersion, PlannedVersion, RowState
from fedreg.store.dialects import json_flag, json_number, json_text, listed
from fedreg.store.schema import migration_rows as rows


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRow:
    """A row with its place; `attempt` is the operation that copies it now."""

    sequence: int
    lane: int
    planned: PlannedVersion
    state: RowState
    attempt: str | None = None


def add(tx: Connection, migration_id: str, found: Sequence[tuple[int, PlannedVersion]]) -> int:
    """Append rows, each with its lane, and return the first one's sequence: they go on where the last one ended."""
    last: int = tx.scalar(select(func.coalesce(func.max(rows.c.sequence), 0)).where(_of(migration_id))) or 0
    values = [
        {
            "migration_id": migration_id,
            "sequence": last + number,
            "lane": lane,
            "source": planned.source,
            "state": RowState.PLANNED.value,
            "planned": msgspec.to_builtins(planned),
            "outcome": None,
            "attempt": None,
        }
        for number, (lane, planned) in enumerate(found, 1)
    ]
    if values:
        tx.execute(insert(rows), values)
    return last + 1


def clear(tx: Connection, migration_id: str) -> None:
    """Forget the rows of a migration."""
    tx.execute(delete(rows).where(_of(migration_id)))


def list_lanes(conn: Connection, migration_id: str) -> list[int]:
    """The lanes that have rows to work off, in order."""
    query = select(rows.c.lane).where(_of(migration_id), rows.c.state == RowState.PLANNED.value)
    return list(conn.scalars(query.distinct().order_by(rows.c.lane)))


def list_lane(conn: Connection, migration_id: str, lane: int, after: int, limit: int) -> list[StoredRow]:
    """Rows of a lane past a sequence, in order, whatever their state."""
    query = select(rows).where(_of(migration_id), rows.c.lane == lane, rows.c.sequence > after)
    return [_to_stored(row) for row in conn.execute(query.order_by(rows.c.sequence).limit(limit))]


def has_later_stage(conn: Connection, migration_id: str, lane: int, after: int, stage: str) -> bool:
    """Whether a later row of the lane, not left out, is to have this stage."""
    query = select(func.count()).where(
        _of(migration_id),
        rows.c.lane == lane,
        rows.c.sequence > after,
        json_text(rows.c.planned, "stage") == stage,
        not_(json_flag(rows.c.planned, "skip")),
    )
    return bool(conn.scalar(query))


def list_attempts(conn: Connection, migration_id: str) -> list[str]:
    """The operations of rows that are being worked on."""
    query = select(rows.c.attempt).where(
        _of(migration_id), rows.c.state == RowState.PLANNED.value, rows.c.attempt.is_not(None)
    )
    return [attempt for attempt in conn.scalars(query) if attempt is not None]


def set_attempt(tx: Connection, migration_id: str, sequence: int, operation: str) -> None:
    """Note the operation that copies a row."""
    tx.execute(update(rows).where(_of(migration_id), rows.c.sequence == sequence).values(attempt=operation))


def settle(tx: Connection, migration_id: str, outcome: MigratedVersion) -> None:
    """Record what became of a row."""
    mine = (_of(migration_id), rows.c.sequence == outcome.sequence)
    tx.execute(update(rows).where(*mine).values(state=outcome.state.value, outcome=msgspec.to_builtins(outcome)))


def count_states(conn: Connection, migration_id: str) -> dict[RowState, int]:
    """State -> rows."""
    query = select(rows.c.state, func.count()).where(_of(migration_id)).group_by(rows.c.state)
    return {RowState(state): count for state, count in conn.execute(query).all()}


def count_left_out(conn: Connection, migration_id: str) -> int:
    """Rows that the plan leaves out."""
    query = select(func.count()).where(_of(migration_id), json_flag(rows.c.planned, "skip"))
    return int(conn.scalar(query) or 0)


def sum_bytes(conn: Connection, migration_id: str, states: Collection[RowState]) -> int:
    """Bytes of all rows in these states."""
    size = json_number(rows.c.outcome, "bytes")
    query = select(func.coalesce(func.sum(size), 0)).where(
        _of(migration_id), rows.c.state.in_([state.value for state in states])
    )
    return int(conn.scalar(query) or 0)


def sum_planned_bytes(conn: Connection, migration_id: str) -> int | None:
    """Bytes of all rows that are not left out; None where some row does not say."""
    size = json_number(rows.c.planned, "bytes")
    query = select(func.count(), func.count(size), func.coalesce(func.sum(size), 0)).where(
        _of(migration_id), not_(json_flag(rows.c.planned, "skip"))
    )
    total, known, count = conn.execute(query).one()
    return int(count) if known == total else None


def find_states(conn: Connection, migration_id: str, sources: Sequence[str]) -> dict[str, tuple[str | None, RowState]]:
    """Source -> identity and state of its row; sources without one are left out."""
    query = select(rows.c.source, rows.c.state, json_text(rows.c.planned, "identity").label("identity")).where(
        _of(migration_id), rows.c.source.in_(listed(sources))
    )
    ordered = conn.execute(query.order_by(rows.c.sequence))  # of two rows of one source the newer counts
    return {row.source: (row.identity, RowState(row.state)) for row in ordered}


def list_outcomes(conn: Connection, migration_id: str, after: int, limit: int) -> list[MigratedVersion]:
    """The report's rows past a sequence, in order; a row that is not settled is shown as planned."""
    query = select(rows).where(_of(migration_id), rows.c.sequence > after).order_by(rows.c.sequence).limit(limit)
    return [_to_outcome(row) for row in conn.execute(query)]


def _of(migration_id: str) -> Any:
    return rows.c.migration_id == migration_id


def _to_stored(row: Row[Any]) -> StoredRow:
    planned = msgspec.convert(row.planned, PlannedVersion)
    return StoredRow(
        sequence=row.sequence, lane=row.lane, planned=planned, state=RowState(row.state), attempt=row.attempt
    )


def _to_outcome(row: Row[Any]) -> MigratedVersion:
    if row.outcome is not None:
        return msgspec.convert(row.outcome, MigratedVersion)
    planned = msgspec.convert(row.planned, PlannedVersion)
    return MigratedVersion(
        sequence=row.sequence, source=planned.source, target=planned.target, state=RowState(row.state)
    )
