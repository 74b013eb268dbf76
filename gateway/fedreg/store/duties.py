"""Duties: what one gateway at a time does, such as serving a webhook. Kept by one until it is gone.

They are rows: who is given up has lost them in that moment, whatever became of its connections.
"""

from __future__ import annotations

from sqlalchemy import Connection, delete, select

from fedreg.store import replicas
from fedreg.store.dialects import insert
from fedreg.store.schema import duties


def get_holder(conn: Connection, name: str) -> str | None:
    """The replica that has a duty, or had it when it was last seen."""
    holder: str | None = conn.scalar(select(duties.c.replica_id).where(duties.c.name == name))
    return holder


def is_held_by_another(conn: Connection, name: str, replica_id: str) -> bool:
    """Whether a replica that lives, and is not this one, has the duty."""
    holder = get_holder(conn, name)
    return holder is not None and holder != replica_id and replicas.is_alive(conn, holder)


def take(tx: Connection, name: str, replica_id: str) -> bool:
    """Take a duty that nobody has, or nobody who lives; False where another one has it."""
    if is_held_by_another(tx, name, replica_id):
        return False
    row = insert(tx, duties).values(name=name, replica_id=replica_id)
    tx.execute(row.on_conflict_do_update(index_elements=["name"], set_={"replica_id": replica_id}))
    return True


def remove(tx: Connection, name: str) -> None:
    """Forget a duty that is none any more."""
    tx.execute(delete(duties).where(duties.c.name == name))
