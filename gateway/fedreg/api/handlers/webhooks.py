"""Webhooks, and what became of the messages to them. They concern all registries at once."""

from __future__ import annotations

from aiohttp import web

from fedreg.api.context import actor_of, gateway_of, principal_of
from fedreg.api.encoding import Listing, Reply, Request
from fedreg.api.paging import PageQuery, cut_page, end_page, parse_sequence
from fedreg.domain.errors import NotFound
from fedreg.domain.webhooks import Attempt, Delivery, DeliveryState, Webhook
from fedreg.services import webhooks
from fedreg.settings.sections import Role


class NewWebhook(Request, frozen=True, kw_only=True):
    """A webhook. Filters that are empty let everything pass; `model` is a glob. A secret is made for a new one."""

    id: str
    url: str
    actions: tuple[str, ...] = ()
    registries: tuple[str, ...] = ()
    model: str | None = None
    new_secret: bool = False


class DeliveriesQuery(PageQuery, frozen=True, kw_only=True):
    """Which deliveries; may be repeated."""

    state: tuple[DeliveryState, ...] = ()


async def list_webhooks(request: web.Request, *, query: PageQuery) -> Listing[Webhook]:
    _require(request)
    return cut_page(await webhooks.list_webhooks(gateway_of(request)), query, lambda webhook: webhook.id)


async def set_webhook(request: web.Request, *, body: NewWebhook) -> Reply[Webhook]:
    _require(request)
    made = await webhooks.set_webhook(
        gateway_of(request),
        body.id,
        body.url,
        actor=actor_of(request),
        actions=body.actions,
        registries=body.registries,
        model=body.model,
        new_secret=body.new_secret,
    )
    headers = {"Location": f"/v1/webhooks/{made.id}", "Cache-Control": "no-store"}
    return Reply(made, status=201 if made.created_at == made.updated_at else 200, headers=headers)


async def get_webhook(request: web.Request) -> Webhook:
    _require(request)
    return await webhooks.get_webhook(gateway_of(request), _id(request))


async def delete_webhook(request: web.Request) -> None:
    _require(request)
    await webhooks.delete_webhook(gateway_of(request), _id(request), actor=actor_of(request))


async def test_webhook(request: web.Request) -> Attempt:
    _require(request)
    return await webhooks.test_webhook(gateway_of(request), _id(request))


async def list_deliveries(request: web.Request, *, query: DeliveriesQuery) -> Listing[Delivery]:
    _require(request)
    found = await webhooks.list_deliveries(
        gateway_of(request),
        _id(request),
        states=query.state,
        before=parse_sequence(query.cursor),
        limit=query.limit + 1,
    )
    return end_page(found, query.limit, lambda delivery: str(delivery.sequence))


async def redeliver(request: web.Request) -> Delivery:
    _require(request)
    text = request.match_info["sequence"]
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise NotFound(f"delivery {text!r:.40} does not exist", cure="deliveries are numbered as the journal is")
    return await webhooks.redeliver(gateway_of(request), _id(request), int(text), actor=actor_of(request))


def _id(request: web.Request) -> str:
    return request.match_info["id"]


def _require(request: web.Request) -> None:
    principal_of(request).require_everywhere(Role.ADMIN)
