"""Where the gateway may connect to: by the address that is really used, whatever its name was before."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from fedreg.domain.webhooks import Attempt
from fedreg.services import addresses
from fedreg.services.addresses import AddressRules
from fedreg.services.webhook_messages import make_secret, to_test
from fedreg.services.webhook_sending import open_sender
from fedreg.settings.sections import WebhookSettings

PRIVATE = [
    "127.0.0.1",
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "192.168.0.1",
    "192.0.0.8",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fd00:ec2::254",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::",
    "2002:c0a8:1::1",
    "2001:0:7f00:1:0:0:80ff:fffe",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_not_public(address: str) -> None:
    assert not AddressRules().allows(address)


@pytest.mark.parametrize(
    "address", ["93.184.215.14", "2606:2800:21f:cb07::1", "::ffff:93.184.215.14", "64:ff9b::5db8:d70e"]
)
def test_public(address: str) -> None:
    assert AddressRules().allows(address)


def test_networks_that_are_allowed() -> None:
    rules = AddressRules(["10.0.0.0/8", "fd00::/8"])
    allowed = {address for address in PRIVATE if rules.allows(address)}
    assert allowed == {"10.1.2.3", "::ffff:10.0.0.1", "fd00:ec2::254"}


class Answers(AbstractResolver):
    """Resolves a name to one list of addresses after the other."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers: Iterator[list[str]] = iter(answers)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=one, port=port, family=socket.AF_INET, proto=0, flags=0)
            for one in next(self.answers)
        ]

    async def close(self) -> None:
        """Nothing is held."""


@pytest.fixture
async def receiver() -> AsyncIterator[tuple[list[str], int]]:
    seen: list[str] = []

    async def receive(request: web.Request) -> web.Response:
        seen.append(request.path)
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/{path:.*}", receive)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield seen, runner.addresses[0][1]
    await runner.cleanup()


async def send(url: str, resolver: AbstractResolver | None = None, times: int = 1, **settings: Any) -> list[Attempt]:
    now = datetime.now(UTC)
    message, secret = to_test("hook", "urn:test", now), make_secret()
    async with open_sender(WebhookSettings(allow_http=True, timeout=5, **settings), resolver) as sender:
        return [await sender.send(url, message, secret, now) for _ in range(times)]


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "0.0.0.0",
        "0",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
    ],
)
async def test_every_way_to_write_this_machine(receiver: tuple[list[str], int], host: str) -> None:
    seen, port = receiver
    [attempt] = await send(f"http://{host}:{port}/hook")
    assert not attempt.delivered and attempt.status is None
    assert seen == []


async def test_allowed_it_arrives(receiver: tuple[list[str], int]) -> None:
    seen, port = receiver
    [attempt] = await send(f"http://127.0.0.1:{port}/hook", allow_private=("127.0.0.0/8",))
    assert attempt == Attempt(delivered=True, status=204) and seen == ["/hook"]


async def test_a_name_that_is_bound_anew(receiver: tuple[list[str], int]) -> None:
    """Every attempt is checked by what the name means then."""
    seen, port = receiver
    allowed = ("127.0.0.1/32",)
    resolver = Answers(["127.0.0.1"], ["127.0.0.2"], ["127.0.0.1"])
    first, second, third = await send(f"http://hook.example:{port}/", resolver, times=3, allow_private=allowed)
    assert (first.delivered, second.delivered, third.delivered) == (True, False, True)
    assert second.error is not None and "127.0.0.2 is no public address" in second.error
    assert len(seen) == 2


async def test_one_private_address_among_public_ones(receiver: tuple[list[str], int]) -> None:
    seen, port = receiver
    [attempt] = await send(f"http://hook.example:{port}/", Answers(["93.184.215.14", "127.0.0.1"]))
    assert attempt.error is not None and attempt.error.startswith("refused:") and seen == []


async def test_a_resolver_that_is_not_guarded_changes_nothing(
    receiver: tuple[list[str], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check that counts is the one at the socket."""
    monkeypatch.setattr(addresses, "GuardedResolver", lambda rules, inner: inner)
    seen, port = receiver
    [attempt] = await send(f"http://hook.example:{port}/", Answers(["127.0.0.1"]))
    assert attempt.error is not None and attempt.error.startswith("refused:") and seen == []
