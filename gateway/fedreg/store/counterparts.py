"""Counterparts: which version at one registry is which at another."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, or_, select

from fedreg.domain.records import Counterpart
from fedreg.store.dialects import insert
from fedreg.store.schema import counterparts

_KEY = ("source_registry", "source_identity", "target_registry", "target_identity")
_FIELDS = tuple(column.name for column in counterparts.columns)


def add(tx: Connection, counterpart: Counterpart) -> None:
    """Store a mapping; the same two identities again renew its names and digest and keep the first time."""
    statement = insert(tx, counterparts).values({name: getattr(counterpart, name) for name in _FIELDS})
    renewed = {name: statement.excluded[name] for name in _FIELDS if name not in (*_KEY, "created_at")}
    tx.execute(statement.on_conflict_do_update(index_elements=_KEY, set_=renewed))


def find(
    conn: Connection, source_registry: str, source_identity: str, target_registry: str, target_model: str | None = None
) -> Counterpart | None:
    """The latest copy of a version at another registry, in a model there where one is named."""
    query = select(counterparts).where(
        counterparts.c.source_registry == source_registry,
        counterparts.c.source_identity == source_identity,
        counterparts.c.target_registry == target_registry,
    )
    if target_model is not None:
        query = query.where(counterparts.c.target_model == target_model)
    row = conn.execute(query.order_by(counterparts.c.created_at.desc(), counterparts.c.target_identity)).first()
    return None if row is None else _to_counterpart(row)


def list_for(conn: Connection, registry: str, identity: str) -> list[Counterpart]:
    """Every mapping from or to a version, oldest first."""
    as_source = (counterparts.c.source_registry == registry) & (counterparts.c.source_identity == identity)
    as_target = (counterparts.c.target_registry == registry) & (counterparts.c.target_identity == identity)
    rows = conn.execute(select(counterparts).where(or_(as_source, as_target)).order_by(counterparts.c.created_at))
    return [_to_counterpart(row) for row in rows]


def _to_counterpart(row: Row[Any]) -> Counterpart:
    return Counterpart(**row._mapping)
