"""The service's traps in a workspace: second writers, late writers, stages that get lost."""

from __future__ import annotations

import asyncio

import pytest

from fedreg.domain.errors import (
    AlreadyExists,
    FedregError,
    InvalidRequest,
    NotFound,
)
from fedreg.domain.models import ModelDraft
from fedreg.testing import steps
from fedreg.testing.backend import Fault, FaultKind, Match
from fedreg_adapters.azureml.adapter import AzureMLAdapter

from .backend import AzureMLBackend
from .fixtures import Start
from .fixtures import adapter as adapter
from .fixtures import backend as backend
from .fixtures import certificate as certificate
from .fixtures import start as start

PUT_VERSION = Match(method="PUT", path=r"/models/[^/]+/versions/[^/?]+\?")


# -- who has a number --------------------------------------------------------------------------------------


@pytest.mark.parametrize("properties", ["ignored", "refused"])
@pytest.mark.parametrize("of_registry", [False, True])
async def test_several_writers_get_a_number_each(start: Start, of_registry: bool, properties: str) -> None:
    """Each gateway has locks of its own: only what the service keeps can tell them apart."""
    backend = await start(of_registry=of_registry, properties=properties)
    gateways = [await backend.open_adapter() for _ in range(3)]
    try:
        model = await steps.new_model(gateways[0], backend)
        files = [{"n": bytes([n])} for n in range(3)]
        states = [await steps.uploaded(g, backend, model, f) for g, f in zip(gateways, files, strict=True)]
        made = await asyncio.gather(*(steps.finish(gateway, s) for gateway, s in zip(gateways, states, strict=True)))
        assert sorted(version.version for version in made) == ["1", "2", "3"]
        assert [await steps.read_all(gateways[0], v) for v in made] == files
        for state, version in zip(states, made, strict=True):
            assert await gateways[0].find_version(model, state.key) == version
    finally:
        for gateway in gateways:
            await gateway.aclose()


async def test_a_number_taken_between_look_and_write(adapter: AzureMLAdapter, backend: AzureMLBackend) -> None:
    """Somebody puts version 1 while our create is on its way: it stays theirs, and ours is 2."""
    state = await steps.uploaded(adapter, backend, await steps.new_model(adapter, backend))
    backend.service.inject(Fault(kind=FaultKind.LATE_APPLY, match=PUT_VERSION))
    with pytest.raises(FedregError):
        await adapter.finish(state)
    theirs = {"modelUri": await backend.place({"a": b"x"}), "tags": {"who": "them"}}
    await backend.arm("PUT", f"models/{state.model}/versions/1", theirs)
    assert await backend.service.release() == 1
    version = await steps.finish(adapter, state)
    assert version.version == "2"
    assert dict((await adapter.get_version(state.model, "1")).tags) == {"who": "them"}


async def test_late_write_after_its_number_was_deleted_leaves_one(
    adapter: AzureMLAdapter, backend: AzureMLBackend
) -> None:
    state = await steps.uploaded(adapter, backend, await steps.new_model(adapter, backend))
    backend.service.inject(Fault(kind=FaultKind.LATE_APPLY, match=PUT_VERSION))
    with pytest.raises(FedregError):
        await adapter.finish(state)
    other = await _more(adapter, backend, state.model)
    first = await steps.finish(adapter, state)
    await adapter.delete_version(state.model, other)
    assert await backend.service.release() == 1
    assert [v.version for v in await steps.all_versions(adapter, state.model)] == ["2", "1"], "a twin came late"
    assert await steps.finish(adapter, state) == first
    assert [v.id for v in await steps.all_versions(adapter, state.model)] == [first.id]


async def test_a_version_of_the_callers_choice(adapter: AzureMLAdapter, backend: AzureMLBackend) -> None:
    model = await steps.new_model(adapter, backend)
    made = await _finish(adapter, backend, model, "2024-02.r1")
    assert (made, await _more(adapter, backend, model)) == ("2024-02.r1", "1")
    assert await _finish(adapter, backend, model, "41") == "41"
    assert await _more(adapter, backend, model) == "42"
    with pytest.raises(AlreadyExists):
        await _finish(adapter, backend, model, "41")
    for wrong in ("", "a/b", "-1", "x" * 256, "ü", "a b"):
        with pytest.raises(InvalidRequest, match="version"):
            await _finish(adapter, backend, model, wrong)


async def test_a_number_is_not_given_again(adapter: AzureMLAdapter, backend: AzureMLBackend) -> None:
    first = await steps.new_version(adapter, backend)
    await adapter.delete_version(first.model, first.version)
    assert await _more(adapter, backend, first.model) == "2"


@pytest.mark.parametrize("properties", ["ignored", "refused"])
async def test_two_who_create_a_model(start: Start, properties: str) -> None:
    backend = await start(properties=properties)
    gateways = [await backend.open_adapter() for _ in range(3)]
    try:
        made = await asyncio.gather(
            *(gateway.create_model(ModelDraft(name="churn")) for gateway in gateways), return_exceptions=True
        )
        assert sorted(type(found).__name__ for found in made) == ["AlreadyExists", "AlreadyExists", "Model"]
    finally:
        for gateway in gateways:
            await gateway.aclose()


async def test_a_name_that_differs_in_case_is_not_written_over(
    adapter: AzureMLAdapter, backend: AzureMLBackend
) -> None:
    """Should the service fold case: what answers to the name is another model, and stays as it is."""
    body = '{"id": "/models/Churn", "name": "Churn", "properties": {}}'
    match = Match(method="GET", path=r"/models/churn\?")
    headers = {"Content-Type": "application/json"}
    backend.service.inject(Fault(kind=FaultKind.STATUS, match=match, status=200, times=0, headers=headers, body=body))
    with pytest.raises(AlreadyExists):
        await adapter.create_model(ModelDraft(name="churn"))
    with pytest.raises(NotFound):
        await adapter.get_model("churn")
    assert (await backend.state())["workspace"] == {}


# -- stages ------------------------------------------------------------------------------------------------


async def test_where_the_word_staging_is_refused_the_tag_holds_it(start: Start) -> None:
    backend = await start(stages="known")
    adapter = await backend.open_adapter()
    try:
        version = await steps.new_version(adapter, backend)
        changed = await adapter.set_stage(version.id, "staging", "none")
        assert (changed.stage, changed.native_stages) == ("staging", ("staging",))
        found = await backend.arm("GET", f"models/{version.model}/versions/1")
        assert (found["properties"]["stage"], found["properties"]["tags"]["fed.stage"]) == ("Development", "staging")
        assert (await adapter.set_stage(version.id, "production")).native_stages == ("Production",)
        assert (await adapter.set_stage(version.id, "none")).stages == ()
    finally:
        await adapter.aclose()


async def test_every_write_carries_the_stage(adapter: AzureMLAdapter, backend: AzureMLBackend) -> None:
    """A PUT without stage would reset it: tags of an archived version are edited, and it stays archived."""
    version = await steps.new_version(adapter, backend)
    for stage in ("production", "archived", "shadow"):
        await adapter.set_stage(version.id, stage)
        await adapter.set_version_tags(version.model, "1", {"a": stage})
        await adapter.update_version(version.model, "1", description=stage)
        found = await adapter.get_version(version.model, "1")
        assert (found.stage, dict(found.tags), found.description) == (stage, {"a": stage}, stage)


async def test_a_native_word_beats_the_tag(adapter: AzureMLAdapter, backend: AzureMLBackend) -> None:
    version = await steps.new_version(adapter, backend)
    await adapter.set_stage(version.id, "shadow")
    path = f"models/{version.model}/versions/1"
    inner = (await backend.arm("GET", path))["properties"]
    await backend.arm("PUT", path, {**inner, "stage": "Production"})
    found = await adapter.get_version(version.model, "1")
    assert (found.stage, found.native_stages) == ("production", ("Production", "shadow"))
    await backend.arm("PUT", path, {**inner, "stage": "Shipped"})
    assert (await adapter.get_version(version.model, "1")).native_stages == ("Shipped", "shadow")


async def test_words_of_the_configuration(backend: AzureMLBackend) -> None:
    from fedreg.domain.stages import StageOptions

    adapter = await backend.open_adapter(stages=StageOptions(map={"production": "Live", "shadow": "Shadow"}))
    try:
        version = await steps.new_version(adapter, backend)
        assert (await adapter.set_stage(version.id, "production")).native_stages == ("Live",)
        assert (await adapter.set_stage(version.id, "shadow")).native_stages == ("Shadow",)
        found = await backend.arm("GET", f"models/{version.model}/versions/1")
        assert found["properties"]["stage"] == "Shadow"
    finally:
        await adapter.aclose()


# -- steps -------------------------------------------------------------------------------------------------


async def _more(adapter: AzureMLAdapter, backend: AzureMLBackend, model: str) -> str:
    return (await steps.finish(adapter, await steps.uploaded(adapter, backend, model))).version


async def _finish(adapter: AzureMLAdapter, backend: AzureMLBackend, model: str, version: str) -> str:
    state = await steps.uploaded(adapter, backend, model, version=version)
    return (await steps.finish(adapter, state)).version
