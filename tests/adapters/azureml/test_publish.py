"""From a workspace into a registry, by the service's own publish; and what both clients see of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from fedreg.domain.errors import FedregError, InvalidRequest, PreconditionFailed
from fedreg.domain.lineage import Relation
from fedreg.domain.models import ModelDraft, Version, VersionId
from fedreg.domain.stages import Approval
from fedreg.testing import steps
from fedreg.testing.backend import Fault, FaultKind, Match
from fedreg_adapters.azureml.adapter import AzureMLAdapter

from .backend import REGISTRY, AzureMLBackend
from .fixtures import Start
from .fixtures import adapter as adapter
from .fixtures import certificate as certificate
from .fixtures import start as start
from .vendor import ml_client, off_loop


@pytest.fixture
async def backend(start: Start) -> AzureMLBackend:
    return await start()


@pytest.fixture
async def registry(backend: AzureMLBackend) -> AsyncIterator[AzureMLAdapter]:
    opened = await backend.open_adapter(
        subscription=None,
        resource_group=None,
        workspace=None,
        registry=REGISTRY,
        discovery_endpoint=backend.service.url,
    )
    yield opened
    await opened.aclose()


async def staged(adapter: AzureMLAdapter, backend: AzureMLBackend) -> Version:
    version = await steps.new_version(
        adapter, backend, key="k", tags={"tier": "1"}, metrics={"auc": 0.5}, approval=Approval.APPROVED
    )
    return await adapter.set_stage(version.id, "production")


async def test_bytes_tags_and_metrics_arrive(
    adapter: AzureMLAdapter, registry: AzureMLAdapter, backend: AzureMLBackend
) -> None:
    version = await staged(adapter, backend)
    await registry.create_model(ModelDraft(name="shared/churn"))
    before = backend.blob.traffic()
    copy = await registry.copy_native(version.id, "shared/churn", "copy-1")
    assert backend.blob.traffic() == before, "no bytes pass through the gateway"
    assert (copy.model, copy.version, copy.stage, copy.approval) == ("shared/churn", "1", "none", Approval.NONE)
    assert (dict(copy.tags), dict(copy.metrics)) == ({"tier": "1"}, {"auc": 0.5})
    assert await steps.read_all(registry, copy) == dict(steps.FILES)
    edges = await registry.lineage(copy.model, copy.version)
    assert [edge.source.label.rpartition("/workspaces/")[2].partition("/")[2] for edge in edges] == [
        f"models/{version.model}/versions/1"
    ]
    assert [edge.relation for edge in edges] == [Relation.COPIED_FROM]
    assert await adapter.get_version(version.model, version.version) == version


async def test_the_same_key_publishes_once(
    adapter: AzureMLAdapter, registry: AzureMLAdapter, backend: AzureMLBackend
) -> None:
    version = await staged(adapter, backend)
    await registry.create_model(ModelDraft(name="churn"))
    copy = await registry.copy_native(version.id, "churn", "copy-1")
    assert await registry.copy_native(version.id, "churn", "copy-1") == copy
    assert await registry.find_version("churn", "copy-1") == copy
    assert await registry.find_version("churn", "k") is None, "the key of the source came along, and is not its own"
    second = await registry.copy_native(version.id, "churn", "copy-2")
    assert (copy.version, second.version.partition("-")[0]) == ("1", "1") and second.version != "1"
    assert await registry.copy_native(version.id, "churn", "copy-2") == second


@pytest.mark.parametrize("nth", [1, 2])
async def test_a_lost_answer_leaves_one_copy(
    adapter: AzureMLAdapter, registry: AzureMLAdapter, backend: AzureMLBackend, nth: int
) -> None:
    """Lost is the answer to the publishing, or to the claim after it."""
    version = await staged(adapter, backend)
    await registry.create_model(ModelDraft(name="churn"))
    match = [Match(method="POST", path="/publish"), Match(method="PUT", path="/versions/")][nth - 1]
    backend.service.inject(Fault(kind=FaultKind.LOST_REPLY, match=match))
    try:
        await registry.copy_native(version.id, "churn", "copy-1")
    except FedregError as error:
        assert error.retryable
    assert backend.service.fired == 1
    copy = await registry.copy_native(version.id, "churn", "copy-1")
    assert await registry.copy_native(version.id, "churn", "copy-1") == copy
    assert [v.id for v in await steps.all_versions(registry, "churn")] == [copy.id]


async def test_a_number_that_is_taken_is_left_alone(
    adapter: AzureMLAdapter, registry: AzureMLAdapter, backend: AzureMLBackend
) -> None:
    version = await staged(adapter, backend)
    await registry.create_model(ModelDraft(name="churn"))
    upload = await steps.uploaded(registry, backend, "churn")  # has number 1, and does not exist yet
    copy = await registry.copy_native(version.id, "churn", "copy-1")
    assert copy.version == "1"
    with pytest.raises(FedregError):
        await steps.finish(registry, upload)
    assert [v.id for v in await steps.all_versions(registry, "churn")] == [copy.id]
    again = await steps.uploaded(registry, backend, "churn", key=upload.key)
    assert (await steps.finish(registry, again)).version == "2"


async def test_a_version_that_others_have(
    adapter: AzureMLAdapter, registry: AzureMLAdapter, backend: AzureMLBackend
) -> None:
    version = await staged(adapter, backend)
    await registry.create_model(ModelDraft(name="churn"))
    theirs = await steps.finish(registry, await steps.uploaded(registry, backend, "churn", {"a": b"theirs"}))
    copy = await registry.copy_native(version.id, "churn", "copy-1")
    assert (theirs.version, copy.version.partition("-")[0]) == ("1", "1")
    assert await steps.read_all(registry, theirs) == {"a": b"theirs"}
    assert await steps.read_all(registry, copy) == dict(steps.FILES)


async def test_another_identity_is_refused(
    adapter: AzureMLAdapter, registry: AzureMLAdapter, backend: AzureMLBackend
) -> None:
    version = await staged(adapter, backend)
    await registry.create_model(ModelDraft(name="churn"))
    gone = VersionId(model=version.model, version="1", identity=version.identity + "1")
    with pytest.raises(PreconditionFailed):
        await registry.copy_native(gone, "churn", "copy-1")
    copy = await registry.copy_native(version.id, "churn", "copy-1")
    with pytest.raises(InvalidRequest, match="from a workspace only"):
        await registry.copy_native(copy.id, "churn", "copy-2")


# -- MLClient ----------------------------------------------------------------------------------------------


@pytest.mark.oracle("copy_native")
async def test_the_sdk_reads_a_published_version(
    adapter: AzureMLAdapter, registry: AzureMLAdapter, backend: AzureMLBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = await staged(adapter, backend)
    await registry.create_model(ModelDraft(name="churn"))
    copy = await registry.copy_native(version.id, "churn", "copy-1")
    await registry.set_stage(copy.id, "staging")
    ml = await off_loop(ml_client, backend, monkeypatch, registry=True)
    found = await off_loop(ml.models.get, "churn", version="1")
    assert (found.name, found.version, found.stage) == ("churn", "1", None)
    assert found.tags == {"tier": "1", "fed.copy": "copy-1", "fed.stage": "staging"}


async def test_the_adapter_reads_what_the_sdk_put_into_a_registry(
    registry: AzureMLAdapter, backend: AzureMLBackend, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from azure.ai.ml.entities import Model

    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "a.bin").write_bytes(b"weights")
    ml = await off_loop(ml_client, backend, monkeypatch, registry=True)
    given = Model(name="theirs", version="7", path=str(tmp_path / "model"), tags={"who": "them"})
    await off_loop(ml.models.create_or_update, given)
    version = await registry.get_version("theirs", "7")
    assert (version.version, dict(version.tags)) == ("7", {"who": "them"})
    assert version.artifact_uri == f"azureml://registries/{REGISTRY}/models/theirs/versions/7"
    assert await steps.read_all(registry, version) == {"a.bin": b"weights"}
    assert [model.name for model in await steps.all_models(registry)] == ["theirs"]
    await off_loop(ml.models.archive, "theirs", version="7")
    assert (await registry.get_version("theirs", "7")).stage == "archived"


async def test_the_sdk_lists_what_the_adapter_uploaded_to_a_registry(
    registry: AzureMLAdapter, backend: AzureMLBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = await steps.new_version(registry, backend, description="ours", tags={"a": "b"})
    ml = await off_loop(ml_client, backend, monkeypatch, registry=True)
    listed: list[Any] = await off_loop(lambda: list(ml.models.list(version.model)))
    assert [(found.name, found.version, found.description, found.tags) for found in listed] == [
        (version.model, "1", "ours", {"a": "b"})
    ]
    latest = await off_loop(ml.models.get, version.model, label="latest")
    assert latest.version == "1"
