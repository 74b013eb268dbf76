"""Aliases: movable pointers, apart from those that hold stages."""

from __future__ import annotations

import pytest

from fedreg.domain.capabilities import Operation
from fedreg.domain.errors import InvalidRequest, NotFound
from fedreg.domain.port import RegistryAdapter
from fedreg.domain.stages import Holder
from fedreg.testing import steps
from fedreg.testing.backend import Backend
from fedreg.testing.marks import needs, proves


@pytest.mark.asyncio
@proves("set_alias")
@needs(Operation.SET_ALIAS)
class TestAliases:
    async def test_points(self, adapter: RegistryAdapter, backend: Backend) -> None:
        version = await steps.new_version(adapter, backend)
        await adapter.set_alias(version.model, "champion", version.version)
        assert dict((await adapter.get_model(version.model)).aliases) == {"champion": version.version}
        assert (await adapter.get_version(version.model, version.version)).aliases == ("champion",)
        assert [v.aliases for v in await steps.all_versions(adapter, version.model)] == [("champion",)]

    async def test_moves(self, adapter: RegistryAdapter, backend: Backend) -> None:
        model = await steps.new_model(adapter, backend)
        first = await steps.new_version(adapter, backend, model)
        second = await steps.new_version(adapter, backend, model)
        await adapter.set_alias(model, "champion", first.version)
        await adapter.set_alias(model, "champion", second.version)
        await adapter.set_alias(model, "champion", second.version)
        assert dict((await adapter.get_model(model)).aliases) == {"champion": second.version}
        assert (await adapter.get_version(model, first.version)).aliases == ()

    async def test_several_on_one(self, adapter: RegistryAdapter, backend: Backend) -> None:
        version = await steps.new_version(adapter, backend)
        for alias in ("blue", "green"):
            await adapter.set_alias(version.model, alias, version.version)
        assert sorted((await adapter.get_version(version.model, version.version)).aliases) == ["blue", "green"]

    async def test_unknown_version(self, adapter: RegistryAdapter, backend: Backend) -> None:
        version = await steps.new_version(adapter, backend)
        with pytest.raises(NotFound):
            await adapter.set_alias(version.model, "champion", "999999")
        assert not (await adapter.get_model(version.model)).aliases

    async def test_unknown_model(self, adapter: RegistryAdapter, backend: Backend) -> None:
        with pytest.raises(NotFound):
            await adapter.set_alias(backend.unique_name("missing"), "champion", "1")

    async def test_empty(self, adapter: RegistryAdapter, backend: Backend) -> None:
        version = await steps.new_version(adapter, backend)
        with pytest.raises(InvalidRequest):
            await adapter.set_alias(version.model, "", version.version)

    async def test_stage_pointer_is_refused(self, adapter: RegistryAdapter, backend: Backend) -> None:
        """The pointer of an alias-held stage is set by set_stage only."""
        version = await steps.new_version(adapter, backend)
        for stage, support in adapter.capabilities.stages.items():
            if support.holder is Holder.ALIAS:
                [pointer] = (await adapter.set_stage(version.id, stage)).native_stages
                with pytest.raises(InvalidRequest):
                    await adapter.set_alias(version.model, pointer, version.version)

    @needs(Operation.DELETE_VERSION)
    async def test_goes_with_its_version(self, adapter: RegistryAdapter, backend: Backend) -> None:
        model = await steps.new_model(adapter, backend)
        await steps.new_version(adapter, backend, model)
        gone = await steps.new_version(adapter, backend, model)
        await adapter.set_alias(model, "champion", gone.version)
        await adapter.delete_version(model, gone.version)
        assert not (await adapter.get_model(model)).aliases


@pytest.mark.asyncio
@proves("delete_alias")
@needs(Operation.DELETE_ALIAS)
class TestDeleteAlias:
    async def test_is_gone(self, adapter: RegistryAdapter, backend: Backend) -> None:
        version = await steps.new_version(adapter, backend)
        await adapter.set_alias(version.model, "champion", version.version)
        await adapter.set_alias(version.model, "other", version.version)
        await adapter.delete_alias(version.model, "champion")
        assert dict((await adapter.get_model(version.model)).aliases) == {"other": version.version}

    async def test_unset(self, adapter: RegistryAdapter, backend: Backend) -> None:
        version = await steps.new_version(adapter, backend)
        with pytest.raises(NotFound):
            await adapter.delete_alias(version.model, "champion")

    async def test_unknown_model(self, adapter: RegistryAdapter, backend: Backend) -> None:
        with pytest.raises(NotFound):
            await adapter.delete_alias(backend.unique_name("missing"), "champion")
