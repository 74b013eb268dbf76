"""Names: any goes in, the same comes out, no two are one."""

from __future__ import annotations

import pytest

from fedreg.domain.capabilities import Operation
from fedreg.domain.errors import InvalidRequest
from fedreg.domain.models import ModelDraft
from fedreg.domain.port import RegistryAdapter
from fedreg.testing import steps
from fedreg.testing.backend import Backend
from fedreg.testing.marks import needs, proves

ODD = [
    "team/{}",
    "team/sub/{}/v1",
    "dotted.{}.name",
    "under_score_{}",
    "with space {}",
    " leading {}",
    "trailing {} ",
    "UPPER{}",
    "ümläut-{}",
    "空-{}",
    "😀{}",
    "per%41cent{}",
    "{}#?&=+",
    "'quo\"ted`{}",
    "-lead{}",
    "{}-trail-",
    "../{}",
    "{}@at:colon",
    "e\u0301{}",
    "\u00e9{}",
]


@pytest.mark.asyncio
@proves("names")
@needs(Operation.CREATE_MODEL)
class TestNames:
    @pytest.mark.parametrize("pattern", ODD)
    async def test_odd_name(self, adapter: RegistryAdapter, backend: Backend, pattern: str) -> None:
        part = backend.unique_name("n")
        name = pattern.format(part)
        assert (await adapter.create_model(ModelDraft(name=name))).name == name
        assert (await adapter.get_model(name)).name == name
        assert name in [model.name for model in await steps.all_models(adapter)]
        version = await steps.new_version(adapter, backend, name)
        assert await steps.all_versions(adapter, name) == [version]
        assert version.model == name

    async def test_work_under_an_odd_name(self, adapter: RegistryAdapter, backend: Backend) -> None:
        name = f"team/ümläut %2F {backend.unique_name()}"
        version = await steps.new_version(adapter, backend, await steps.new_model(adapter, backend, name))
        for stage in adapter.capabilities.stages:
            assert (await adapter.set_stage(version.id, stage)).stage == stage
        if adapter.capabilities.supports(Operation.SET_ALIAS):
            await adapter.set_alias(name, "champion", version.version)
            assert dict((await adapter.get_model(name)).aliases) == {"champion": version.version}
        if adapter.capabilities.supports(Operation.OPEN_FILE):
            assert await steps.read_all(adapter, version) == dict(steps.FILES)

    async def test_alike_but_not_the_same(self, adapter: RegistryAdapter, backend: Backend) -> None:
        part = backend.unique_name("n")
        names = [f"a/{part}", f"a-{part}", f"a_{part}", f"a.{part}", f"a {part}", f"A-{part}", f"a%2F{part}"]
        natives = [(await adapter.create_model(ModelDraft(name=name))).native_name for name in names]
        assert len(set(natives)) == len(names)
        for name, native in zip(names, natives, strict=True):
            got = await adapter.get_model(name)
            assert (got.name, got.native_name) == (name, native)

    @pytest.mark.parametrize("length", [64, 65, 255, 256, 300])
    async def test_long(self, adapter: RegistryAdapter, backend: Backend, length: int) -> None:
        """Beyond what the registry spells: hashed, with the original stored, or refused by a declared limit."""
        limit = adapter.capabilities.limits.model_name
        stem = f"lang/{backend.unique_name()}-"
        names = [stem.ljust(length - 1, "x") + end for end in "yz"]
        if limit is not None and length > limit:
            with pytest.raises(InvalidRequest):
                await adapter.create_model(ModelDraft(name=names[0]))
            return
        for name in names:
            await adapter.create_model(ModelDraft(name=name))
        listed = {model.name for model in await steps.all_models(adapter)}
        assert listed >= set(names)
        for name in names:
            assert (await adapter.get_model(name)).name == name
            assert (await steps.new_version(adapter, backend, name)).model == name

    async def test_empty(self, adapter: RegistryAdapter) -> None:
        with pytest.raises(InvalidRequest):
            await adapter.create_model(ModelDraft(name=""))

    async def test_long_names_in_a_scan(self, adapter: RegistryAdapter, backend: Backend) -> None:
        limit = adapter.capabilities.limits.model_name
        name = f"lang/{backend.unique_name()}".ljust(min(limit or 200, 200), "x")
        version = await steps.new_version(adapter, backend, await steps.new_model(adapter, backend, name))
        batches = await steps.scan_all(adapter)
        assert name in {model.name for batch in batches for model in batch.models}
        assert version.id in [found.id for batch in batches for found in batch.versions]
