"""Webhooks: who is told of changes. Setting them up, looking at them, trying them."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from dataclasses import replace
from urllib.parse import SplitResult, urlsplit

from sqlalchemy import Connection

from fedreg.domain.errors import Conflict, InvalidRequest
from fedreg.domain.records import Actor
from fedreg.domain.refs import REGISTRY_NAME
from fedreg.domain.webhooks import Attempt, Delivery, DeliveryState, Webhook
from fedreg.registries.manifests import nearest
from fedreg.services.addresses import AddressRules
from fedreg.services.effects import list_actions
from fedreg.services.gateway import Gateway
from fedreg.services.webhook_entries import to_deletion, to_redelivery, to_setting
from fedreg.services.webhook_messages import make_secret, to_test
from fedreg.services.webhook_sending import open_sender
from fedreg.store import journal, webhooks

LONGEST_URL = 2048


async def list_webhooks(gateway: Gateway) -> list[Webhook]:
    """All webhooks, by id, without their secrets."""
    return await gateway.store.read(webhooks.list_webhooks)


async def get_webhook(gateway: Gateway, webhook_id: str) -> Webhook:
    """One webhook, without its secret. Raises NotFound."""
    return await gateway.store.read(lambda conn: webhooks.get_webhook(conn, webhook_id))


async def set_webhook(
    gateway: Gateway,
    webhook_id: str,
    url: str,
    *,
    actor: Actor,
    actions: Collection[str] = (),
    registries: Collection[str] = (),
    model: str | None = None,
    new_secret: bool = False,
) -> Webhook:
    """Make a webhook, which is told what happens from now on, or change the one of this id.

    The answer has a secret where one was made: for a new webhook and with `new_secret`. Raises InvalidRequest for an
    id, address, action or registry that can't be one.
    """
    _check_id(webhook_id)
    _check_url(gateway, url)
    _check_filters(gateway, actions, registries)
    now = gateway.now()
    wanted = Webhook(
        id=webhook_id,
        url=url,
        actions=tuple(dict.fromkeys(actions)),
        registries=tuple(dict.fromkeys(registries)),
        model=model or None,
        position=0,
        created_at=now,
        updated_at=now,
        secret=make_secret(),
    )

    def store(tx: Connection) -> Webhook:
        before = webhooks.find_webhook(tx, webhook_id)
        kept = wanted if new_secret or before is None else replace(wanted, secret=None)
        journal.append(tx, to_setting(before, kept, actor), now)
        return webhooks.set_webhook(tx, kept, now)

    return await gateway.store.write(store)


async def delete_webhook(gateway: Gateway, webhook_id: str, *, actor: Actor) -> None:
    """Remove a webhook, its deliveries and dead letters. Raises NotFound."""
    now = gateway.now()

    def commit(tx: Connection) -> None:
        before = webhooks.get_webhook(tx, webhook_id)
        webhooks.delete_webhook(tx, webhook_id)
        journal.append(tx, to_deletion(before, actor), now)

    await gateway.store.write(commit)


async def list_deliveries(
    gateway: Gateway,
    webhook_id: str,
    *,
    states: Collection[DeliveryState] = (),
    before: int | None = None,
    limit: int = 100,
) -> list[Delivery]:
    """Deliveries, the newest first; `before` goes on after that sequence. Raises NotFound."""
    return await gateway.store.read(
        lambda conn: webhooks.list_deliveries(conn, webhook_id, states=states, before=before, limit=limit)
    )


async def redeliver(gateway: Gateway, webhook_id: str, sequence: int, *, actor: Actor) -> Delivery:
    """Have a message sent again, out of its order, as soon as the gateway that is served comes to it.

    Raises NotFound, and Conflict for one that is on its way already.
    """
    now = gateway.now()

    def store(tx: Connection) -> Delivery:
        known = webhooks.get_delivery(tx, webhook_id, sequence)
        if known.state in (DeliveryState.WAITING, DeliveryState.REDELIVERING):
            raise Conflict(f"delivery {sequence} to {webhook_id!r} is {known.state.value} already", cure="wait for it")
        again = replace(known, state=DeliveryState.REDELIVERING, attempts=0, first_at=None, next_at=now, updated_at=now)
        webhooks.set_delivery(tx, again)
        journal.append(tx, to_redelivery(known, again, actor), now)
        return again

    return await gateway.store.write(store)


async def test_webhook(gateway: Gateway, webhook_id: str) -> Attempt:
    """Send a message that tells of nothing, once and now. Raises NotFound."""
    webhook, secret = await gateway.store.read(
        lambda conn: (webhooks.get_webhook(conn, webhook_id), webhooks.get_secret(conn, webhook_id))
    )
    now = gateway.now()
    async with open_sender(gateway.webhooks) as sender:
        return await sender.send(webhook.url, to_test(webhook_id, gateway.webhooks.source, now), secret, now)


def _check_id(webhook_id: str) -> None:
    if not REGISTRY_NAME.fullmatch(webhook_id):
        raise InvalidRequest(
            f"id {webhook_id!r:.80} is no name of a webhook",
            cure="use a-z, 0-9, '.', '_' and '-', at most 63 characters, the first a letter or digit",
        )


def _check_url(gateway: Gateway, url: str) -> None:
    """An address that may be one. Where it leads is checked when it is connected to."""
    schemes = ("https", "http") if gateway.webhooks.allow_http else ("https",)
    parts = _split(url)
    if parts is None or len(url) > LONGEST_URL or not url.isascii() or not url.isprintable():
        raise InvalidRequest("url is no address", cure="write it as https://host/path")
    if parts.scheme not in schemes:
        raise InvalidRequest(
            f"url: scheme {parts.scheme!r:.20} is not allowed",
            cure=f"use {' or '.join(schemes)}" + ("" if "http" in schemes else "; webhooks.allow_http allows http too"),
        )
    if parts.username is not None or parts.password is not None:
        raise InvalidRequest("url has credentials in it", cure="leave them out: messages are signed")
    host = parts.hostname or ""
    if _is_address(host) and not AddressRules(gateway.webhooks.allow_private).allows(host):
        raise InvalidRequest(
            f"url: {host} is no public address", cure="use a public one, or name its network in webhooks.allow_private"
        )


def _check_filters(gateway: Gateway, actions: Collection[str], registries: Collection[str]) -> None:
    for action in actions:
        if action not in list_actions():
            raise InvalidRequest(f"action {action!r:.80} does not exist", cure=nearest(action, list_actions()))
    for registry in registries:
        if registry not in gateway.registries.names():
            raise InvalidRequest(
                f"registry {registry!r:.80} is not configured", cure=nearest(registry, gateway.registries.names())
            )


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        return parts if parts.hostname and (parts.port is None or parts.port > 0) else None
    except ValueError:
        return None


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
