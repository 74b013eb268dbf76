"""Two gateways on one PostgreSQL: what one leaves when it dies the other finishes, and a stopped one does no more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from fedreg.sandbox.sandbox import Sandbox

from .gateways import Serving, serve
from .killed_stores import ServerDatabases

LEASE = 2.0
Pair = tuple[Serving, Serving]


@pytest.fixture
async def pair(sandbox: Sandbox, postgresql_url: str, tmp_path: Path) -> AsyncIterator[Pair]:
    async with AsyncExitStack() as stack:
        both = [serve(tmp_path, name, postgresql_url, sandbox.mlflow_url, LEASE) for name in ("one", "two")]
        one, two = await asyncio.gather(*(stack.enter_async_context(each) for each in both))
        yield one, two


async def begin(gateway: Serving, alias: str) -> asyncio.Task[None]:
    """Set an alias through a gateway; returns when its write has come to the gate, and stays there."""
    gateway.gate.shut = True

    async def ask() -> None:
        with pytest.raises((aiohttp.ClientError, AssertionError)):  # cut off, or told that another one goes on
            await gateway.call("PUT", f"/v1/registries/mlflow-prod/models/churn/aliases/{alias}", {"version": "2"})

    asked = asyncio.create_task(ask())
    await gateway.gate.arrived.wait()
    return asked


async def expect_once(gateway: Serving, alias: str) -> None:
    """Its operation is done, once, and the alias is where it belongs."""
    version = await gateway.call("GET", "/v1/registries/mlflow-prod/models/churn/versions/2")
    assert alias in version["aliases"]
    assert {one["state"] for one in await gateway.operations()} == {"succeeded"}
    journal = (await gateway.call("GET", "/v1/audit"))["items"]
    ours = [entry["change"] for entry in journal if entry["change"]["action"] == "alias_set"]
    assert [change["origin"] for change in ours if change["after"]["alias"] == alias] == ["ours"]
    assert (await gateway.call("GET", "/v1/audit/verify"))["ok"]


async def test_one_finishes_what_the_other_has_left(pair: Pair) -> None:
    """One gateway is stopped for longer than its lease, goes on, and is killed then."""
    one, two = pair
    await stop_and_go_on(one, two)
    await kill(one, two)


async def stop_and_go_on(one: Serving, two: Serving) -> None:
    asked = await begin(one, "stopped")
    one.stop()
    await two.finished()
    one.gate.opened.set()  # the registry refuses the first attempt: alone, the gateway would make a second
    one.go_on()
    await one.said("another one has taken over")
    await asked
    assert len(one.gate.writes) == 1
    assert len(two.gate.writes) == 1
    await expect_once(two, "stopped")
    one.gate.shut = False
    await one.call("PUT", "/v1/registries/mlflow-prod/models/churn/aliases/again", {"version": "1"})
    assert len(one.gate.writes) == 2  # it serves on, under a new lease


async def kill(one: Serving, two: Serving) -> None:
    one.gate.arrived.clear()
    one.gate.opened.clear()
    asked = await begin(one, "killed")
    one.process.kill()
    await asked
    async with asyncio.timeout(LEASE + 5):
        await two.finished()
    assert len(two.gate.writes) == 2
    await expect_once(two, "killed")


@pytest.mark.soak
async def test_operations_go_on_when_the_server_comes_back(
    pair: Pair, postgresql_server: object, sandbox: Sandbox
) -> None:
    one, two = pair
    names = [f"restart-{number}" for number in range(20)]

    async def put(number: int, name: str) -> None:
        gateway = (one, two)[number % 2]
        await gateway.call("PUT", f"/v1/registries/mlflow-prod/models/churn/aliases/{name}", {"version": "2"})

    asked = [asyncio.create_task(put(number, name)) for number, name in enumerate(names)]
    await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.to_thread(ServerDatabases(postgresql_server).restart)
    await asyncio.gather(*asked, return_exceptions=True)
    await one.finished()
    version = await two.call("GET", "/v1/registries/mlflow-prod/models/churn/versions/2")
    begun = await two.operations()
    assert {operation["state"] for operation in begun} == {"succeeded"}
    assert len([name for name in names if name in version["aliases"]]) == len(begun)
    assert (await two.call("GET", "/v1/audit/verify"))["ok"]
