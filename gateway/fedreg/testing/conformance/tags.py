"""Tags of models and of versions."""

from __future__ import annotations

import pytest

from fedreg.domain.capabilities import Operation
from fedreg.domain.errors import NotFound
from fedreg.domain.port import RegistryAdapter
from fedreg.testing import steps
from fedreg.testing.backend import Backend
from fedreg.testing.marks import needs, proves


@pytest.mark.asyncio
@proves("set_version_tags")
@needs(Operation.SET_VERSION_TAGS)
class TestVersionTags:
    async def test_set_change_and_remove(self, adapter: RegistryAdapter, backend: Backend) -> None:
        version = await steps.new_version(adapter, backend)

        async def now() -> dict[str, str]:
            return dict((await adapter.get_version(version.model, version.version)).tags)

        await adapter.set_version_tags(version.model, version.version, {"team": "growth", "tier": "1"})
        assert await now() == {"team": "growth", "tier": "1"}
        await adapter.set_version_tags(version.model, version.version, {"tier": "2"}, remove=["team", "absent"])
        assert await now() == {"tier": "2"}
        await adapter.set_version_tags(version.model, version.version, {}, remove=["tier"])
        assert await now() == {}

    async def test_odd_text(self, adapter: RegistryAdapter, backend: Backend) -> None:
        if adapter.capabilities.limits.version_tag_pattern is not None:
            pytest.skip("capability not declared: any text in tags; TestLimits tries the alphabet")
        version = await steps.new_version(adapter, backend)
        odd = {"a.b/c d": "x=y&z %41 \"'`", "ü": "空", "long": "z" * 100}
        await adapter.set_version_tags(version.model, version.version, odd)
        assert dict((await adapter.get_version(version.model, version.version)).tags) == odd

    async def test_unknown_version(self, adapter: RegistryAdapter, backend: Backend) -> None:
        version = await steps.new_version(adapter, backend)
        with pytest.raises(NotFound):
            await adapter.set_version_tags(version.model, "999999", {"a": "b"})

    async def test_leaves_stage_and_alias_alone(self, adapter: RegistryAdapter, backend: Backend) -> None:
        version = await steps.new_version(adapter, backend)
        for stage in adapter.capabilities.stages:
            staged = await adapter.set_stage(version.id, stage)
            assert dict(staged.tags) == {}, "what holds a stage is not shown as a tag"
            await adapter.set_version_tags(
                version.model, version.version, {"a": "b"}, remove=list(staged.native_stages)
            )
            assert (await adapter.get_version(version.model, version.version)).stage == stage
            await adapter.set_version_tags(version.model, version.version, {}, remove=["a"])


@pytest.mark.asyncio
@proves("set_model_tags")
@needs(Operation.SET_MODEL_TAGS)
class TestModelTags:
    async def test_set_change_and_remove(self, adapter: RegistryAdapter, backend: Backend) -> None:
        model = (await steps.new_version(adapter, backend)).model

        async def now() -> dict[str, str]:
            return dict((await adapter.get_model(model)).tags)

        await adapter.set_model_tags(model, {"team": "growth", "tier": "1"})
        assert await now() == {"team": "growth", "tier": "1"}
        await adapter.set_model_tags(model, {"tier": "2"}, remove=["team", "absent"])
        assert await now() == {"tier": "2"}

    async def test_unknown_model(self, adapter: RegistryAdapter, backend: Backend) -> None:
        with pytest.raises(NotFound):
            await adapter.set_model_tags(backend.unique_name("missing"), {"a": "b"})

    @needs(Operation.SET_ALIAS)
    async def test_leaves_aliases_alone(self, adapter: RegistryAdapter, backend: Backend) -> None:
        version = await steps.new_version(adapter, backend)
        await adapter.set_alias(version.model, "champion", version.version)
        assert dict((await adapter.get_model(version.model)).tags) == {}, "an alias is not shown as a tag"
        await adapter.set_model_tags(version.model, {"a": "b"}, remove=["champion"])
        assert dict((await adapter.get_model(version.model)).aliases) == {"champion": version.version}
