"""Models: create, read, page, change, delete."""

from __future__ import annotations

import pytest

from fedreg.domain.capabilities import Operation
from fedreg.domain.errors import AlreadyExists, Conflict, NotFound
from fedreg.domain.models import ModelDraft
from fedreg.domain.port import RegistryAdapter
from fedreg.testing import steps
from fedreg.testing.backend import Backend
from fedreg.testing.marks import needs, needs_field, proves


@pytest.mark.asyncio
@proves("models")
class TestModels:
    """Reading is never optional."""

    async def test_get_unknown(self, adapter: RegistryAdapter, backend: Backend) -> None:
        with pytest.raises(NotFound) as caught:
            await adapter.get_model(backend.unique_name("missing"))
        assert caught.value.registry == adapter.registry

    async def test_list_and_get_agree(self, adapter: RegistryAdapter, backend: Backend) -> None:
        version = await steps.new_version(adapter, backend)
        listed = await steps.all_models(adapter, contains=version.model)
        assert [model.name for model in listed] == [version.model]
        got = await adapter.get_model(version.model)
        assert (got.name, got.native_name, got.registry) == (version.model, listed[0].native_name, adapter.registry)
        for time in (got.created_at, got.updated_at):
            assert time is None or time.utcoffset() is not None, "times are aware"

    async def test_pages_show_each_model_once(self, adapter: RegistryAdapter, backend: Backend) -> None:
        hint = backend.unique_name("paged")
        names = {f"{hint}-{number}" for number in range(3)}
        for name in names:
            await steps.new_version(adapter, backend, await steps.new_model(adapter, backend, name))
        listed = [model.name for model in await steps.all_models(adapter, contains=hint, limit=2)]
        assert sorted(listed) == sorted(names)
        assert listed == [model.name for model in await steps.all_models(adapter, contains=hint)], "order is stable"

    async def test_filter_finds_nothing(self, adapter: RegistryAdapter, backend: Backend) -> None:
        assert await steps.all_models(adapter, contains=backend.unique_name("absent")) == []


@pytest.mark.asyncio
@proves("create_model")
@needs(Operation.CREATE_MODEL)
class TestCreateModel:
    async def test_is_there_and_empty(self, adapter: RegistryAdapter, backend: Backend) -> None:
        name = backend.unique_name()
        made = await adapter.create_model(ModelDraft(name=name))
        assert (made.name, made.registry) == (name, adapter.registry)
        assert await adapter.get_model(name) == made
        assert await steps.all_versions(adapter, name) == []
        assert not made.tags and not made.aliases

    async def test_twice(self, adapter: RegistryAdapter, backend: Backend) -> None:
        name = await steps.new_model(adapter, backend)
        with pytest.raises(AlreadyExists):
            await adapter.create_model(ModelDraft(name=name))

    @needs_field("model_fields.description")
    async def test_description(self, adapter: RegistryAdapter, backend: Backend) -> None:
        name = backend.unique_name()
        made = await adapter.create_model(ModelDraft(name=name, description="Churn, for the Ümläut team"))
        assert made.description == "Churn, for the Ümläut team"
        assert (await adapter.get_model(name)).description == made.description

    @needs_field("model_fields.tags")
    async def test_tags(self, adapter: RegistryAdapter, backend: Backend) -> None:
        name = backend.unique_name()
        await adapter.create_model(ModelDraft(name=name, tags={"team": "growth", "tier": "1"}))
        assert dict((await adapter.get_model(name)).tags) == {"team": "growth", "tier": "1"}


@pytest.mark.asyncio
@proves("update_model")
@needs(Operation.UPDATE_MODEL)
class TestUpdateModel:
    async def test_description(self, adapter: RegistryAdapter, backend: Backend) -> None:
        name = (await steps.new_version(adapter, backend)).model
        assert (await adapter.update_model(name, description="second")).description == "second"
        assert (await adapter.get_model(name)).description == "second"

    async def test_unknown(self, adapter: RegistryAdapter, backend: Backend) -> None:
        with pytest.raises(NotFound):
            await adapter.update_model(backend.unique_name("missing"), description="x")


@pytest.mark.asyncio
@proves("delete_model")
@needs(Operation.DELETE_MODEL)
class TestDeleteModel:
    async def test_is_gone(self, adapter: RegistryAdapter, backend: Backend) -> None:
        name = await steps.new_model(adapter, backend)
        if adapter.capabilities.models == "implicit":
            await steps.new_version(adapter, backend, name)
        await adapter.delete_model(name)
        with pytest.raises(NotFound):
            await adapter.get_model(name)
        assert await steps.all_models(adapter, contains=name) == []

    async def test_unknown(self, adapter: RegistryAdapter, backend: Backend) -> None:
        with pytest.raises(NotFound):
            await adapter.delete_model(backend.unique_name("missing"))

    async def test_with_versions(self, adapter: RegistryAdapter, backend: Backend) -> None:
        """Refused as a Conflict with nothing lost, or carried out whole."""
        version = await steps.new_version(adapter, backend)
        try:
            await adapter.delete_model(version.model)
        except Conflict:
            assert await adapter.get_version(version.model, version.version) == version
        else:
            with pytest.raises(NotFound):
                await adapter.get_version(version.model, version.version)

    async def test_made_again_has_other_identities(self, adapter: RegistryAdapter, backend: Backend) -> None:
        first = await steps.new_version(adapter, backend)
        try:
            await adapter.delete_model(first.model)
        except Conflict:
            await adapter.delete_version(first.model, first.version)
            await adapter.delete_model(first.model)
        again = await steps.new_version(adapter, backend, await steps.new_model(adapter, backend, first.model))
        assert again.identity != first.identity
