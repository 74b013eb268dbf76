"""Versions: read, page, fields, identity, change, delete."""

from __future__ import annotations

from typing import Any

import pytest

from fedreg.domain.capabilities import Operation
from fedreg.domain.errors import NotFound
from fedreg.domain.models import VersionStatus
from fedreg.domain.port import RegistryAdapter
from fedreg.domain.stages import NONE, Approval
from fedreg.testing import steps
from fedreg.testing.backend import Backend
from fedreg.testing.marks import needs, needs_field, proves


@pytest.mark.asyncio
@proves("versions")
class TestVersions:
    """Reading is never optional."""

    async def test_fresh_version(self, adapter: RegistryAdapter, backend: Backend) -> None:
        version = await steps.new_version(adapter, backend)
        assert version.registry == adapter.registry
        assert version.status is VersionStatus.READY
        assert version.version and version.identity
        assert (version.stage, version.stages, version.aliases) == (NONE, (), ())
        for time in (version.created_at, version.updated_at):
            assert time is None or time.utcoffset() is not None, "times are aware"

    async def test_get_list_and_create_agree(self, adapter: RegistryAdapter, backend: Backend) -> None:
        version = await steps.new_version(adapter, backend)
        assert await adapter.get_version(version.model, version.version) == version
        assert await steps.all_versions(adapter, version.model) == [version]

    @pytest.mark.parametrize("version", ["999999", "0", "-1", "1.0", "01", "abc", "latest", "1 or 1=1", "../1", "１"])
    async def test_unknown(self, adapter: RegistryAdapter, backend: Backend, version: str) -> None:
        model = (await steps.new_version(adapter, backend)).model
        with pytest.raises(NotFound):
            await adapter.get_version(model, version)

    async def test_of_an_unknown_model(self, adapter: RegistryAdapter, backend: Backend) -> None:
        name = backend.unique_name("missing")
        with pytest.raises(NotFound):
            await steps.all_versions(adapter, name)
        with pytest.raises(NotFound):
            await adapter.get_version(name, "1")

    async def test_pages_show_each_version_once(self, adapter: RegistryAdapter, backend: Backend) -> None:
        model = await steps.new_model(adapter, backend)
        made = [await steps.new_version(adapter, backend, model, {"n": bytes([n])}) for n in range(3)]
        listed = [found.version for found in await steps.all_versions(adapter, model, limit=1)]
        assert sorted(listed) == sorted(version.version for version in made)
        assert listed == [found.version for found in await steps.all_versions(adapter, model)], "order is stable"
        assert len({version.identity for version in made}) == 3

    async def test_holds_each_field(self, adapter: RegistryAdapter, backend: Backend, declared_field: str) -> None:
        values: dict[str, Any] = {
            "description": "trained on Monday – Ümläut",
            "metrics": {"auc": 0.125, "loss": 3.0},
            "params": {"depth": "3", "rate": "0.1"},
            "provenance": backend.provenance(),
            "approval": next((a for a in adapter.capabilities.approvals if a is not Approval.NONE), None),
        }
        version = await steps.new_version(adapter, backend, **{declared_field: values[declared_field]})
        got = await adapter.get_version(version.model, version.version)
        if declared_field == "provenance":
            given = values[declared_field]
            for name in ("run_id", "git_commit", "git_repository"):
                assert getattr(got.provenance, name) == getattr(given, name), name
        else:
            assert getattr(got, declared_field) == values[declared_field]

    @needs(Operation.SET_VERSION_TAGS)
    async def test_holds_tags_from_the_start(self, adapter: RegistryAdapter, backend: Backend) -> None:
        version = await steps.new_version(adapter, backend, tags={"team": "growth"})
        assert dict(version.tags) == {"team": "growth"}
        assert dict((await adapter.get_version(version.model, version.version)).tags) == {"team": "growth"}


@pytest.mark.asyncio
@proves("find_version")
@needs(Operation.FIND_VERSION)
class TestFindVersion:
    async def test_by_key(self, adapter: RegistryAdapter, backend: Backend) -> None:
        model, key = await steps.new_model(adapter, backend), steps.new_key()
        await steps.new_version(adapter, backend, model)
        version = await steps.new_version(adapter, backend, model, key=key)
        await steps.new_version(adapter, backend, model)
        assert await adapter.find_version(model, key) == version

    async def test_unknown_key(self, adapter: RegistryAdapter, backend: Backend) -> None:
        version = await steps.new_version(adapter, backend)
        assert await adapter.find_version(version.model, steps.new_key()) is None

    async def test_key_of_another_model(self, adapter: RegistryAdapter, backend: Backend) -> None:
        key = steps.new_key()
        await steps.new_version(adapter, backend, key=key)
        other = await steps.new_version(adapter, backend)
        assert await adapter.find_version(other.model, key) is None


@pytest.mark.asyncio
@proves("update_version")
@needs(Operation.UPDATE_VERSION)
class TestUpdateVersion:
    @needs_field("editable.version.description")
    async def test_description(self, adapter: RegistryAdapter, backend: Backend) -> None:
        version = await steps.new_version(adapter, backend)
        changed = await adapter.update_version(version.model, version.version, description="second")
        assert changed.description == "second"
        assert (await adapter.get_version(version.model, version.version)).description == "second"
        assert changed.identity == version.identity

    async def test_unknown(self, adapter: RegistryAdapter, backend: Backend) -> None:
        version = await steps.new_version(adapter, backend)
        with pytest.raises(NotFound):
            await adapter.update_version(version.model, "999999", description="x")


@pytest.mark.asyncio
@proves("delete_version")
@needs(Operation.DELETE_VERSION)
class TestDeleteVersion:
    async def test_is_gone(self, adapter: RegistryAdapter, backend: Backend) -> None:
        model = await steps.new_model(adapter, backend)
        kept = await steps.new_version(adapter, backend, model)
        gone = await steps.new_version(adapter, backend, model)
        await adapter.delete_version(model, gone.version)
        with pytest.raises(NotFound):
            await adapter.get_version(model, gone.version)
        assert await steps.all_versions(adapter, model) == [kept]

    async def test_unknown(self, adapter: RegistryAdapter, backend: Backend) -> None:
        version = await steps.new_version(adapter, backend)
        with pytest.raises(NotFound):
            await adapter.delete_version(version.model, "999999")

    async def test_identity_is_never_given_again(self, adapter: RegistryAdapter, backend: Backend) -> None:
        first = await steps.new_version(adapter, backend)
        await adapter.delete_version(first.model, first.version)
        model = first.model
        if adapter.capabilities.models == "implicit":
            model = await steps.new_model(adapter, backend, first.model)
        assert (await steps.new_version(adapter, backend, model)).identity != first.identity

    @needs(Operation.FIND_VERSION)
    async def test_key_finds_nothing_afterwards(self, adapter: RegistryAdapter, backend: Backend) -> None:
        model, key = await steps.new_model(adapter, backend), steps.new_key()
        await steps.new_version(adapter, backend, model)
        version = await steps.new_version(adapter, backend, model, key=key)
        await adapter.delete_version(model, version.version)
        assert await adapter.find_version(model, key) is None
