"""Scans: whole, resumed, incremental."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import pytest

from fedreg.domain.capabilities import Change, Operation
from fedreg.domain.models import Batch, Version
from fedreg.domain.port import RegistryAdapter
from fedreg.testing import steps
from fedreg.testing.backend import Backend
from fedreg.testing.declared import declared_approvals, declared_stages
from fedreg.testing.marks import needs, proves


@pytest.mark.asyncio
@proves("scan")
class TestScan:
    async def test_shows_everything(self, adapter: RegistryAdapter, backend: Backend) -> None:
        version = await steps.new_version(adapter, backend)
        batches = await steps.scan_all(adapter)
        assert all(batch.full for batch in batches)
        models = [model for batch in batches for model in batch.models if model.name == version.model]
        assert models == [await adapter.get_model(version.model)]
        versions = [found for batch in batches for found in batch.versions if found.model == version.model]
        assert versions == [await adapter.get_version(version.model, version.version)]

    async def test_resumes_in_another_process(self, adapter: RegistryAdapter, backend: Backend) -> None:
        version = await steps.new_version(adapter, backend)
        first = await adapter.scan(None)
        batches = [first]
        if not first.complete:
            other = await backend.open_adapter()
            try:
                batches += await steps.scan_all(other, first.cursor)
            finally:
                await other.aclose()
        assert version.model in {model.name for batch in batches for model in batch.models}


@pytest.mark.asyncio
@proves("scan_incremental")
@needs(Operation.SCAN_INCREMENTAL)
class TestIncrementalScan:
    async def test_sees(self, adapter: RegistryAdapter, backend: Backend, declared_change: Change) -> None:
        model = await steps.new_model(adapter, backend)
        version = await steps.new_version(adapter, backend, model)
        cursor = (await steps.scan_all(adapter))[-1].cursor
        await CHANGES[declared_change](adapter, backend, version)
        batches = await steps.scan_all(adapter, cursor)
        assert not any(batch.full for batch in batches), "an increment is not the whole"
        assert version.model in touched(batches)
        for found in (found for batch in batches for found in batch.versions if found.model == model):
            assert found == await adapter.get_version(model, found.version), "what is shown is the state of now"

    async def test_sees_nothing_twice(self, adapter: RegistryAdapter, backend: Backend) -> None:
        version = await steps.new_version(adapter, backend)
        cursor = (await steps.scan_all(adapter))[-1].cursor
        quiet = await steps.scan_all(adapter, (await steps.scan_all(adapter, cursor))[-1].cursor)
        assert version.model not in touched(quiet)


def touched(batches: list[Batch]) -> set[str]:
    return {m.name for b in batches for m in b.models} | {v.model for b in batches for v in b.versions}


async def create(adapter: RegistryAdapter, backend: Backend, version: Version) -> None:
    await steps.new_version(adapter, backend, version.model)


async def update(adapter: RegistryAdapter, backend: Backend, version: Version) -> None:
    if adapter.capabilities.supports(Operation.UPDATE_VERSION):
        await adapter.update_version(version.model, version.version, description="changed")
    else:
        await adapter.update_model(version.model, description="changed")


async def delete(adapter: RegistryAdapter, backend: Backend, version: Version) -> None:
    await adapter.delete_version(version.model, version.version)


async def stage(adapter: RegistryAdapter, backend: Backend, version: Version) -> None:
    await adapter.set_stage(version.id, declared_stages(adapter.capabilities)[0])


async def alias(adapter: RegistryAdapter, backend: Backend, version: Version) -> None:
    await adapter.set_alias(version.model, "champion", version.version)


async def tags(adapter: RegistryAdapter, backend: Backend, version: Version) -> None:
    if adapter.capabilities.supports(Operation.SET_VERSION_TAGS):
        await adapter.set_version_tags(version.model, version.version, {"team": "growth"})
    else:
        await adapter.set_model_tags(version.model, {"team": "growth"})


async def approve(adapter: RegistryAdapter, backend: Backend, version: Version) -> None:
    await adapter.set_approval(version.id, declared_approvals(adapter.capabilities)[-1])


CHANGES: Mapping[Change, Callable[[RegistryAdapter, Backend, Version], Awaitable[None]]] = {
    Change.CREATED: create,
    Change.UPDATED: update,
    Change.DELETED: delete,
    Change.STAGE: stage,
    Change.ALIAS: alias,
    Change.TAGS: tags,
    Change.APPROVAL: approve,
}
