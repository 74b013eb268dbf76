"""Credentials, datastores and their secrets, and the words of errors."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fedreg.domain.errors import (
    Conflict,
    InvalidRequest,
    NotFound,
    RegistryAuthError,
    RegistryError,
)
from fedreg.domain.models import VersionDraft
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


@pytest.mark.parametrize("of_registry", [False, True])
async def test_a_service_principal(start: Start, of_registry: bool) -> None:
    """A registry is looked up with a token for Azure ML, everything else is done with one for Resource Manager."""
    backend = await start(of_registry=of_registry)
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


async def test_a_token_that_ends_in_the_middle_is_renewed(start: Start) -> None:
    """Each is near its end when it comes, and refused when a dozen others were issued."""
    backend = await start(token_life=60)
    await backend.play(client_secret="hush")
    principal = {"token": None, "tenant_id": "tenant", "client_id": "id", "authority": backend.service.url}
    adapter = await backend.open_adapter(**principal, client_secret="hush")
    try:
        version = await steps.new_version(adapter, backend)
        assert await steps.read_all(adapter, version) == dict(steps.FILES)
        renewals = [c for (m, path), c in backend.service.counters.items() if path.endswith("/oauth2/v2.0/token")]
        assert sum(counter.requests for counter in renewals) > 12
    finally:
        await adapter.aclose()


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
