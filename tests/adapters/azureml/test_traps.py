"""The service's traps: second writers, late writers, stages, moving addresses, pages, secrets of datastores."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from fedreg.domain.errors import (
    AlreadyExists,
    Conflict,
    FedregError,
    InvalidRequest,
    NotFound,
    RegistryAuthError,
    RegistryError,
)
from fedreg.domain.models import ModelDraft, VersionDraft, VersionStatus
from fedreg.testing import steps
from fedreg.testing.backend import Fault, FaultKind, Match
from fedreg_adapters.azureml.adapter import AzureMLAdapter

from .backend import CONTAINER, AzureMLBackend
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
        states = [
            await steps.uploaded(gateway, backend, model, {"n": bytes([n])}) for n, gateway in enumerate(gateways)
        ]
        made = await asyncio.gather(*(steps.finish(gateway, s) for gateway, s in zip(gateways, states, strict=True)))
        assert sorted(version.version for version in made) == ["1", "2", "3"]
        assert [await steps.read_all(gateways[0], v) for v in made] == [{"n": bytes([n])} for n in range(3)]
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


async def test_twins_in_a_registry_are_put_aside(start: Start) -> None:
    """There is nothing to delete them with: the later one is archived and shown as failed."""
    backend = await start(of_registry=True, operation_time=0.0)
    adapter = await backend.open_adapter()
    try:
        state = await steps.uploaded(adapter, backend, await steps.new_model(adapter, backend))
        first = await steps.finish(adapter, state)
        twin = replace(state, data={**state.data, "version": "2"})
        await steps.put_all(adapter, twin, steps.FILES)
        resource = await adapter._uploads.create(
            state.data["native"],
            VersionDraft(model=state.model),
            "another",
            (await adapter._uploads._staged(twin)).uri + "/files",
            "2",
        )
        tags = {**resource["properties"]["tags"], "fed.copy": state.key}
        await adapter._versions.change("t", state.data["native"], "2", lambda inner, held: held.update(tags))
        assert await steps.finish(adapter, state) == first
        found = {v.version: v for v in await steps.all_versions(adapter, state.model)}
        assert (found["1"].status, found["2"].status) == (VersionStatus.READY, VersionStatus.FAILED)
        assert found["2"].status_message == "made twice: version 1 stays"
        assert await adapter.find_version(state.model, state.key) == first
    finally:
        await adapter.aclose()


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


# -- registries --------------------------------------------------------------------------------------------


async def test_an_address_that_moves_is_no_identity(start: Start) -> None:
    backend = await start(of_registry=True)
    adapter = await backend.open_adapter()
    try:
        version = await steps.new_version(adapter, backend)
        raw = [await adapter._versions.get(version.model, "1") for _ in range(2)]
        assert raw[0]["properties"]["modelUri"] != raw[1]["properties"]["modelUri"]
        assert {(await adapter.get_version(version.model, "1")) == version for _ in range(2)} == {True}
        assert await steps.read_all(adapter, version) == dict(steps.FILES)
        with pytest.raises(NotFound):
            await steps.all_versions(adapter, "missing")  # the service's own list is empty, with status 200
    finally:
        await adapter.aclose()


async def test_an_operation_that_takes_its_time(start: Start) -> None:
    backend = await start(of_registry=True, operation_time=0.3)
    adapter = await backend.open_adapter()
    try:
        version = await steps.new_version(adapter, backend)
        assert (await adapter.set_stage(version.id, "production", "none")).stage == "production"
    finally:
        await adapter.aclose()


async def test_an_operation_at_another_host_is_not_followed(start: Start) -> None:
    backend = await start(of_registry=True)
    adapter = await backend.open_adapter()
    try:
        state = await steps.uploaded(adapter, backend, await steps.new_model(adapter, backend))
        headers = {"Location": "https://evil.example.com/operations/1", "Content-Type": "application/json"}
        backend.service.inject(Fault(kind=FaultKind.STATUS, match=PUT_VERSION, status=202, headers=headers, body="{}"))
        with pytest.raises(RegistryError, match="another host"):
            await adapter.finish(state)
    finally:
        await adapter.aclose()


async def test_an_upload_keeps_its_number(start: Start) -> None:
    backend = await start(of_registry=True)
    first, second = await backend.open_adapter(), await backend.open_adapter()
    try:
        model = await steps.new_model(first, backend)
        one = await steps.begin(first, backend, model, steps.FILES, "one")
        two = await steps.begin(second, backend, model, steps.FILES, "two")
        assert (one.data["version"], two.data["version"]) == ("1", "2")
        await steps.put_all(second, two, steps.FILES)
        assert (await steps.finish(second, two)).version == "2"
        await first.abort(one)
        assert [v.version for v in await steps.all_versions(first, model)] == ["2"]
    finally:
        await first.aclose()
        await second.aclose()


# -- bytes and secrets -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["Sas", "AccountKey", "None"])
async def test_each_kind_of_datastore_credentials(start: Start, kind: str) -> None:
    backend = await start(datastore=kind)
    adapter = await backend.open_adapter()
    try:
        version = await steps.new_version(adapter, backend)
        assert await steps.read_all(adapter, version) == dict(steps.FILES)
    finally:
        await adapter.aclose()


async def test_secrets_that_are_not_to_be_seen(start: Start) -> None:
    """The identity's own token is used then, as Microsoft's SDK does."""
    backend = await start()
    adapter = await backend.open_adapter()
    try:
        body = '{"error": {"code": "AuthorizationFailed", "message": "no"}}'
        match = Match(method="POST", path="/listSecrets")
        backend.service.inject(Fault(kind=FaultKind.STATUS, match=match, status=403, times=0, body=body))
        version = await steps.new_version(adapter, backend)
        assert await steps.read_all(adapter, version) == dict(steps.FILES)
        assert backend.service.fired >= 1
    finally:
        await adapter.aclose()


async def test_abort_spares_bytes_that_a_copy_uses(adapter: AzureMLAdapter, backend: AzureMLBackend) -> None:
    state = await steps.uploaded(adapter, backend, await steps.new_model(adapter, backend))
    version = await steps.finish(adapter, state)
    copy = await adapter.copy_native(version.id, await steps.new_model(adapter, backend), "copy")
    await adapter.delete_version(version.model, version.version)
    await adapter.abort(state)
    assert await steps.read_all(adapter, copy) == dict(steps.FILES)


async def test_abort_leaves_nothing(adapter: AzureMLAdapter, backend: AzureMLBackend) -> None:
    state = await steps.uploaded(adapter, backend, await steps.new_model(adapter, backend))
    assert (await backend.state())["blobs"][f"standinstore/{CONTAINER}"]
    await adapter.abort(state)
    assert (await backend.state())["blobs"][f"standinstore/{CONTAINER}"] == []


async def test_bytes_that_are_elsewhere(adapter: AzureMLAdapter, backend: AzureMLBackend) -> None:
    model = await steps.new_model(adapter, backend)
    draft = VersionDraft(model=model, source_uri="https://example.com/model?sig=secret")
    version = await adapter.create_version(draft, "k")
    with pytest.raises(RegistryError, match="no datastore of this workspace") as caught:
        await adapter.list_files(model, version.version)
    assert "secret" not in str(caught.value)
    for wrong in ("", "/local/path", "file:///etc/passwd"):
        with pytest.raises(InvalidRequest, match="source_uri"):
            await adapter.create_version(replace(draft, source_uri=wrong), "k2")
    nothing = "azureml://datastores/workspaceblobstore/paths/nothing"
    with pytest.raises(NotFound, match="nothing at"):
        await adapter.create_version(replace(draft, source_uri=nothing), "k3")


# -- words of errors ---------------------------------------------------------------------------------------


async def test_a_missing_workspace_is_no_missing_model(backend: AzureMLBackend) -> None:
    adapter = await backend.open_adapter(workspace="absent")
    try:
        with pytest.raises(RegistryError, match="not found") as caught:
            await adapter.get_model("churn")
        assert caught.value.cure is not None and "workspace" in caught.value.cure
        finding = (await adapter.diagnose())[-1]
        assert finding.severity == "error" and finding.cure is not None
    finally:
        await adapter.aclose()


async def test_doctor_names_the_permission(adapter: AzureMLAdapter, backend: AzureMLBackend) -> None:
    action = "Microsoft.MachineLearningServices/workspaces/models/versions/read"
    text = f"The client 'x' with object id 'y' does not have authorization to perform action '{action}' over scope 's'."
    body = f'{{"error": {{"code": "AuthorizationFailed", "message": "{text}"}}}}'
    await steps.new_version(adapter, backend)
    match = Match(method="GET", path=r"/versions\?")
    backend.service.inject(Fault(kind=FaultKind.STATUS, match=match, status=403, times=0, body=body))
    [finding] = [found for found in await adapter.diagnose() if found.severity == "error"]
    assert finding.cure is not None and action in finding.cure
    assert "object id" not in finding.message


async def test_a_service_principal(backend: AzureMLBackend) -> None:
    await backend.play(client_secret="hush")
    principal = {"token": None, "tenant_id": "tenant", "client_id": "id", "authority": backend.service.url}
    adapter = await backend.open_adapter(**principal, client_secret="hush")
    wrong = await backend.open_adapter(**principal, client_secret="wrong-s3cret")
    try:
        await adapter.ping()
        with pytest.raises(RegistryAuthError) as caught:
            await wrong.ping()
        assert "wrong-s3cret" not in f"{caught.value!r} {caught.value}"
    finally:
        await adapter.aclose()
        await wrong.aclose()


async def test_a_certificate_that_is_not_trusted(backend: AzureMLBackend) -> None:
    adapter = await backend.open_adapter(ca_bundle=None)
    try:
        with pytest.raises(RegistryError, match="certificate") as caught:
            await adapter.ping()
        assert caught.value.cure is not None and "ca_bundle" in caught.value.cure
    finally:
        await adapter.aclose()


async def test_a_model_with_versions_is_not_deleted(adapter: AzureMLAdapter, backend: AzureMLBackend) -> None:
    version = await steps.new_version(adapter, backend)
    await adapter.set_stage(version.id, "archived")
    with pytest.raises(Conflict, match="has versions"):
        await adapter.delete_model(version.model)


# -- steps -------------------------------------------------------------------------------------------------


async def _more(adapter: AzureMLAdapter, backend: AzureMLBackend, model: str) -> str:
    return (await steps.finish(adapter, await steps.uploaded(adapter, backend, model))).version


async def _finish(adapter: AzureMLAdapter, backend: AzureMLBackend, model: str, version: str) -> str:
    state = await steps.uploaded(adapter, backend, model, version=version)
    return (await steps.finish(adapter, state)).version
