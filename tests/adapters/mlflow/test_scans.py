"""Scans in pages: few requests, resumed anywhere, and increments that see what is declared and no more."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from mlflow import MlflowClient

from fedreg.domain.errors import InvalidRequest
from fedreg.domain.models import Batch, ModelDraft
from fedreg.domain.port import RegistryAdapter
from fedreg.testing.faults import FaultProxy
from fedreg_adapters.mlflow import scans
from fedreg_adapters.mlflow.adapter import MlflowAdapter

from .conftest import Opener
from .server import MlflowServer
from .steps import unique


async def scan_on(adapter: RegistryAdapter, cursor: str | None = None) -> list[Batch]:
    batches = [await adapter.scan(cursor)]
    while not batches[-1].complete:
        batches.append(await adapter.scan(batches[-1].cursor))
    return batches


def fill(client: MlflowClient, models: int, versions: int) -> list[str]:
    names = [unique("scanned") for _ in range(models)]
    for name in names:
        client.create_registered_model(name)
        for number in range(versions):
            client.create_model_version(name, f"s3://bucket/{number}")
        client.set_registered_model_alias(name, "production", "1")
        client.set_registered_model_alias(name, "champion", "2")
    return names


async def test_small_pages_and_another_process(
    connect: Opener, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each batch is read by a new adapter that has seen nothing of the scan so far."""
    # Some pages of each, however much other tests have left on the server.
    monkeypatch.setattr(scans, "MODELS_AT_ONCE", 2 + len(client.search_registered_models(max_results=1000)) // 4)
    monkeypatch.setattr(scans, "VERSIONS_AT_ONCE", 3 + len(client.search_model_versions(max_results=10_000)) // 4)
    names = fill(client, 3, 2)
    long_name = f"team/{unique()}".ljust(280, "x")
    await connect().create_model(ModelDraft(name=long_name))
    batches, cursor, complete = [], None, False
    while not complete:
        batches.append(await connect().scan(cursor))
        cursor, complete = batches[-1].cursor, batches[-1].complete
    models = [model.name for batch in batches for model in batch.models]
    versions = {(found.model, found.version): found for batch in batches for found in batch.versions}
    assert len(models) == len(set(models))
    assert set(models) >= {*names, long_name}
    adapter = connect()
    for name in names:
        assert versions[name, "1"] == await adapter.get_version(name, "1")
        assert (versions[name, "1"].stage, versions[name, "2"].aliases) == ("production", ("champion",))
    assert len(versions) == sum(len(batch.versions) for batch in batches)


async def test_requests_do_not_grow_with_versions(connect: Opener, client: MlflowClient, server: MlflowServer) -> None:
    fill(client, 2, 4)
    async with FaultProxy(server.url) as proxy:
        await scan_on(connect(url=proxy.url))
        assert sum(counter.requests for counter in proxy.counters.values()) == 4, "two for the start, a page of each"


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        (lambda c, name: c.create_model_version(name, "s3://bucket/new"), True),
        (lambda c, name: c.update_model_version(name, "1", "text"), True),
        (lambda c, name: c.update_registered_model(name, "text"), True),
        (lambda c, name: c.transition_model_version_stage(name, "1", "Staging"), True),
        (lambda c, name: c.set_registered_model_alias(name, "new", "1"), False),
        (lambda c, name: c.set_model_version_tag(name, "1", "k", "v"), False),
        (lambda c, name: c.set_registered_model_tag(name, "k", "v"), False),
    ],
    ids=["create", "update version", "update model", "native stage", "alias", "version tag", "model tag"],
)
async def test_what_an_increment_sees(
    prod: MlflowAdapter, client: MlflowClient, change: Callable[[MlflowClient, str], object], seen: bool
) -> None:
    [name] = fill(client, 1, 2)
    cursor = (await scan_on(prod))[-1].cursor
    cursor = (await scan_on(prod, cursor))[-1].cursor
    change(client, name)
    [batch] = await scan_on(prod, cursor)
    found = {model.name for model in batch.models} | {version.model for version in batch.versions}
    assert (name in found, batch.full) == (seen, False)
    for version in batch.versions:
        assert version == await prod.get_version(version.model, version.version)


@pytest.mark.parametrize("cursor", ["", "x", "[]", "{}", json.dumps({"phase": "else", "since": 1})])
async def test_damaged_cursor(prod: MlflowAdapter, cursor: str) -> None:
    with pytest.raises(InvalidRequest, match="cursor"):
        await prod.scan(cursor)
