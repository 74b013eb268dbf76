"""Overflow: values of a version (or of a model, under the identity `model:` + name) that its registry can't hold."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, select

from fedreg.store.dialects import insert, listed
from fedreg.store.schema import overflow


def model_identity(name: str) -> str:
    """What a model's values hang on."""
    return f"model:{name}"


def forget_models(tx: Connection, registry: str, names: Collection[str]) -> None:
    """Forget everything of models that are gone: one of the same name is another one."""
    identities = listed([model_identity(name) for name in names])
    tx.execute(delete(overflow).where(overflow.c.registry == registry, overflow.c.identity.in_(identities)))


def set_value(tx: Connection, registry: str, identity: str, field: str, value: Any, now: datetime) -> None:
    """Store a JSON value, replacing what was there."""
    row = {"registry": registry, "identity": identity, "field": field, "value": value, "updated_at": now}
    statement = insert(tx, overflow).values(row)
    tx.execute(
        statement.on_conflict_do_update(
            index_elements=["registry", "identity", "field"],
            set_={"value": statement.excluded.value, "updated_at": statement.excluded.updated_at},
        )
    )


def get_values(conn: Connection, registry: str, identities: Collection[str]) -> dict[str, dict[str, Any]]:
    """identity -> field -> value; identities without any are left out."""
    query = select(overflow).where(overflow.c.registry == registry, overflow.c.identity.in_(listed(identities)))
    found: defaultdict[str, dict[str, Any]] = defaultdict(dict)
    for row in conn.execute(query):
        found[row.identity][row.field] = row.value
    return dict(found)


def delete_value(tx: Connection, registry: str, identity: str, field: str) -> bool:
    """Forget a value; False where there was none."""
    mine = (overflow.c.registry == registry, overflow.c.identity == identity, overflow.c.field == field)
    return tx.execute(delete(overflow).where(*mine)).rowcount > 0
