"""Requests that came with a key of their caller: the same key again means the same operation."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, insert, select

from fedreg.domain.errors import Conflict
from fedreg.domain.records import Intent, RequestKey
from fedreg.store import intents
from fedreg.store.schema import requests

KEPT = timedelta(days=7)


def find(conn: Connection, key: RequestKey) -> Intent | None:
    """The operation that this key has started; None where it has started none.

    Raises Conflict where the key came with another request.
    """
    query = select(requests.c.fingerprint, requests.c.intent_id)
    row = conn.execute(query.where(requests.c.actor == key.actor, requests.c.key == key.key)).first()
    if row is None:
        return None
    if row.fingerprint != key.fingerprint:
        raise Conflict(
            f"Idempotency-Key {key.key!r} was used for another request",
            cure="use a new key for each request, and the same one only to repeat it",
            details={"operation": row.intent_id},
        )
    return intents.get(conn, row.intent_id)


def create_intent(tx: Connection, intent: Intent, key: RequestKey | None, now: datetime) -> Intent:
    """Store an intent and its key together; the one that the key has started already is returned instead.

    Keys are forgotten after a week.
    """
    earlier = None if key is None else find(tx, key)
    if earlier is not None:
        return earlier
    stored = intents.create(tx, intent)
    if key is not None:
        tx.execute(delete(requests).where(requests.c.created_at < now - KEPT))
        fields = {"actor": key.actor, "key": key.key, "fingerprint": key.fingerprint}
        tx.execute(insert(requests).values(**fields, intent_id=stored.id, created_at=now))
    return stored
