"""Webhooks: signed as receivers check it, in order, at least once, and none of them holds up another."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from standardwebhooks.webhooks import Webhook as Verifier
from standardwebhooks.webhooks import WebhookVerificationError

from fedreg.bootstrap import open_gateway
from fedreg.domain.errors import Conflict, InvalidRequest, NotFound
from fedreg.domain.records import Actor, Change
from fedreg.domain.webhooks import Attempt, Delivery, DeliveryState, Webhook
from fedreg.services import deliveries, webhooks
from fedreg.services.deliveries import deliver_due, deliver_for_ever
from fedreg.services.gateway import Gateway
from fedreg.services.webhook_sending import open_sender
from fedreg.settings import Settings, load_settings
from fedreg.settings.sections import WebhookSettings
from fedreg.store import journal

HOOK = "hook"
ANN = Actor(subject="ann")
set_webhook = partial(webhooks.set_webhook, actor=ANN)
delete_webhook = partial(webhooks.delete_webhook, actor=ANN)
redeliver = partial(webhooks.redeliver, actor=ANN)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    config = tmp_path / "fedreg.yaml"
    config.write_text(
        "store: {url: 'sqlite:///fedreg.db'}\n"
        "webhooks: {allow_http: true, allow_private: [127.0.0.0/8], max_attempts: 3, backoff: 10, timeout: 5}\n"
        "registries:\n"
        f"  left: {{kind: memory, space: '{uuid.uuid4().hex}'}}\n"
        "  right: {kind: memory}\n"
    )
    return load_settings(config, {})


@pytest.fixture
async def gateway(settings: Settings) -> AsyncIterator[Gateway]:
    async with open_gateway(settings) as opened:
        yield opened


async def change(gateway: Gateway, *actions: str, model: str = "churn", registry: str = "left") -> None:
    """Put changes into the journal."""
    made = [
        Change(action=action, registry=registry, model=model, version="1", actor=ANN, after=action)
        for action in actions
    ]
    await gateway.store.write(lambda tx: journal.append_all(tx, made, gateway.now()))


async def deliver(gateway: Gateway, webhook_id: str = HOOK) -> int:
    async with open_sender(gateway.webhooks) as sender:
        return await deliver_due(gateway, sender, webhook_id)


def set_clock(gateway: Gateway, moment: datetime) -> None:
    gateway.now = lambda: moment


async def test_a_message_is_what_receivers_check(gateway: Gateway, receive: Any) -> None:
    receiver = await receive()
    await change(gateway, "created")  # before there was a webhook
    made = await set_webhook(gateway, HOOK, receiver.url)
    await change(gateway, "stage_set")
    assert await deliver(gateway) == 1
    [(headers, body)] = receiver.got
    verified = Verifier(made.secret or "").verify(body, headers)
    entry = (await gateway.store.read(journal.list_entries))[2]
    assert verified["id"] == headers["webhook-id"] == f"3-{entry.hash[:16]}"
    assert headers["Content-Type"].startswith("application/cloudevents+json")
    assert {name: verified[name] for name in ("specversion", "type", "source", "subject", "datacontenttype")} == {
        "specversion": "1.0",
        "type": "dev.fedreg.stage_set",
        "source": "urn:fedreg",
        "subject": "left:churn@version:1",
        "datacontenttype": "application/json",
    }
    assert datetime.fromisoformat(verified["time"]) == entry.recorded_at
    assert (verified["data"]["sequence"], verified["data"]["hash"], verified["data"]["after"]) == (
        3,
        entry.hash,
        "stage_set",
    )
    with pytest.raises(WebhookVerificationError):
        Verifier(made.secret or "").verify(body.replace(b"churn", b"fraud"), headers)
    assert await deliver(gateway) == 0


async def test_filters_and_order(gateway: Gateway, receive: Any) -> None:
    receiver = await receive()
    await set_webhook(gateway, HOOK, receiver.url, actions=["stage_set"], registries=["left"], model="team/*")
    await change(gateway, *["stage_set", "tags_set"] * 120, model="team/churn")
    await change(gateway, "stage_set", model="other")
    await change(gateway, "stage_set", model="team/churn", registry="right")
    assert await deliver(gateway) == 120
    sequences = [body["data"]["sequence"] for body in receiver.bodies]
    assert sequences == list(range(2, 242, 2))
    assert (await webhooks.get_webhook(gateway, HOOK)).position == 243


async def test_a_failure_holds_up_what_comes_after_it_and_is_tried_again(gateway: Gateway, receive: Any) -> None:
    receiver = await receive()
    await set_webhook(gateway, HOOK, receiver.url)
    await change(gateway, "created", "stage_set")
    receiver.answers = [
        web.Response(status=503, text="later\n" * 500),
        web.Response(status=429, headers={"Retry-After": "120"}),
    ]
    start = datetime.now(UTC)
    set_clock(gateway, start)
    assert await deliver(gateway) == 1
    [first] = [one for one in await webhooks.list_deliveries(gateway, HOOK) if one.attempts]
    assert (first.sequence, first.state, first.status) == (2, DeliveryState.WAITING, 503)
    assert first.error is not None and first.error.startswith("answered 503: later later") and len(first.error) < 300
    assert first.next_at is not None and timedelta(seconds=5) <= first.next_at - start <= timedelta(seconds=10)
    assert await deliver(gateway) == 0
    set_clock(gateway, first.next_at)
    assert await deliver(gateway) == 1
    set_clock(gateway, first.next_at + timedelta(seconds=119))
    assert await deliver(gateway) == 0
    set_clock(gateway, first.next_at + timedelta(seconds=120))
    assert await deliver(gateway) == 2
    assert [body["data"]["sequence"] for body in receiver.bodies] == [2, 2, 2, 3]
    assert len({body["id"] for body in receiver.bodies}) == 2


async def test_a_dead_letter_is_kept_and_can_be_sent_again(gateway: Gateway, receive: Any) -> None:
    receiver = await receive()
    await set_webhook(gateway, HOOK, receiver.url)
    await change(gateway, "created", "stage_set")
    receiver.answers = [web.Response(status=500) for _ in range(3)]
    moment = datetime.now(UTC)
    for _ in range(3):
        set_clock(gateway, moment)
        await deliver(gateway)
        moment += timedelta(hours=2)
    newest, oldest = await webhooks.list_deliveries(gateway, HOOK)
    assert (oldest.state, oldest.attempts, newest.state) == (DeliveryState.DEAD, 3, DeliveryState.DELIVERED)
    assert await webhooks.list_deliveries(gateway, HOOK, states=[DeliveryState.DEAD]) == [oldest]
    again = await redeliver(gateway, HOOK, 2)
    assert (again.state, again.attempts) == (DeliveryState.REDELIVERING, 0)
    with pytest.raises(Conflict, match="redelivering already"):
        await redeliver(gateway, HOOK, 2)
    assert await deliver(gateway) == 2  # and that it was asked for
    assert [body["data"]["sequence"] for body in receiver.bodies[-2:]] == [2, 4]
    assert {one.state for one in await webhooks.list_deliveries(gateway, HOOK)} == {DeliveryState.DELIVERED}
    with pytest.raises(NotFound, match="no delivery 9"):
        await redeliver(gateway, HOOK, 9)


def test_too_old_is_dead_too() -> None:
    now = datetime.now(UTC)
    delivery = Delivery(
        webhook_id=HOOK, sequence=1, state=DeliveryState.WAITING, attempts=1, first_at=now, updated_at=now
    )
    failed, rules = Attempt(delivered=False), WebhookSettings(max_age=60)
    assert deliveries.settle(delivery, failed, rules, now + timedelta(seconds=59)).state is DeliveryState.WAITING
    assert deliveries.settle(delivery, failed, rules, now + timedelta(seconds=60)).state is DeliveryState.DEAD


async def test_another_process_goes_on_where_one_was_killed(settings: Settings, receive: Any) -> None:
    receiver = await receive()
    async with open_gateway(settings) as gateway:
        await set_webhook(gateway, HOOK, receiver.url)
        await change(gateway, "created", "stage_set")
        await deliver(gateway)
        await change(gateway, "tags_set")
    async with open_gateway(settings) as gateway:
        assert await deliver(gateway) == 1
    assert [body["type"].rpartition(".")[2] for body in receiver.bodies] == ["created", "stage_set", "tags_set"]


async def test_one_that_hangs_holds_up_nobody_else(
    gateway: Gateway, receive: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "POLL_SECONDS", 0.01)
    hanging, quick = await receive(), await receive()
    hanging.held = asyncio.Event()
    await set_webhook(gateway, "a-hanging", hanging.url)
    await set_webhook(gateway, "b-quick", quick.url)
    serving = asyncio.create_task(deliver_for_ever(gateway))
    await change(gateway, "created")
    await hanging.arrived.wait()
    await quick.arrived.wait()
    quick.arrived.clear()
    await change(gateway, "stage_set")
    await quick.arrived.wait()
    assert len(hanging.got) == 1
    serving.cancel()
    hanging.held.set()
    await asyncio.gather(serving, return_exceptions=True)


async def test_redirects_are_not_followed_and_silence_ends(gateway: Gateway, receive: Any) -> None:
    receiver, elsewhere = await receive(), await receive()
    receiver.answers = [web.Response(status=307, headers={"Location": elsewhere.url})]
    await set_webhook(gateway, HOOK, receiver.url)
    attempt = await webhooks.test_webhook(gateway, HOOK)
    assert (attempt.delivered, attempt.status, elsewhere.got) == (False, 307, [])
    receiver.held = asyncio.Event()
    gateway.webhooks = WebhookSettings(allow_http=True, allow_private=("127.0.0.0/8",), timeout=0.05)
    attempt = await webhooks.test_webhook(gateway, HOOK)
    assert (attempt.delivered, attempt.error) == (False, "no answer in time")
    receiver.held.set()


async def test_a_test_message(gateway: Gateway, receive: Any) -> None:
    receiver = await receive()
    made = await set_webhook(gateway, HOOK, receiver.url)
    assert (await webhooks.test_webhook(gateway, HOOK)).delivered
    headers, body = receiver.got[0]
    assert Verifier(made.secret or "").verify(body, headers)["type"] == "dev.fedreg.webhook_tested"
    assert await webhooks.list_deliveries(gateway, HOOK) == []


async def test_the_secret_is_shown_once(gateway: Gateway, receive: Any) -> None:
    receiver = await receive()
    made = await set_webhook(gateway, HOOK, receiver.url)
    assert made.secret is not None and made.secret.startswith("whsec_") and made.secret not in repr(made)
    changed = await set_webhook(gateway, HOOK, receiver.url, actions=["created"])
    assert (changed.secret, changed.actions, changed.created_at) == (None, ("created",), made.created_at)
    renewed = await set_webhook(gateway, HOOK, receiver.url, new_secret=True)
    assert renewed.secret not in (None, made.secret)
    assert [one.secret for one in await webhooks.list_webhooks(gateway)] == [None]
    assert (await webhooks.get_webhook(gateway, HOOK)).secret is None


async def test_deleted_with_its_deliveries(gateway: Gateway, receive: Any) -> None:
    receiver = await receive()
    await set_webhook(gateway, HOOK, receiver.url)
    await change(gateway, "created")
    await deliver(gateway)
    await delete_webhook(gateway, HOOK)
    with pytest.raises(NotFound):
        await delete_webhook(gateway, HOOK)
    made: Webhook = await set_webhook(gateway, HOOK, receiver.url)
    assert made.position == 4 and await webhooks.list_deliveries(gateway, HOOK) == []
    assert await deliver(gateway, "nobody") == 0


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "no address"),
        ("hook", "no address"),
        ("https://", "no address"),
        ("https://host:99999/", "no address"),
        ("https://hö.st/", "no address"),
        ("ftp://host/", "scheme 'ftp'"),
        ("file:///etc/passwd", "no address"),
        ("https://user:hunter2@host/", "credentials"),
        ("https://169.254.169.254/latest", "no public address"),
        ("https://[::ffff:10.0.0.1]/", "no public address"),
    ],
)
async def test_addresses_that_can_not_be_one(gateway: Gateway, url: str, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message) as caught:
        await set_webhook(gateway, HOOK, url)
    assert "hunter2" not in str(caught.value) and caught.value.cure


async def test_http_only_where_it_is_allowed(gateway: Gateway) -> None:
    gateway.webhooks = WebhookSettings()
    with pytest.raises(InvalidRequest, match="scheme 'http'"):
        await set_webhook(gateway, HOOK, "http://host/")


async def test_filters_that_mean_nothing(gateway: Gateway) -> None:
    for wrong in ({"actions": ["stageset"]}, {"registries": ["lefft"]}):
        with pytest.raises(InvalidRequest) as caught:
            await set_webhook(gateway, HOOK, "https://host.example/", **wrong)
        assert "did you mean" in (caught.value.cure or "")
    with pytest.raises(InvalidRequest, match="no name of a webhook"):
        await set_webhook(gateway, "Hook!", "https://host.example/")


async def test_changes_of_webhooks_are_journalled_without_what_is_secret(gateway: Gateway, receive: Any) -> None:
    receiver = await receive()
    address = f"{receiver.url}?token=hunter2"
    made = await set_webhook(gateway, HOOK, address)
    await change(gateway, "created")
    await deliver(gateway)
    changed = await set_webhook(gateway, HOOK, f"{address}3", actions=["created"], new_secret=True)
    await redeliver(gateway, HOOK, 2)
    with pytest.raises(NotFound):
        await delete_webhook(gateway, "other")
    await delete_webhook(gateway, HOOK)
    entries = await gateway.store.read(journal.list_entries)
    ours = [entry.change for entry in entries if entry.change.action != "created"]
    assert [one.action for one in ours] == ["webhook_set", "webhook_set", "webhook_redelivered", "webhook_deleted"]
    assert {(one.actor.subject, one.registry, one.model) for one in ours} == {("ann", "", "")}
    first, second, again, gone = ours
    assert first.before is None and gone.after is None
    assert (first.after["webhook"], first.after["actions"], first.after["new_secret"]) == (HOOK, [], True)
    assert (second.before["actions"], second.after["actions"], second.after["new_secret"]) == ([], ["created"], True)
    assert second.before["url_sha256"] == first.after["url_sha256"] != second.after["url_sha256"]
    assert gone.before["host"] == first.after["host"] == receiver.url.removesuffix("/hook")
    assert again.before == {"webhook": HOOK, "entry": 2, "state": "delivered"}
    assert again.after == {"webhook": HOOK, "entry": 2, "state": "redelivering"}
    told = repr(entries) + repr(receiver.bodies)
    assert made.secret and changed.secret
    assert not [secret for secret in (made.secret, changed.secret, "hunter2") if secret in told]


async def test_a_webhook_is_told_of_others(gateway: Gateway, receive: Any) -> None:
    receiver = await receive()
    await set_webhook(gateway, HOOK, receiver.url)
    await set_webhook(gateway, "other", receiver.url, actions=["created"])
    assert await deliver(gateway) == 1
    [body] = receiver.bodies
    assert (body["type"], body["subject"]) == ("dev.fedreg.webhook_set", "webhook:other")
