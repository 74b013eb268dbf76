"""Limits: what is declared fits at the edge, and one more is refused."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping

import pytest

from fedreg.domain.capabilities import Operation
from fedreg.domain.errors import InvalidRequest
from fedreg.domain.models import ModelDraft, Version
from fedreg.domain.port import RegistryAdapter
from fedreg.testing import steps
from fedreg.testing.backend import Backend
from fedreg.testing.marks import proves

ODD = ["\u0000", "\n", "é", "空", "!", "%", "'", "<", "a b", "*"]


@pytest.mark.asyncio
@proves("limits")
class TestLimits:
    async def test_edge_fits_and_one_more_is_refused(
        self, adapter: RegistryAdapter, backend: Backend, declared_limit: str
    ) -> None:
        limit = getattr(adapter.capabilities.limits, declared_limit)
        if limit > backend.probe_limits_up_to:
            pytest.skip(f"{declared_limit} of {limit} is beyond probe_limits_up_to")
        probe = PROBES[declared_limit]
        with pytest.raises(InvalidRequest):
            await probe(adapter, backend, await _version(adapter, backend), limit + 1)
        await probe(adapter, backend, await _version(adapter, backend), limit)

    async def test_alphabets(self, adapter: RegistryAdapter, backend: Backend) -> None:
        """A text that a declared pattern excludes is refused, and nothing is stored."""
        limits = adapter.capabilities.limits
        version = await _version(adapter, backend)
        before = await adapter.get_model(version.model)
        for odd in ODD:
            if limits.alias_pattern and not re.fullmatch(limits.alias_pattern, odd):
                with pytest.raises(InvalidRequest):
                    await adapter.set_alias(version.model, odd, version.version)
            if limits.version_tag_pattern and not re.fullmatch(limits.version_tag_pattern, odd):
                with pytest.raises(InvalidRequest):
                    await adapter.set_version_tags(version.model, version.version, {"key": odd})
            if limits.model_tag_pattern and not re.fullmatch(limits.model_tag_pattern, odd):
                with pytest.raises(InvalidRequest):
                    await adapter.set_model_tags(version.model, {"key": odd})
        assert await adapter.get_version(version.model, version.version) == version
        assert (await adapter.get_model(version.model)).aliases == before.aliases


async def _version(adapter: RegistryAdapter, backend: Backend) -> Version:
    return await steps.new_version(adapter, backend)


async def name_of_length(adapter: RegistryAdapter, backend: Backend, version: Version, length: int) -> None:
    name = backend.unique_name().ljust(length, "x")
    if adapter.capabilities.supports(Operation.CREATE_MODEL):
        await adapter.create_model(ModelDraft(name=name))
    else:
        await steps.new_version(adapter, backend, name)
    assert (await adapter.get_model(name)).name == name


async def description_of_length(adapter: RegistryAdapter, backend: Backend, version: Version, length: int) -> None:
    text = "d" * length
    if adapter.capabilities.supports(Operation.UPDATE_VERSION):
        await adapter.update_version(version.model, version.version, description=text)
        assert (await adapter.get_version(version.model, version.version)).description == text
    if "description" in adapter.capabilities.fields:
        assert (await steps.new_version(adapter, backend, description=text)).description == text
    if "description" in adapter.capabilities.model_fields:
        made = await adapter.create_model(ModelDraft(name=backend.unique_name(), description=text))
        assert made.description == text


async def version_tags(adapter: RegistryAdapter, version: Version, tags: Mapping[str, str]) -> None:
    await adapter.set_version_tags(version.model, version.version, tags)
    assert dict((await adapter.get_version(version.model, version.version)).tags) == dict(tags)


async def model_tags(adapter: RegistryAdapter, version: Version, tags: Mapping[str, str]) -> None:
    await adapter.set_model_tags(version.model, tags)
    assert dict((await adapter.get_model(version.model)).tags) == dict(tags)


async def tags_per_version(adapter: RegistryAdapter, backend: Backend, version: Version, number: int) -> None:
    await version_tags(adapter, version, {f"tag{n}": "x" for n in range(number)})


async def tags_per_model(adapter: RegistryAdapter, backend: Backend, version: Version, number: int) -> None:
    await model_tags(adapter, version, {f"tag{n}": "x" for n in range(number)})


async def version_tag_key(adapter: RegistryAdapter, backend: Backend, version: Version, length: int) -> None:
    await version_tags(adapter, version, {"k" * length: "x"})


async def version_tag_value(adapter: RegistryAdapter, backend: Backend, version: Version, length: int) -> None:
    await version_tags(adapter, version, {"key": "v" * length})


async def model_tag_key(adapter: RegistryAdapter, backend: Backend, version: Version, length: int) -> None:
    await model_tags(adapter, version, {"k" * length: "x"})


async def model_tag_value(adapter: RegistryAdapter, backend: Backend, version: Version, length: int) -> None:
    await model_tags(adapter, version, {"key": "v" * length})


async def alias_of_length(adapter: RegistryAdapter, backend: Backend, version: Version, length: int) -> None:
    await adapter.set_alias(version.model, "a" * length, version.version)
    assert dict((await adapter.get_model(version.model)).aliases) == {"a" * length: version.version}


PROBES: Mapping[str, Callable[[RegistryAdapter, Backend, Version, int], Awaitable[None]]] = {
    "model_name": name_of_length,
    "description": description_of_length,
    "tags_per_model": tags_per_model,
    "tags_per_version": tags_per_version,
    "model_tag_key": model_tag_key,
    "model_tag_value": model_tag_value,
    "version_tag_key": version_tag_key,
    "version_tag_value": version_tag_value,
    "alias": alias_of_length,
}
