"""MLClient and the adapter read from each other what either wrote in a workspace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fedreg.domain.models import ModelDraft, Provenance
from fedreg.domain.stages import Approval
from fedreg.testing import steps
from fedreg_adapters.azureml.adapter import AzureMLAdapter

from .backend import HOME, AzureMLBackend
from .fixtures import adapter as adapter
from .fixtures import backend as backend
from .fixtures import certificate as certificate
from .fixtures import start as start
from .vendor import ml_client, off_loop


@pytest.fixture
async def ml(backend: AzureMLBackend, monkeypatch: pytest.MonkeyPatch) -> Any:
    return await off_loop(ml_client, backend, monkeypatch)


@pytest.mark.oracle("create_model", "set_stage", "set_version_tags", "set_approval", "update_version")
async def test_the_sdk_reads_what_the_adapter_wrote(adapter: AzureMLAdapter, backend: AzureMLBackend, ml: Any) -> None:
    model = await adapter.create_model(ModelDraft(name="team/churn", description="who leaves", tags={"team": "growth"}))
    version = await steps.new_version(
        adapter,
        backend,
        model.name,
        key="key-1",
        description="first",
        tags={"tier": "1"},
        metrics={"auc": 0.5},
        params={"depth": "3"},
        provenance=Provenance(run_id="run-1"),
        approval=Approval.PENDING,
    )
    await adapter.set_stage(version.id, "production")
    await adapter.set_alias(model.name, "champion", version.version)
    await adapter.set_version_tags(model.name, version.version, {"tier": "2"})
    await adapter.set_approval(version.id, Approval.APPROVED)
    await adapter.update_version(model.name, version.version, description="second")

    found = await off_loop(ml.models.get, model.native_name, version=version.version)
    assert (found.name, found.version, found.type, found.stage) == (
        model.native_name,
        "1",
        "custom_model",
        "Production",
    )
    assert found.description == "second"
    assert found.tags == {
        "tier": "2",
        "fed.approval": "approved",
        "fed.stage": "production",
        "fed.stage.native": "Production",
    }
    assert found.properties == {
        "fed.key": "key-1",
        "fed.metric.auc": "0.5",
        "fed.param.depth": "3",
        "fed.provenance": '{"run_id": "run-1"}',
    }
    assert found.path.lower() == str(version.artifact_uri).lower()
    [container] = [m for m in await off_loop(lambda: list(ml.models.list())) if m.name == model.native_name]
    assert container.latest_version == "1"
    # The SDK shows no more of a container; what it holds, the management client shows in its own test.
    held = (await backend.arm("GET", f"models/{model.native_name}"))["properties"]["tags"]
    assert held == {"team": "growth", "fed.name": "team/churn", "fed.alias.champion": "1"}


@pytest.mark.oracle("upload")
async def test_the_sdk_downloads_what_the_adapter_uploaded(
    adapter: AzureMLAdapter, backend: AzureMLBackend, ml: Any, tmp_path: Path
) -> None:
    version = await steps.new_version(adapter, backend)
    await off_loop(ml.models.download, version.model, version.version, download_path=str(tmp_path))
    found = {
        path.relative_to(tmp_path / version.model / "files").as_posix(): path.read_bytes()
        for path in tmp_path.rglob("*")
        if path.is_file()
    }
    assert found == dict(steps.FILES)


@pytest.mark.oracle("list_files", "open_file")
@pytest.mark.parametrize("single", [False, True])
async def test_the_adapter_reads_what_the_sdk_uploaded(
    adapter: AzureMLAdapter, backend: AzureMLBackend, ml: Any, tmp_path: Path, single: bool
) -> None:
    from azure.ai.ml.entities import Model

    (tmp_path / "model" / "sub").mkdir(parents=True)
    (tmp_path / "model" / "a.bin").write_bytes(b"weights")
    (tmp_path / "model" / "sub" / "b.json").write_bytes(b"{}")
    path = tmp_path / "model" / "a.bin" if single else tmp_path / "model"
    given = Model(name="theirs", path=str(path), tags={"who": "them"}, properties={"p": "1"}, description="by hand")
    made = await off_loop(ml.models.create_or_update, given)
    assert made.version == "1"

    version = await adapter.get_version("theirs", "1")
    assert (version.stage, version.native_stages, dict(version.tags)) == ("none", ("Development",), {"who": "them"})
    assert (version.description, version.provenance.extra["p"]) == ("by hand", "1")
    expected = {"a.bin": b"weights"} if single else {"a.bin": b"weights", "sub/b.json": b"{}"}
    assert await steps.read_all(adapter, version) == expected
    assert await adapter.find_version("theirs", "1") is None


async def test_versions_by_both_are_numbered_on(
    adapter: AzureMLAdapter, backend: AzureMLBackend, ml: Any, tmp_path: Path
) -> None:
    from azure.ai.ml.entities import Model

    (tmp_path / "a.bin").write_bytes(b"weights")
    ours = await steps.new_version(adapter, backend)
    theirs = await off_loop(ml.models.create_or_update, Model(name=ours.model, path=str(tmp_path / "a.bin")))
    third = await _another(adapter, backend, ours.model)
    assert [ours.version, theirs.version, third] == ["1", "2", "3"]
    latest = await off_loop(ml.models.get, ours.model, label="latest")
    assert latest.version == "3"


async def _another(adapter: AzureMLAdapter, backend: AzureMLBackend, model: str) -> str:
    return (await steps.finish(adapter, await steps.uploaded(adapter, backend, model))).version


async def test_the_sdks_archive_and_restore_lose_the_stage_and_it_shows(
    adapter: AzureMLAdapter, backend: AzureMLBackend, ml: Any
) -> None:
    version = await steps.new_version(adapter, backend)
    await adapter.set_stage(version.id, "production")
    await off_loop(ml.models.archive, version.model, version=version.version)
    archived = await adapter.get_version(version.model, version.version)
    assert (archived.stage, archived.native_stages) == ("archived", ("Archived", "production"))
    await off_loop(ml.models.restore, version.model, version=version.version)
    restored = await adapter.get_version(version.model, version.version)
    assert (restored.stage, restored.native_stages) == ("none", ("Development", "production"))
    mended = await adapter.set_stage(version.id, "production", "none")
    assert (mended.stage, mended.native_stages) == ("production", ("Production",))


async def test_what_the_adapter_archived_the_sdk_does_not_list(
    adapter: AzureMLAdapter, backend: AzureMLBackend, ml: Any
) -> None:
    version = await steps.new_version(adapter, backend)
    await adapter.set_stage(version.id, "staging")
    await adapter.set_stage(version.id, "archived")
    assert await off_loop(lambda: list(ml.models.list(version.model))) == []
    found = await backend.arm("GET", f"models/{version.model}/versions/1")
    assert found["properties"]["tags"] == {"fed.stage": "archived", "fed.prev_stage": "staging"}
    assert [v.version for v in await steps.all_versions(adapter, version.model)] == ["1"]
    back = await adapter.set_stage(version.id, "staging")
    assert (back.stage, back.native_stages) == ("staging", ("Staging",))
    [listed] = await off_loop(lambda: list(ml.models.list(version.model, stage="Staging")))
    assert (listed.version, listed.tags) == ("1", {"fed.stage": "staging", "fed.stage.native": "Staging"})


@pytest.mark.oracle("find_version")
async def test_an_edit_by_the_sdk_keeps_what_is_ours(adapter: AzureMLAdapter, backend: AzureMLBackend, ml: Any) -> None:
    """create_or_update of what it read sends tags and stage back; the job it leaves out stays."""
    version = await steps.new_version(adapter, backend, key="k", metrics={"auc": 0.5})
    await backend.seed_lineage(version)
    await adapter.set_stage(version.id, "production")
    theirs = await off_loop(ml.models.get, version.model, version=version.version)
    theirs.description = "edited by hand"
    await off_loop(ml.models.create_or_update, theirs)
    found = await adapter.find_version(version.model, "k")
    assert found is not None
    assert (found.identity, found.description, found.stage) == (version.identity, "edited by hand", "production")
    assert dict(found.metrics) == {"auc": 0.5}


async def test_the_ids_are_resource_managers(adapter: AzureMLAdapter, backend: AzureMLBackend, ml: Any) -> None:
    version = await steps.new_version(adapter, backend)
    found = await off_loop(ml.models.get, version.model, version=version.version)
    assert found.id == f"{HOME}/models/{version.model}/versions/1"
    assert version.identity.startswith(found.id.lower() + "@")
