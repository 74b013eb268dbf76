"""Telling webhooks what the journal says: at least once, in order for each, and none waits for another.

The journal is the outbox. A webhook's position is how far its entries were sorted into deliveries; both are rows, so
that a gateway that was killed goes on where it was. Deliveries of one webhook are made by one task, one at a time, at
one gateway of several: another takes the webhook over when that one is gone.
"""

from __future__ import annotations

import asyncio
import logging
import random
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import Connection

from fedreg.domain.errors import FedregError
from fedreg.domain.records import JournalEntry
from fedreg.domain.webhooks import Attempt, Delivery, DeliveryState, Webhook
from fedreg.services import duties
from fedreg.services.gateway import Gateway
from fedreg.services.webhook_messages import to_message
from fedreg.services.webhook_sending import Sender, open_sender
from fedreg.settings.sections import WebhookSettings
from fedreg.store import journal, webhooks

POLL_SECONDS = 1.0
Due = tuple[Webhook, str, Delivery, JournalEntry]
log = logging.getLogger(__name__)


async def deliver_for_ever(gateway: Gateway) -> None:
    """Look every second what is due, and deliver it: a task for each webhook that has something."""
    running: dict[str, asyncio.Task[int]] = {}
    async with open_sender(gateway.webhooks) as sender:
        try:
            while True:
                for webhook_id in await gateway.store.read(lambda conn: _list_due(conn, gateway.now())):
                    if webhook_id not in running or running[webhook_id].done():
                        running[webhook_id] = asyncio.create_task(_deliver(gateway, sender, webhook_id))
                await asyncio.sleep(POLL_SECONDS)
        finally:
            for task in running.values():
                task.cancel()
            await asyncio.gather(*running.values(), return_exceptions=True)


async def deliver_due(gateway: Gateway, sender: Sender, webhook_id: str) -> int:
    """Deliver all that is due to one webhook, in order; returns how many attempts that were.

    Nothing is sent where another gateway serves it. Raises LeaseLost where another one has taken it over meanwhile.
    """
    duty = await duties.take(gateway, webhooks.duty_of(webhook_id))
    if duty is None:
        return 0
    attempts = 0
    while (due := await _find_due(gateway, webhook_id)) is not None:
        webhook, secret, delivery, entry = due
        message = to_message(entry, gateway.webhooks.source)
        await duties.require(gateway, duty)
        attempt = await sender.send(webhook.url, message, secret, gateway.now())
        settled = settle(delivery, attempt, gateway.webhooks, gateway.now())
        await gateway.store.write(partial(webhooks.set_delivery, delivery=settled))
        if settled.state is DeliveryState.DEAD:
            log.warning("webhook %s: entry %s was given up: %s", webhook_id, settled.sequence, settled.error)
        attempts += 1
    return attempts


def settle(delivery: Delivery, attempt: Attempt, rules: WebhookSettings, now: datetime) -> Delivery:
    """How a delivery stands after an attempt: delivered, to be tried again later, or a dead letter."""
    first = delivery.first_at or now
    tried = replace(
        delivery,
        attempts=delivery.attempts + 1,
        status=attempt.status,
        error=attempt.error,
        first_at=first,
        next_at=None,
        updated_at=now,
    )
    if attempt.delivered:
        return replace(tried, state=DeliveryState.DELIVERED)
    if tried.attempts >= rules.max_attempts or (now - first).total_seconds() >= rules.max_age:
        return replace(tried, state=DeliveryState.DEAD)
    pause = min(rules.backoff * 2.0 ** (tried.attempts - 1), rules.backoff_max) * random.uniform(0.5, 1)
    return replace(tried, next_at=now + timedelta(seconds=max(pause, attempt.retry_after or 0)))


async def _deliver(gateway: Gateway, sender: Sender, webhook_id: str) -> int:
    try:
        return await deliver_due(gateway, sender, webhook_id)
    except FedregError as error:
        log.warning("webhook %s: %s", webhook_id, error)
        return 0
    except Exception as error:  # the next look tries again, and other webhooks go on
        log.error("webhook %s can't be served", webhook_id, exc_info=error)
        return 0


async def _find_due(gateway: Gateway, webhook_id: str) -> Due | None:
    """What is to be sent next; entries of the journal are sorted first where nothing waits."""
    while True:
        now = gateway.now()
        if not await gateway.store.read(lambda conn: _must_queue(conn, webhook_id)):
            return await gateway.store.read(partial(_load_due, webhook_id=webhook_id, now=now))
        await gateway.store.write(partial(webhooks.queue, webhook_id=webhook_id, now=now))


def _list_due(conn: Connection, now: datetime) -> list[str]:
    found = [one.id for one in webhooks.list_webhooks(conn)]
    return [one for one in found if _must_queue(conn, one) or webhooks.next_delivery(conn, one, now) is not None]


def _must_queue(conn: Connection, webhook_id: str) -> bool:
    webhook = webhooks.find_webhook(conn, webhook_id)
    return webhook is not None and webhooks.has_news(conn, webhook) and not webhooks.is_waiting(conn, webhook_id)


def _load_due(conn: Connection, webhook_id: str, now: datetime) -> Due | None:
    webhook = webhooks.find_webhook(conn, webhook_id)
    delivery = None if webhook is None else webhooks.next_delivery(conn, webhook_id, now)
    if webhook is None or delivery is None:
        return None
    [entry] = journal.list_entries(conn, after_sequence=delivery.sequence - 1, limit=1)
    return webhook, webhooks.get_secret(conn, webhook_id), delivery, entry
