"""Webhooks and links by the Python interface, in process and at a gateway that is served."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from standardwebhooks.webhooks import Webhook as Verifier

from fedreg.client.interface import Client
from fedreg.domain.errors import Conflict, InvalidRequest, NotFound, Unsupported
from fedreg.domain.links import Gate, Link
from fedreg.domain.webhooks import DeliveryState
from fedreg.services.deliveries import deliver_due
from fedreg.services.gateway import Gateway
from fedreg.services.webhook_sending import open_sender
from fedreg.settings.sections import WebhookSettings

from .conftest import Seed

URL = "https://hook.example/in"
LINK = Link(members=("left:churn", "right:churn"), authority="left", gate=Gate(approvals=2))
OPEN = WebhookSettings(allow_http=True, allow_private=("127.0.0.0/8",), max_attempts=1)


async def test_set_show_and_delete(client: Client) -> None:
    made = await client.set_webhook("hook", URL, actions=["created"], registries=["left"], model="team-*")
    assert made.secret is not None and made.secret.startswith("whsec_") and made.secret not in repr(made)
    assert (made.url, made.actions, made.registries, made.model) == (URL, ("created",), ("left",), "team-*")
    shown = await client.webhook("hook")
    assert shown.secret is None and shown.url == URL
    assert await client.webhooks() == [shown]
    changed = await client.set_webhook("hook", URL)
    assert (changed.secret, changed.actions, changed.model) == (None, (), None)
    renewed = await client.set_webhook("hook", URL, new_secret=True)
    assert renewed.secret not in (None, made.secret)
    await client.delete_webhook("hook")
    assert await client.webhooks() == []
    told = [entry.change async for entry in client.audit()]
    assert [one.action for one in told] == [*["webhook_set"] * 3, "webhook_deleted"]
    assert [one.after["new_secret"] for one in told[:3]] == [True, False, True]
    assert "whsec_" not in repr(told)


async def test_messages_that_die_and_are_sent_again(client: Client, gateway: Gateway, seed: Seed) -> None:
    gateway.webhooks = OPEN
    got: list[tuple[Any, bytes]] = []
    answers = [web.Response(status=204), web.Response(status=500)]

    async def receive(request: web.Request) -> web.Response:
        got.append((dict(request.headers), await request.read()))
        return answers.pop(0) if answers else web.Response(status=204)

    app = web.Application()
    app.router.add_post("/hook", receive)
    await seed()
    async with TestServer(app) as server, open_sender(OPEN) as sender:
        made = await client.set_webhook("hook", str(server.make_url("/hook")), actions=["tags_set"])
        assert (await client.test_webhook("hook")).delivered
        headers, body = got.pop()
        assert Verifier(made.secret or "").verify(body, headers)["subject"] == "hook"
        await client.set_tags("left:churn@1", {"k": "v"})
        await deliver_due(gateway, sender, "hook")
        [dead] = await client.deliveries("hook", states=[DeliveryState.DEAD])
        assert (dead.status, dead.attempts, dead.error) == (500, 1, "answered 500")
        again = await client.redeliver("hook", dead.sequence)
        assert (again.state, again.attempts) == (DeliveryState.REDELIVERING, 0)
        with pytest.raises(Conflict, match="redelivering already"):
            await client.redeliver("hook", dead.sequence)
        await deliver_due(gateway, sender, "hook")
    assert len(got) == 2 and got[0][0]["webhook-id"] == got[1][0]["webhook-id"]
    assert [one.state for one in await client.deliveries("hook", limit=5)] == [DeliveryState.DELIVERED]
    assert await client.deliveries("hook", states=[DeliveryState.DEAD]) == []


async def test_webhooks_that_are_none(client: Client) -> None:
    for call in (client.webhook, client.delete_webhook, client.test_webhook, client.deliveries):
        with pytest.raises(NotFound, match="webhook 'nobody' does not exist"):
            await call("nobody")
    with pytest.raises(NotFound, match="has no delivery 7"):
        await client.redeliver("nobody", 7)
    for bad, names in (
        ({"url": "ftp://hook.example/"}, "scheme 'ftp'"),
        ({"url": URL, "actions": ["stageset"]}, "action 'stageset'"),
        ({"url": URL, "registries": ["lefft"]}, "registry 'lefft'"),
    ):
        with pytest.raises(InvalidRequest, match=names) as caught:
            await client.set_webhook("hook", **bad)  # type: ignore[arg-type]
        assert caught.value.cure
    with pytest.raises(InvalidRequest, match="id 'Hook!'"):
        await client.set_webhook("Hook!", URL)
    assert await client.webhooks() == []


async def test_links(client: Client) -> None:
    made = await client.set_link("churn", LINK, reason="one model")
    assert (made.name, made.link, made.origin, made.problems) == ("churn", LINK, "api", ())
    assert await client.link("churn") == made
    assert await client.links() == [made]
    other = Link(members=("left:fraud", "right:fraud"), authority="right")
    await client.set_link("fraud", other)
    assert [one.name for one in await client.links()] == ["churn", "fraud"]
    await client.delete_link("fraud", reason="gone")
    assert [one.name for one in await client.links()] == ["churn"]
    told = [entry.change async for entry in client.audit()]
    assert [(one.action, one.reason) for one in told] == [
        ("link_set", "one model"),
        ("link_set", None),
        ("link_deleted", "gone"),
    ]


async def test_links_that_are_none(client: Client) -> None:
    for call in (client.link, client.delete_link):
        with pytest.raises(NotFound, match="link 'nobody' does not exist") as missing:
            await call("nobody")
        assert missing.value.cure
    with pytest.raises(InvalidRequest, match="Churn!"):
        await client.set_link("Churn!", LINK)
    with pytest.raises(InvalidRequest, match="rihgt"):
        await client.set_link("churn", Link(members=("left:churn", "rihgt:churn"), authority="left"))
    with pytest.raises(Unsupported, match="left:churn: alias"):
        await client.set_link("churn", replace(LINK, aliases=("a" * 1000,)))
    assert await client.links() == []
