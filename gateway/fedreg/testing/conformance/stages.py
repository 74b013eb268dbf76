"""Stages: each declared one is held as declared."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from fedreg.domain.capabilities import Operation
from fedreg.domain.errors import PreconditionFailed
from fedreg.domain.models import Version
from fedreg.domain.port import RegistryAdapter
from fedreg.domain.stages import NONE
from fedreg.testing import steps
from fedreg.testing.backend import Backend
from fedreg.testing.declared import declared_stages
from fedreg.testing.marks import needs, proves


async def live(adapter: RegistryAdapter, version: Version) -> Version:
    return await adapter.get_version(version.model, version.version)


@pytest.mark.asyncio
@proves("set_stage")
@needs(Operation.SET_STAGE)
class TestStages:
    async def test_set_and_read(self, adapter: RegistryAdapter, backend: Backend, declared_stage: str) -> None:
        version = await steps.new_version(adapter, backend)
        changed = await adapter.set_stage(version.id, declared_stage)
        assert (changed.stage, changed.stages) == (declared_stage, (declared_stage,))
        assert changed.native_stages, "native_stages is what the registry shows"
        assert changed.identity == version.identity
        assert await live(adapter, version) == changed
        assert [found.stage for found in await steps.all_versions(adapter, version.model)] == [declared_stage]

    async def test_is_no_alias(self, adapter: RegistryAdapter, backend: Backend, declared_stage: str) -> None:
        version = await steps.new_version(adapter, backend)
        changed = await adapter.set_stage(version.id, declared_stage)
        assert changed.aliases == ()
        assert not (await adapter.get_model(version.model)).aliases

    async def test_take_away(self, adapter: RegistryAdapter, backend: Backend, declared_stage: str) -> None:
        version = await steps.new_version(adapter, backend)
        await adapter.set_stage(version.id, declared_stage)
        assert (await adapter.set_stage(version.id, NONE)).stage == NONE
        assert (await live(adapter, version)).stages == ()
        assert (await adapter.set_stage(version.id, NONE)).stage == NONE, "taking away what is not there is fine"

    async def test_twice(self, adapter: RegistryAdapter, backend: Backend, declared_stage: str) -> None:
        version = await steps.new_version(adapter, backend)
        await adapter.set_stage(version.id, declared_stage)
        assert (await adapter.set_stage(version.id, declared_stage)).stages == (declared_stage,)

    async def test_from_every_other(self, adapter: RegistryAdapter, backend: Backend, declared_stage: str) -> None:
        version = await steps.new_version(adapter, backend)
        for other in declared_stages(adapter.capabilities):
            await adapter.set_stage(version.id, other)
            assert (await adapter.set_stage(version.id, declared_stage)).stages == (declared_stage,)

    async def test_exclusive(self, adapter: RegistryAdapter, backend: Backend, exclusive_stage: str) -> None:
        model = await steps.new_model(adapter, backend)
        first = await steps.new_version(adapter, backend, model)
        second = await steps.new_version(adapter, backend, model)
        await adapter.set_stage(first.id, exclusive_stage)
        await adapter.set_stage(second.id, exclusive_stage)
        assert exclusive_stage not in (await live(adapter, first)).stages
        assert (await live(adapter, second)).stage == exclusive_stage

    async def test_exclusive_leaves_another_holder(
        self, adapter: RegistryAdapter, backend: Backend, exclusive_stage: str
    ) -> None:
        """Taking the stage from a version that lost it must not take it from the one that has it."""
        model = await steps.new_model(adapter, backend)
        first = await steps.new_version(adapter, backend, model)
        second = await steps.new_version(adapter, backend, model)
        await adapter.set_stage(first.id, exclusive_stage)
        await adapter.set_stage(second.id, exclusive_stage)
        await adapter.set_stage(first.id, NONE)
        assert (await live(adapter, second)).stage == exclusive_stage

    async def test_shared(self, adapter: RegistryAdapter, backend: Backend, shared_stage: str) -> None:
        model = await steps.new_model(adapter, backend)
        first = await steps.new_version(adapter, backend, model)
        second = await steps.new_version(adapter, backend, model)
        await adapter.set_stage(first.id, shared_stage)
        await adapter.set_stage(second.id, shared_stage)
        assert (await live(adapter, first)).stage == shared_stage, "demoting the earlier holder is the caller's"
        assert (await live(adapter, second)).stage == shared_stage

    async def test_expected_holds(self, adapter: RegistryAdapter, backend: Backend, conditional_stage: str) -> None:
        version = await steps.new_version(adapter, backend)
        assert (await adapter.set_stage(version.id, conditional_stage, NONE)).stage == conditional_stage
        assert (await adapter.set_stage(version.id, NONE, conditional_stage)).stage == NONE

    async def test_expected_lost(self, adapter: RegistryAdapter, backend: Backend, conditional_stage: str) -> None:
        version = await steps.new_version(adapter, backend)
        with pytest.raises(PreconditionFailed):
            await adapter.set_stage(version.id, conditional_stage, conditional_stage)
        assert (await live(adapter, version)).stage == NONE
        await adapter.set_stage(version.id, conditional_stage)
        with pytest.raises(PreconditionFailed):
            await adapter.set_stage(version.id, NONE, NONE)
        assert (await live(adapter, version)).stage == conditional_stage

    async def test_atomic(self, adapter: RegistryAdapter, backend: Backend, atomic_stage: str) -> None:
        """Of several at once that expect the same, one wins."""
        version = await steps.new_version(adapter, backend)
        tries = [adapter.set_stage(version.id, atomic_stage, NONE) for _ in range(4)]
        results = await asyncio.gather(*tries, return_exceptions=True)
        assert [type(r) for r in results if isinstance(r, BaseException)] == [PreconditionFailed] * 3
        assert (await live(adapter, version)).stage == atomic_stage

    async def test_another_identity(self, adapter: RegistryAdapter, backend: Backend, declared_stage: str) -> None:
        version = await steps.new_version(adapter, backend)
        other = replace(version.id, identity=version.identity + "-gone")
        with pytest.raises(PreconditionFailed):
            await adapter.set_stage(other, declared_stage)
        assert (await live(adapter, version)).stage == NONE
