"""One key, one version: whatever comes twice, late or not at all."""

from __future__ import annotations

import asyncio

import pytest
from mlflow import MlflowClient
from mlflow.entities import ViewType

from fedreg.domain.errors import InvalidRequest, NotFound, Unsupported
from fedreg.domain.models import ModelDraft, Provenance, UploadState, VersionDraft
from fedreg_adapters.mlflow.adapter import MlflowAdapter

from .conftest import Opener
from .server import MlflowServer
from .steps import FILES, source, unique, upload


async def begun(adapter: MlflowAdapter, key: str) -> UploadState:
    model = unique()
    await adapter.create_model(ModelDraft(name=model))
    state = await adapter.begin_upload(VersionDraft(model=model), key)
    for path, data in FILES.items():
        await adapter.put_file(state, source(path, data))
    return state


async def test_twin_that_arrives_late_is_removed(prod: MlflowAdapter, client: MlflowClient) -> None:
    state = await begun(prod, key := unique("key"))
    version = await prod.finish(state)
    client.create_model_version(state.model, state.data["root"], state.data["run_id"], {"fedreg.key": key})
    assert await prod.finish(state) == version
    assert [found.version for found in client.search_model_versions(f"name = '{state.model}'")] == ["1"]


async def test_their_copy_with_our_key_is_no_twin(prod: MlflowAdapter, client: MlflowClient) -> None:
    """MLflow's copy takes every tag along, the key too."""
    state = await begun(prod, unique("key"))
    version = await prod.finish(state)
    client.copy_model_version(f"models:/{state.model}/1", state.model)
    assert await prod.finish(state) == version
    assert len(client.search_model_versions(f"name = '{state.model}'")) == 2


async def test_odd_key(prod: MlflowAdapter) -> None:
    key = 'it\'s "quoted" `and` ümläut'
    state = await begun(prod, key)
    assert await prod.begin_upload(VersionDraft(model=state.model), key) == state
    version = await prod.finish(state)
    assert await prod.find_version(state.model, key) == version


async def test_model_that_goes_away_before_finish(prod: MlflowAdapter, client: MlflowClient) -> None:
    state = await begun(prod, unique("key"))
    client.delete_registered_model(state.model)
    with pytest.raises(NotFound):
        await prod.finish(state)


async def test_abort_takes_run_and_bytes(prod: MlflowAdapter, client: MlflowClient, server: MlflowServer) -> None:
    state = await begun(prod, unique("key"))
    stored = server.artifacts / state.data["root"].removeprefix("mlflow-artifacts:/")
    assert (stored / "MLmodel").exists()
    await prod.abort(state)
    assert not stored.exists()
    assert client.get_run(state.data["run_id"]).info.lifecycle_stage == "deleted"
    again = await prod.begin_upload(VersionDraft(model=state.model), state.key)
    assert again.data["run_id"] != state.data["run_id"]


async def test_abort_spares_what_a_copy_stands_on(prod: MlflowAdapter) -> None:
    """The copy of a version shares its files: as long as one of them is there, so are they."""
    state = await begun(prod, unique("key"))
    version = await prod.finish(state)
    target = unique()
    await prod.create_model(ModelDraft(name=target))
    copy = await prod.copy_native(version.id, target, unique("key"))
    await prod.delete_version(state.model, "1")
    await prod.abort(state)
    assert len(await prod.list_files(copy.model, "1")) == len(FILES)


async def test_experiments_made_at_once(connect: Opener, client: MlflowClient) -> None:
    name = unique("experiment")
    adapters = [connect(experiment=name) for _ in range(3)]
    model = unique()
    await adapters[0].create_model(ModelDraft(name=model))
    draft = VersionDraft(model=model)
    states = await asyncio.gather(*(adapter.begin_upload(draft, unique("key")) for adapter in adapters))
    experiment = client.get_experiment_by_name(name)
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], run_view_type=ViewType.ALL)
    assert {run.info.run_id for run in runs} == {state.data["run_id"] for state in states}


async def test_create_version_names_the_run_it_knows(prod: MlflowAdapter, client: MlflowClient) -> None:
    model = unique()
    await prod.create_model(ModelDraft(name=model))
    run_id = client.create_run("0").info.run_id
    known = VersionDraft(model=model, source_uri="s3://b/1", provenance=Provenance(run_id=run_id), metrics={"a": 1.5})
    foreign = VersionDraft(model=model, source_uri="s3://b/2", provenance=Provenance(run_id="e" * 32))
    first = await prod.create_version(known, unique("key"))
    second = await prod.create_version(foreign, unique("key"))
    assert client.get_model_version(model, "1").run_id == run_id
    assert not client.get_model_version(model, "2").run_id
    assert (first.provenance.run_id, second.provenance.run_id) == (run_id, "e" * 32)
    assert first.metrics == {"a": 1.5}


@pytest.mark.parametrize("tags", [{"fedreg.key": "x"}, {"mlflow.prompt.is_prompt": "true"}, {"a#b": "x"}])
async def test_refused_before_a_byte_is_sent(prod: MlflowAdapter, tags: dict[str, str]) -> None:
    model = unique()
    await prod.create_model(ModelDraft(name=model))
    with pytest.raises(InvalidRequest, match="tag"):
        await prod.begin_upload(VersionDraft(model=model, tags=tags), unique("key"))


async def test_packaging_is_files(prod: MlflowAdapter) -> None:
    with pytest.raises(Unsupported, match=r"tar\.gz"):
        await prod.begin_upload(VersionDraft(model="m", packaging="tar.gz"), unique("key"))


async def test_identity_survives_delete_and_create(prod: MlflowAdapter, client: MlflowClient) -> None:
    first = await upload(prod)
    client.delete_registered_model(first.model)
    client.create_registered_model(first.model)
    client.create_model_version(first.model, "s3://bucket/x")
    second = await prod.get_version(first.model, "1")
    assert second.version == first.version
    assert second.identity != first.identity
