"""Counterparts: which version at one registry is which at another."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BindParameter, Connection, Row, bindparam, or_, select

from fedreg.domain.records import Counterpart
from fedreg.store.dialects import insert
from fedreg.store.schema import counterparts

_KEY = ("source_registry", "source_identity", "target_registry", "target_identity")
_FIELDS = tuple(column.name for column in counterparts.columns)

# Built once: to build a statement costs more than to run it.
_REGISTRY: BindParameter[str] = bindparam("of_registry")
_IDENTITY: BindParameter[str] = bindparam("of_identity")
_AS_SOURCE = (counterparts.c.source_registry == _REGISTRY) & (counterparts.c.source_identity == _IDENTITY)
_AS_TARGET = (counterparts.c.target_registry == _REGISTRY) & (counterparts.c.target_identity == _IDENTITY)
_OF_VERSION = select(counterparts).where(or_(_AS_SOURCE, _AS_TARGET)).order_by(counterparts.c.created_at)


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
    rows = conn.execute(_OF_VERSION, {"of_registry": registry, "of_identity": identity})
    return [_to_counterpart(row) for row in rows]


def _to_counterpart(row: Row[Any]) -> Counterpart:
    return Counterpart(**row._mapping)
