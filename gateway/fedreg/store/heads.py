"""Signed heads of the journal, and the id of the store that they name."""

from __future__ import annotations

import hashlib
from typing import Any

from sqlalchemy import Connection, insert, select

from fedreg.domain.evidence import Head
from fedreg.store.dialects import insert as upsert
from fedreg.store.schema import anchors, heads, journal, meta


def get_store_id(conn: Connection) -> str:
    """What heads call this store: made with it, and never changed."""
    return str(conn.scalar(select(meta.c.value).where(meta.c.name == "store_id")))


def list_heads(conn: Connection, *, after: int = 0) -> list[Head]:
    """The heads beyond an entry, oldest first."""
    rows = conn.execute(select(heads).where(heads.c.sequence > after).order_by(heads.c.sequence, heads.c.recorded_at))
    return [Head(**row._mapping) for row in rows]


def get_last(conn: Connection) -> Head | None:
    """The head that was signed last, or None."""
    row = conn.execute(select(heads).order_by(heads.c.sequence.desc(), heads.c.recorded_at.desc()).limit(1)).first()
    return None if row is None else Head(**row._mapping)


def add(tx: Connection, head: Head) -> None:
    """Keep a head; one of the same entry and key that is there already stays."""
    same = (heads.c.sequence == head.sequence, heads.c.key_id == head.key_id)
    if tx.scalar(select(heads.c.sequence).where(*same)) is None:
        tx.execute(insert(heads).values({name: getattr(head, name) for name in heads.columns.keys()}))  # noqa: SIM118


def is_in_chain(conn: Connection, head: Head) -> bool:
    """Whether the journal still has the entry that was signed."""
    found: Any = conn.scalar(select(journal.c.hash).where(journal.c.sequence == head.sequence))
    return bool(found == head.hash)


def has_got(conn: Connection, address: str, head: Head) -> bool:
    """Whether an address outside was brought this head, or a later one of the same key."""
    row = conn.execute(select(anchors).where(anchors.c.address == _hash(address))).first()
    return row is not None and row.key_id == head.key_id and row.sequence >= head.sequence


def set_got(tx: Connection, address: str, head: Head) -> None:
    """An address outside has got a head."""
    values = {"sequence": head.sequence, "key_id": head.key_id}
    row = upsert(tx, anchors).values(address=_hash(address), **values)
    tx.execute(row.on_conflict_do_update(index_elements=["address"], set_=values))


def _hash(address: str) -> str:
    return hashlib.sha256(address.encode("utf-8", "surrogatepass")).hexdigest()
