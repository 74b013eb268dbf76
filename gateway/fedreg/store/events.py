"""Events that registries pushed: which are known already, and after which nobody has looked yet."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from fedreg.domain.models import RegistryEvent
from fedreg.store.schema import events

KEPT = timedelta(days=7)  # longer than any vendor repeats a message


def take(tx: Connection, registry: str, pushed: Iterable[RegistryEvent], now: datetime) -> list[RegistryEvent]:
    """Store events and return those that are new. Old ones are forgotten.

    An event whose id is not unique is known only until somebody has looked: the same words may mean another change.
    """
    tx.execute(delete(events).where(events.c.received_at < now - KEPT, events.c.looked_at.is_not(None)))
    return [event for event in pushed if _add(tx, registry, event, now)]


def mark_looked(tx: Connection, registry: str, model: str, since: datetime, now: datetime) -> None:
    """What came before a look began is settled by it."""
    seen = (events.c.registry == registry, events.c.model == model, events.c.received_at <= since)
    tx.execute(update(events).where(*seen, events.c.looked_at.is_(None)).values(looked_at=now))


def list_waiting(conn: Connection) -> list[tuple[str, str]]:
    """(registry, model) of what was pushed and not looked at."""
    waiting = select(events.c.registry, events.c.model).where(events.c.looked_at.is_(None)).distinct()
    return [(row.registry, row.model) for row in conn.execute(waiting.order_by(events.c.registry, events.c.model))]


def _add(tx: Connection, registry: str, event: RegistryEvent, now: datetime) -> bool:
    """Tried first: two gateways on one store may get the same event at once."""
    row = {"registry": registry, "event_id": event.id, "model": event.model, "received_at": now}
    try:
        with tx.begin_nested():
            tx.execute(insert(events).values(**row))
        return True
    except IntegrityError:
        if event.unique:
            return False
    again = update(events).where(events.c.registry == registry, events.c.event_id == event.id)
    looked = again.where(events.c.looked_at.is_not(None))
    return tx.execute(looked.values(received_at=now, looked_at=None)).rowcount > 0
