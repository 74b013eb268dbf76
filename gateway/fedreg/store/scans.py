"""How far the index of each registry is."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, bindparam, select

from fedreg.domain.records import ScanState
from fedreg.store.dialects import insert
from fedreg.store.schema import scans

_GET = select(scans).where(scans.c.registry == bindparam("of"))


def get_state(conn: Connection, registry: str) -> ScanState | None:
    """The registry's scan state, None where it was never scanned."""
    row = conn.execute(_GET, {"of": registry}).first()
    return None if row is None else _to_state(row)


def list_states(conn: Connection) -> dict[str, ScanState]:
    """registry -> scan state."""
    return {row.registry: _to_state(row) for row in conn.execute(select(scans).order_by(scans.c.registry))}


def set_state(tx: Connection, state: ScanState) -> None:
    """Store a registry's scan state, all of it."""
    row = {column.name: getattr(state, column.name) for column in scans.columns}
    statement = insert(tx, scans).values(row)
    renewed = {name: statement.excluded[name] for name in row if name != "registry"}
    tx.execute(statement.on_conflict_do_update(index_elements=["registry"], set_=renewed))


def delete_state(tx: Connection, registry: str) -> None:
    """Forget how far a registry was scanned: the next scan starts anew."""
    tx.execute(scans.delete().where(scans.c.registry == registry))


def _to_state(row: Row[Any]) -> ScanState:
    return ScanState(**row._mapping)
