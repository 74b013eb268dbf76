"""Webhooks, and the deliveries to them: the journal is the outbox, a webhook's position is how far it was sorted."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from fedreg.domain.errors import NotFound
from fedreg.domain.webhooks import Delivery, DeliveryState, Webhook
from fedreg.store import duties, journal
from fedreg.store.schema import deliveries, webhooks
from fedreg.store.schema import journal as entries

KEPT = timedelta(days=7)  # of what was delivered; dead letters stay
QUEUE = 100


def list_webhooks(conn: Connection) -> list[Webhook]:
    """All of them, by id, without their secrets."""
    return [_to_webhook(row) for row in conn.execute(select(webhooks).order_by(webhooks.c.id))]


def find_webhook(conn: Connection, webhook_id: str) -> Webhook | None:
    """One webhook, without its secret, or None."""
    row = conn.execute(select(webhooks).where(webhooks.c.id == webhook_id)).first()
    return None if row is None else _to_webhook(row)


def get_webhook(conn: Connection, webhook_id: str) -> Webhook:
    """One webhook, without its secret. Raises NotFound."""
    found = find_webhook(conn, webhook_id)
    if found is None:
        raise NotFound(f"webhook {webhook_id!r} does not exist", cure="`fedreg webhooks list` shows what there is")
    return found


def get_secret(conn: Connection, webhook_id: str) -> str:
    """What signs this webhook's messages. Raises NotFound."""
    get_webhook(conn, webhook_id)
    return str(conn.scalar(select(webhooks.c.secret).where(webhooks.c.id == webhook_id)))


def set_webhook(tx: Connection, webhook: Webhook, now: datetime) -> Webhook:
    """Make a webhook, or change the one of this id, and return it. A new one is told what happens from now on.

    One that is there keeps its position, and its secret where `webhook` brings none.
    """
    values: dict[str, Any] = {
        "url": webhook.url,
        "actions": list(webhook.actions),
        "registries": list(webhook.registries),
        "model": webhook.model,
        "updated_at": now,
    }
    if webhook.secret is not None:
        values["secret"] = webhook.secret
    changed = tx.execute(update(webhooks).where(webhooks.c.id == webhook.id).values(**values))
    if changed.rowcount == 0:
        start = {"id": webhook.id, "position": _head(tx), "created_at": now}
        tx.execute(insert(webhooks).values(**values, **start))
    return replace(get_webhook(tx, webhook.id), secret=webhook.secret)


def delete_webhook(tx: Connection, webhook_id: str) -> None:
    """Remove a webhook with its deliveries. Raises NotFound."""
    get_webhook(tx, webhook_id)
    tx.execute(delete(deliveries).where(deliveries.c.webhook_id == webhook_id))
    tx.execute(delete(webhooks).where(webhooks.c.id == webhook_id))
    duties.remove(tx, duty_of(webhook_id))


def duty_of(webhook_id: str) -> str:
    """What it is called to serve a webhook."""
    return f"webhook {webhook_id}"


def has_news(conn: Connection, webhook: Webhook) -> bool:
    """Whether the journal has entries that were not sorted for this webhook."""
    return _head(conn) > webhook.position


def queue(tx: Connection, webhook_id: str, now: datetime) -> int:
    """Queue the next entries of the journal that the webhook wants; returns how many it has looked at.

    Rows of what was delivered long ago go.
    """
    webhook = get_webhook(tx, webhook_id)
    found = journal.list_entries(tx, after_sequence=webhook.position, limit=QUEUE)
    wanted = [entry.sequence for entry in found if webhook.wants(entry.change)]
    state = {"webhook_id": webhook_id, "state": DeliveryState.WAITING.value, "attempts": 0}
    if wanted:
        tx.execute(
            insert(deliveries), [{**state, "sequence": one, "next_at": now, "updated_at": now} for one in wanted]
        )
    if found:
        moved = update(webhooks).where(webhooks.c.id == webhook_id)
        tx.execute(moved.values(position=found[-1].sequence))
    old = (deliveries.c.state == DeliveryState.DELIVERED.value, deliveries.c.updated_at < now - KEPT)
    tx.execute(delete(deliveries).where(deliveries.c.webhook_id == webhook_id, *old))
    return len(found)


def next_delivery(conn: Connection, webhook_id: str, now: datetime) -> Delivery | None:
    """What is to be sent now: what somebody asked for again, else the first in order, where its time has come."""
    asked = _first(conn, webhook_id, DeliveryState.REDELIVERING, now)
    if asked is not None:
        return asked
    first = _first(conn, webhook_id, DeliveryState.WAITING)
    return first if first is not None and (first.next_at is None or first.next_at <= now) else None


def is_waiting(conn: Connection, webhook_id: str) -> bool:
    """Whether a delivery waits in order, so that no other may overtake it."""
    return _first(conn, webhook_id, DeliveryState.WAITING) is not None


def get_delivery(conn: Connection, webhook_id: str, sequence: int) -> Delivery:
    """One delivery. Raises NotFound."""
    row = conn.execute(select(deliveries).where(*_one(webhook_id, sequence))).first()
    if row is None:
        raise NotFound(
            f"webhook {webhook_id!r} has no delivery {sequence}", cure="`fedreg webhooks deliveries` lists them"
        )
    return _to_delivery(row)


def set_delivery(tx: Connection, delivery: Delivery) -> None:
    """Store how a delivery stands; nothing where its webhook was deleted meanwhile."""
    names = ("attempts", "status", "error", "first_at", "next_at", "updated_at")
    values = {name: getattr(delivery, name) for name in names}
    tx.execute(
        update(deliveries)
        .where(*_one(delivery.webhook_id, delivery.sequence))
        .values(state=delivery.state.value, **values)
    )


def list_deliveries(
    conn: Connection,
    webhook_id: str,
    *,
    states: Collection[DeliveryState] = (),
    before: int | None = None,
    limit: int = 100,
) -> list[Delivery]:
    """The newest first; `before` goes on after the delivery of that sequence. Raises NotFound for the webhook."""
    get_webhook(conn, webhook_id)
    query = select(deliveries).where(deliveries.c.webhook_id == webhook_id)
    if states:
        query = query.where(deliveries.c.state.in_([state.value for state in states]))
    if before is not None:
        query = query.where(deliveries.c.sequence < before)
    return [_to_delivery(row) for row in conn.execute(query.order_by(deliveries.c.sequence.desc()).limit(limit))]


def _head(conn: Connection) -> int:
    return conn.scalar(select(func.coalesce(func.max(entries.c.sequence), 0))) or 0


def _one(webhook_id: str, sequence: int) -> tuple[Any, ...]:
    return deliveries.c.webhook_id == webhook_id, deliveries.c.sequence == sequence


def _first(conn: Connection, webhook_id: str, state: DeliveryState, due: datetime | None = None) -> Delivery | None:
    query = select(deliveries).where(deliveries.c.webhook_id == webhook_id, deliveries.c.state == state.value)
    if due is not None:
        query = query.where(deliveries.c.next_at <= due)
    row = conn.execute(query.order_by(deliveries.c.sequence).limit(1)).first()
    return None if row is None else _to_delivery(row)


def _to_webhook(row: Row[Any]) -> Webhook:
    return Webhook(
        id=row.id,
        url=row.url,
        actions=tuple(row.actions),
        registries=tuple(row.registries),
        model=row.model,
        position=row.position,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _to_delivery(row: Row[Any]) -> Delivery:
    return Delivery(
        webhook_id=row.webhook_id,
        sequence=row.sequence,
        state=DeliveryState(row.state),
        attempts=row.attempts,
        status=row.status,
        error=row.error,
        first_at=row.first_at,
        next_at=row.next_at,
        updated_at=row.updated_at,
    )
