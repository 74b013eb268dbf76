"""The traps of a registry: operations that take time, addresses that move, numbers of uploads, twins."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fedreg.domain.errors import (
    NotFound,
    RegistryError,
)
from fedreg.domain.models import VersionDraft, VersionStatus
from fedreg.testing import steps
from fedreg.testing.backend import Fault, FaultKind, Match

from .fixtures import Start
from .fixtures import adapter as adapter
from .fixtures import backend as backend
from .fixtures import certificate as certificate
from .fixtures import start as start

PUT_VERSION = Match(method="PUT", path=r"/models/[^/]+/versions/[^/?]+\?")


async def test_twins_in_a_registry_are_put_aside(start: Start) -> None:
    """There is nothing to delete them with: the later one is archived and shown as failed."""
    backend = await start(of_registry=True, operation_time=0.0)
    adapter = await backend.open_adapter()
    try:
        state = await steps.uploaded(adapter, backend, await steps.new_model(adapter, backend))
        first = await steps.finish(adapter, state)
        twin = replace(state, data={**state.data, "version": "2"})
        await steps.put_all(adapter, twin, steps.FILES)
        resource = await adapter._uploads.create(
            state.data["native"],
            VersionDraft(model=state.model),
            "another",
            (await adapter._uploads._staged(twin)).uri + "/files",
            "2",
        )
        tags = {**resource["properties"]["tags"], "fed.copy": state.key}
        await adapter._versions.change("t", state.data["native"], "2", lambda inner, held: held.update(tags))
        assert await steps.finish(adapter, state) == first
        found = {v.version: v for v in await steps.all_versions(adapter, state.model)}
        assert (found["1"].status, found["2"].status) == (VersionStatus.READY, VersionStatus.FAILED)
        assert found["2"].status_message == "made twice: version 1 stays"
        assert await adapter.find_version(state.model, state.key) == first
    finally:
        await adapter.aclose()


async def test_an_address_that_moves_is_no_identity(start: Start) -> None:
    backend = await start(of_registry=True)
    adapter = await backend.open_adapter()
    try:
        version = await steps.new_version(adapter, backend)
        raw = [await adapter._versions.get(version.model, "1") for _ in range(2)]
        assert raw[0]["properties"]["modelUri"] != raw[1]["properties"]["modelUri"]
        assert {(await adapter.get_version(version.model, "1")) == version for _ in range(2)} == {True}
        assert await steps.read_all(adapter, version) == dict(steps.FILES)
        with pytest.raises(NotFound):
            await steps.all_versions(adapter, "missing")  # the service's own list is empty, with status 200
    finally:
        await adapter.aclose()


async def test_an_operation_that_takes_its_time(start: Start) -> None:
    backend = await start(of_registry=True, operation_time=0.3)
    adapter = await backend.open_adapter()
    try:
        version = await steps.new_version(adapter, backend)
        assert (await adapter.set_stage(version.id, "production", "none")).stage == "production"
    finally:
        await adapter.aclose()


async def test_an_operation_at_another_host_is_not_followed(start: Start) -> None:
    backend = await start(of_registry=True)
    adapter = await backend.open_adapter()
    try:
        state = await steps.uploaded(adapter, backend, await steps.new_model(adapter, backend))
        headers = {"Location": "https://evil.example.com/operations/1", "Content-Type": "application/json"}
        backend.service.inject(Fault(kind=FaultKind.STATUS, match=PUT_VERSION, status=202, headers=headers, body="{}"))
        with pytest.raises(RegistryError, match="another host"):
            await adapter.finish(state)
    finally:
        await adapter.aclose()


async def test_an_upload_keeps_its_number(start: Start) -> None:
    backend = await start(of_registry=True)
    first, second = await backend.open_adapter(), await backend.open_adapter()
    try:
        model = await steps.new_model(first, backend)
        one = await steps.begin(first, backend, model, steps.FILES, "one")
        two = await steps.begin(second, backend, model, steps.FILES, "two")
        assert (one.data["version"], two.data["version"]) == ("1", "2")
        await steps.put_all(second, two, steps.FILES)
        assert (await steps.finish(second, two)).version == "2"
        await first.abort(one)
        assert [v.version for v in await steps.all_versions(first, model)] == ["2"]
    finally:
        await first.aclose()
        await second.aclose()
