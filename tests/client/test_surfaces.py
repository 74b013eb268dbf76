"""The blocking client has every method of the interface with the same parameters, and works at both ends."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import get_type_hints

import pytest

import fedreg
from fedreg.client import interface
from fedreg.client.local import LocalClient
from fedreg.client.remote import RemoteClient
from fedreg.services.gateway import Gateway
from fedreg.settings import Settings

from .conftest import Seed

METHODS = {
    name: method
    for name, method in vars(interface.Client).items()
    if not name.startswith("_") and inspect.isfunction(method)
}


@pytest.mark.parametrize("name", METHODS)
def test_the_blocking_client_has_it(name: str) -> None:
    contract, blocking = METHODS[name], getattr(fedreg.Client, name)
    assert blocking.__doc__
    assert list(inspect.signature(blocking).parameters.values()) == list(
        inspect.signature(contract).parameters.values()
    )
    expected, found = get_type_hints(contract)["return"], get_type_hints(blocking)["return"]
    if getattr(expected, "__origin__", None) is AsyncIterator:
        assert (found.__origin__, found.__args__) == (Iterator, expected.__args__)
    else:
        assert found == expected


@pytest.mark.parametrize("kind", [LocalClient, RemoteClient])
def test_each_half_has_nothing_but_the_interface(kind: type[interface.Client]) -> None:
    public = {name for name, value in vars(kind).items() if not name.startswith("_") and callable(value)}
    assert public <= METHODS.keys()
    for name in public:
        assert list(inspect.signature(getattr(kind, name)).parameters) == list(
            inspect.signature(METHODS[name]).parameters
        )


async def test_a_script_at_a_gateway(url: str, seed: Seed) -> None:
    await seed()
    await asyncio.to_thread(_script, lambda: fedreg.connect(url))


async def test_a_script_in_process(gateway: Gateway, settings: Settings, seed: Seed, tmp_path: Path) -> None:
    await seed()
    config = tmp_path / "other.yaml"
    config.write_text((tmp_path / "fedreg.yaml").read_text().replace("fedreg.db", "other.db"))
    await asyncio.to_thread(_script, lambda: fedreg.open(config))
    async with fedreg.aio.open(config) as fed:
        assert [version.model async for version in fed.versions(registry="right")] == ["churn"]


async def test_async_at_a_gateway(url: str, seed: Seed) -> None:
    await seed()
    async with fedreg.aio.connect(url) as fed:
        assert [version.model async for version in fed.versions(registry="left")] == ["churn"]


def _script(opening) -> None:  # type: ignore[no-untyped-def]
    with opening() as fed:
        for version in fed.versions(registry="left", model="ch*"):
            report = fed.copy(version.ref, fedreg.Ref("right", version.model))
            fed.promote(report.target, to="staging", reason="Q3 migration")
        fed.refresh(["right"])
        assert [version.stage for version in fed.versions(registry="right", stage="staging")] == ["staging"]
        assert [model.name for model in fed.models("right")] == ["churn"]
        assert fed.check("left:churn@1", "right:churn@1", download=True).same
        assert len(list(fed.audit())) >= 2
        with pytest.raises(fedreg.FedregError, match="middle"):
            fed.show("middle:churn")
