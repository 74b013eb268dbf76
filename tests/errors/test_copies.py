"""Copies that go wrong on their way, and copies started twice: one whole version at the target, or nothing."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from fedreg import aio
from fedreg.domain.records import InventoryQuery
from fedreg_adapters.memory.standin_faults import Mishap, VendorError

from .page import Row, Said
from .verdict import compare, judge
from .world import (
    COMMAND,
    FILES,
    HTTP,
    PYTHON,
    REMOTE,
    SURFACES,
    URL,
    Ask,
    Outcome,
    World,
    family,
    from_streams,
    request,
)

SOURCE, TARGET = "left:churn@version:1", "right:churn"
COPY = Ask("POST", "/v1/copies", {"source": SOURCE, "target": TARGET})
DOWN = "a registry of the inventory is down"
TWICE = "the same version copied twice at once"


def copy_on(world: World, surface: str) -> Outcome:
    """Copy, and wait for the end. Over HTTP that is the operation's: its error is the outcome."""
    if family(surface) == COMMAND:
        return world.cli("copy", SOURCE, TARGET, surface=surface)
    if family(surface) == PYTHON:
        return world.python(lambda fed: fed.copy(SOURCE, TARGET), surface=surface)
    outcome: Outcome = world.served(follow)
    return outcome


async def follow(client: TestClient[Any, Any]) -> Outcome:
    """Start a copy over HTTP and follow its events to the end."""
    started = await request(client, COPY)
    assert started.ending == "202", started.text
    async with client.get(f"{started.headers['Location']}/events") as events:
        assert "event: end" in await events.text()
    ended = await request(client, Ask("GET", started.headers["Location"]))
    error = ended.value["error"] or {}
    ending = f"202, then {ended.value['state']}"
    message, cure, registry = (error.get(name) or "" for name in ("message", "cure", "registry"))
    return Outcome(ending, message, cure, error.get("code", ""), ended.text, registry=registry)


MIDWAY = {
    "registry that is full, found at the end of a copy": (
        Mishap("refuse", "release.publish", times=0, error=VendorError("full", "100 releases")),
        ("exit 1", "Conflict"),
        ("right", "full", "100 releases"),
        "delete what is not needed",
    ),
    "token that expires in the middle of a copy": (
        Mishap("refuse", "blob.put", nth=len(FILES) + 1, times=0, error=VendorError("expired")),
        ("exit 1", "RegistryAuthError"),
        ("right", "credentials have expired"),
        "check the credentials",
    ),
    "registry that goes down in the middle of a copy": (
        Mishap("refuse", "release.publish", times=0, error=VendorError("down")),
        ("exit 5", "RegistryUnavailable"),
        ("right", "down"),
        "try again",
    ),
}


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("name", MIDWAY)
def test_a_copy_that_fails_leaves_no_version(world: World, page: dict[Row, Said], name: str, surface: str) -> None:
    planned, (code, error), names, cure = MIDWAY[name]
    mishap = Mishap(planned.what, planned.call, nth=planned.nth, times=0, error=planned.error)
    vendor = world.vendor("right")
    vendor.mishaps.planned.append(mishap)
    before = world.state()
    outcome = copy_on(world, surface)
    ending = {COMMAND: code, HTTP: "202, then failed", PYTHON: error}[family(surface)]
    judge(outcome, ending, names, cure)
    compare(page, name, surface, outcome, world.home)

    after = world.state()
    assert after["left"] == before["left"]
    assert {table for table in before if after[table] != before[table]} <= {"left", "right", "intents", "requests"}
    assert [shelf["releases"] for shelf in vendor.shelves.values()] in ([], [{}])
    if error != "RegistryUnavailable":  # nothing is kept that no retry can use
        assert vendor.uploads == {}

    vendor.mishaps.clear()
    again = copy_on(world, surface)
    assert again.ending in ("exit 0", "202, then succeeded", "done"), again.text
    [release] = vendor.shelves["churn"]["releases"].values()
    assert {path: data for path, data in release["blobs"].items() if path in FILES} == FILES


@pytest.mark.parametrize("surface", SURFACES)
def test_a_registry_of_the_inventory_is_down(world: World, page: dict[Row, Said], surface: str) -> None:
    if family(surface) == COMMAND:
        outcome = world.cli("inventory", "--registry", "left", "--registry", "down", "-o", "name", surface=surface)
        assert outcome.text.startswith("left:churn")
        assert outcome.message.startswith("partial: down: ")
        outcome = replace(outcome, message=outcome.message.removeprefix("partial: down: "), registry="down")
    elif surface == HTTP:
        answer = world.http(Ask("GET", "/v1/models?registry=left&registry=down"))
        [part] = answer.value["partial"]
        told = (part["error"]["message"], part["error"]["cure"])
        outcome = Outcome(answer.ending, *told, text=answer.text, registry=part["registry"])
        assert [row["model"] for row in answer.value["items"]] == ["churn"] and part["registry"] == "down"
    else:
        found = world.python(lambda fed: fed.inventory(InventoryQuery(registries=("left", "down"))), surface=surface)
        [part] = found.value.partial
        told = (part["error"]["message"], part["error"]["cure"])
        outcome = Outcome("done", *told, text=str(found.value), registry=part["registry"])
        assert [row.model for row in found.value.items] == ["churn"] and part["registry"] == "down"
    ending = {COMMAND: "exit 4", HTTP: "200", PYTHON: "done"}[family(surface)]
    judge(outcome, ending, ("down", "127.0.0.1"), "address")
    compare(page, DOWN, surface, outcome, world.home)


@pytest.mark.parametrize("surface", SURFACES)
def test_the_same_version_copied_twice_at_once(world: World, page: dict[Row, Said], surface: str) -> None:
    if surface == HTTP:
        outcome = world.served(_post_twice)
    elif surface == COMMAND:
        outcome = asyncio.run(_copy_beside(world))
        judge(outcome, "exit 5", ("store", "process"), "wait until it ends")
    else:
        twice = {PYTHON: _copy_twice, REMOTE: _copy_twice_remotely, URL: _command_twice}[surface]
        outcome = asyncio.run(twice(world))
    [release] = world.vendor("right").shelves["churn"]["releases"].values()
    assert set(FILES) <= set(release["blobs"])
    copied = [row for row in world.state()["journal"] if "'copied'" in row]
    assert len(copied) == 1
    compare(page, TWICE, surface, outcome, world.home)


async def _post_twice(client: TestClient[Any, Any]) -> Outcome:
    first, second = await asyncio.gather(request(client, COPY), request(client, COPY))
    assert first.value["id"] == second.value["id"] and (first.ending, second.ending) == ("202", "202")
    async with client.get(f"{first.headers['Location']}/events") as events:
        assert "event: end" in await events.text()
    return Outcome("202", "both are given the same operation", "none is needed")


async def _copy_twice(world: World) -> Outcome:
    async with aio.open(world.config) as fed:
        first, second = await asyncio.gather(fed.copy(SOURCE, TARGET), fed.copy(SOURCE, TARGET))
    assert first.target == second.target == "right:churn@version:1"
    return Outcome("done", "both are given the same version", "none is needed")


async def _copy_twice_remotely(world: World) -> Outcome:
    with world.gateway() as url:
        async with aio.connect(url) as one, aio.connect(url) as other:
            first, second = await asyncio.gather(one.copy(SOURCE, TARGET), other.copy(SOURCE, TARGET))
    assert first.target == second.target == "right:churn@version:1"
    return Outcome("done", "both are given the same version", "none is needed")


async def _command_twice(world: World) -> Outcome:
    with world.gateway() as url:
        command = [sys.executable, "-m", "fedreg.cli.main", "--url", url, "copy", SOURCE, TARGET, "-o", "name"]
        run = (asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60) for _ in range(2))
        first, second = await asyncio.gather(*run)
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert first.stdout == second.stdout == "right:churn@version:1\n"
    return Outcome("exit 0", "both are given the same version", "none is needed")


async def _copy_beside(world: World) -> Outcome:
    """While this process copies, another one tries to."""
    command = [sys.executable, "-m", "fedreg.cli.main", "--config", str(world.config), "copy", SOURCE, TARGET]
    async with aio.open(world.config) as fed:
        beside = asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60)
        done, _ = await asyncio.gather(beside, fed.copy(SOURCE, TARGET))
    return from_streams(done.returncode, done.stdout, done.stderr)
