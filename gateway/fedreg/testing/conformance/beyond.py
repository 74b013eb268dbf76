"""Lineage, deployments and pushed events."""

from __future__ import annotations

from typing import Any

import pytest

from fedreg.domain.capabilities import Operation
from fedreg.domain.errors import Forbidden, InvalidRequest, NotFound
from fedreg.domain.lineage import version_node
from fedreg.domain.port import RegistryAdapter
from fedreg.testing import steps
from fedreg.testing.backend import Backend
from fedreg.testing.marks import needs, proves


@pytest.mark.asyncio
@proves("lineage")
@needs(Operation.LINEAGE)
class TestLineage:
    async def test_shows_what_is_known(self, adapter: RegistryAdapter, backend: Backend) -> None:
        version = await steps.new_version(adapter, backend, **_fields(adapter, backend))
        relations = await backend.seed_lineage(version)
        edges = await adapter.lineage(version.model, version.version)
        assert relations and {edge.relation for edge in edges} >= set(relations)
        here = version_node(version).key
        assert here in {edge.source.key for edge in edges} | {edge.target.key for edge in edges}
        assert all(edge.source.key != edge.target.key and edge.source.label for edge in edges)

    async def test_is_the_same_each_time(self, adapter: RegistryAdapter, backend: Backend) -> None:
        version = await steps.new_version(adapter, backend, **_fields(adapter, backend))
        await backend.seed_lineage(version)
        first = await adapter.lineage(version.model, version.version)
        second = await adapter.lineage(version.model, version.version)
        assert sorted(map(repr, first)) == sorted(map(repr, second))

    async def test_unknown(self, adapter: RegistryAdapter, backend: Backend) -> None:
        with pytest.raises(NotFound):
            await adapter.lineage(backend.unique_name("missing"), "1")


@pytest.mark.asyncio
@proves("deployments")
@needs(Operation.DEPLOYMENTS)
class TestDeployments:
    async def test_none_at_first(self, adapter: RegistryAdapter, backend: Backend) -> None:
        version = await steps.new_version(adapter, backend)
        assert await adapter.deployments(version.model, version.version) == []

    async def test_shows_what_runs(self, adapter: RegistryAdapter, backend: Backend) -> None:
        model = await steps.new_model(adapter, backend)
        idle = await steps.new_version(adapter, backend, model)
        version = await steps.new_version(adapter, backend, model)
        name = await backend.seed_deployment(version)
        found = await adapter.deployments(model, version.version)
        assert [deployment.name for deployment in found] == [name]
        assert found[0].kind and found[0].status
        assert await adapter.deployments(model, idle.version) == []


@pytest.mark.asyncio
@proves("parse_event")
@needs(Operation.PARSE_EVENT)
class TestEvents:
    async def test_says_what_changed(self, adapter: RegistryAdapter, backend: Backend) -> None:
        version = await steps.new_version(adapter, backend)
        pushed = backend.pushed(version)
        [event] = await adapter.parse_event(pushed.headers, pushed.body)
        assert (event.model, event.version) == (pushed.model, pushed.version)
        assert event.id and event.kind

    async def test_same_message_same_id(self, adapter: RegistryAdapter, backend: Backend) -> None:
        pushed = backend.pushed(await steps.new_version(adapter, backend))
        first = await adapter.parse_event(pushed.headers, pushed.body)
        second = await adapter.parse_event(pushed.headers, pushed.body)
        assert first == second, "duplicates are told by the id"

    async def test_forged(self, adapter: RegistryAdapter, backend: Backend) -> None:
        for forged in backend.forged(await steps.new_version(adapter, backend)):
            with pytest.raises(Forbidden):
                await adapter.parse_event(forged.headers, forged.body)

    @pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b"null", b'{"id": 1}', b"\xff\xfe"])
    async def test_nonsense(self, adapter: RegistryAdapter, backend: Backend, body: bytes) -> None:
        pushed = backend.pushed(await steps.new_version(adapter, backend))
        with pytest.raises((Forbidden, InvalidRequest)):
            await adapter.parse_event(pushed.headers, body)
        with pytest.raises((Forbidden, InvalidRequest)):
            await adapter.parse_event({}, body)


def _fields(adapter: RegistryAdapter, backend: Backend) -> dict[str, Any]:
    return {"provenance": backend.provenance()} if "provenance" in adapter.capabilities.fields else {}
