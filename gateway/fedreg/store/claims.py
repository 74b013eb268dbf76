"""Claims: which intent may change the stages and aliases of a model. Taken all at once, given back at the end.

They are rows, so a killed promotion has them still when it goes on, and other processes see them.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, bindparam, insert, select

from fedreg.store.schema import claims

# Built once: to build a statement costs more than to run it.
_HOLDER = select(claims.c.intent_id).where(
    claims.c.registry == bindparam("of_registry"), claims.c.model == bindparam("of_model")
)
_TAKE = insert(claims)


def take(tx: Connection, intent_id: str, places: Iterable[tuple[str, str]]) -> str | None:
    """Claim every (registry, model) for an intent, or none; the id of the intent that holds one of them.

    None: they are this intent's now. What it has already stays.
    """
    missing = []
    for registry, model in sorted(set(places)):
        holder = get_holder(tx, registry, model)
        if holder is None:
            missing.append({"registry": registry, "model": model, "intent_id": intent_id})
        elif holder != intent_id:
            return holder
    if missing:
        tx.execute(_TAKE, missing)
    return None


def get_holder(conn: Connection, registry: str, model: str) -> str | None:
    """The intent that has claimed a model."""
    holder: str | None = conn.scalar(_HOLDER, {"of_registry": registry, "of_model": model})
    return holder
