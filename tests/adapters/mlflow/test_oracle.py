"""What the adapter writes `MlflowClient` reads back the same, and the other way round."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from fedreg.domain.errors import InvalidRequest, NotFound
from fedreg.domain.models import ModelDraft, ModelQuery, PageRequest, Provenance, VersionDraft
from fedreg.domain.stages import Approval, Holder, StageOptions
from fedreg_adapters.mlflow.adapter import MlflowAdapter

from .conftest import Opener
from .server import MlflowServer
from .steps import read_all, unique, upload


@pytest.mark.oracle("create_model", "update_model", "set_model_tags", "delete_model")
async def test_model_written_by_us(prod: MlflowAdapter, client: MlflowClient) -> None:
    name = unique()
    made = await prod.create_model(
        ModelDraft(name=name, description="Ümläut\nzwei", tags={"team": "growth", "empty": ""})
    )
    theirs = client.get_registered_model(name)
    assert (theirs.description, theirs.tags) == ("Ümläut\nzwei", {"team": "growth", "empty": ""})
    assert made.created_at == datetime.fromtimestamp(theirs.creation_timestamp / 1000, UTC)
    await prod.update_model(name, description="other")
    await prod.set_model_tags(name, {"team": "risk"}, remove=["empty", "never-set"])
    theirs = client.get_registered_model(name)
    assert (theirs.description, theirs.tags) == ("other", {"team": "risk"})
    await prod.delete_model(name)
    with pytest.raises(MlflowException, match="not found"):
        client.get_registered_model(name)


async def test_model_written_by_them(prod: MlflowAdapter, client: MlflowClient) -> None:
    name = unique()
    client.create_registered_model(name, {"mlflow.note": "kept", "a/b": "c"}, "text")
    model = await prod.get_model(name)
    assert (model.description, dict(model.tags)) == ("text", {"mlflow.note": "kept", "a/b": "c"})
    client.set_registered_model_tag(name, "x", "y")
    client.update_registered_model(name, "longer text")
    model = await prod.get_model(name)
    assert (model.description, model.tags["x"]) == ("longer text", "y")


@pytest.mark.parametrize(
    "name", ["it's", 'quo"te', "both'\"", "what?#50%@home", " lead", "trail.", "x~2fz", "max~box", "a&b=c+d"]
)
async def test_any_name_of_theirs_comes_round(prod: MlflowAdapter, client: MlflowClient, name: str) -> None:
    native = f"{name}{unique()}" if name != "trail." else f"{unique()}{name}"
    client.create_registered_model(native)
    client.create_model_version(native, "s3://bucket/a")
    [model] = [
        found
        for found in (await prod.list_models(ModelQuery(page=PageRequest(limit=1000)))).items
        if found.native_name == native
    ]
    assert (await prod.get_model(model.name)).native_name == native
    [version] = (await prod.list_versions(model.name, PageRequest())).items
    assert version == await prod.get_version(model.name, "1")


@pytest.mark.oracle("upload")
async def test_version_written_by_us(prod: MlflowAdapter, client: MlflowClient) -> None:
    provenance = Provenance(
        git_commit="a" * 40,
        git_repository="https://git.example.com/x",
        created_by="ann",
        created_at=datetime(2024, 2, 29, 12, 0, tzinfo=UTC),
        extra={"job": "7"},
    )
    metrics = {"auc": 0.1 + 0.2, "nan": math.nan, "tiny": 5e-324}
    version = await upload(
        prod,
        description="first",
        tags={"team": "growth"},
        metrics=metrics,
        params={"depth": "3"},
        provenance=provenance,
        approval=Approval.PENDING,
    )
    theirs = client.get_model_version(version.model, version.version)
    run = client.get_run(str(theirs.run_id))
    assert (theirs.description, theirs.status, theirs.tags["team"]) == ("first", "READY", "growth")
    assert theirs.tags["fedreg.approval"] == "pending"
    assert run.info.status == "FINISHED"
    assert run.data.params == {"depth": "3"}
    assert (run.data.metrics["auc"], run.data.metrics["tiny"]) == (0.1 + 0.2, 5e-324)
    assert math.isnan(run.data.metrics["nan"])
    assert run.data.tags["mlflow.source.git.commit"] == "a" * 40
    back = (await prod.get_version(version.model, version.version)).provenance
    assert (back.git_commit, back.git_repository, back.created_by) == ("a" * 40, "https://git.example.com/x", "ann")
    assert (back.created_at, dict(back.extra)) == (provenance.created_at, {"job": "7"})


async def test_values_that_a_run_cannot_hold_come_round(prod: MlflowAdapter) -> None:
    metrics = {"up": math.inf, "down": -math.inf, "odd#key": 1.5}
    params = {"empty": "", "long": "x" * 7000, "odd?key": "v"}
    version = await upload(prod, metrics=metrics, params=params)
    assert (dict(version.metrics), dict(version.params)) == (metrics, params)


async def test_many_values_are_logged_in_batches(prod: MlflowAdapter, client: MlflowClient) -> None:
    metrics = {f"m{n}": float(n) for n in range(1001)}
    params = {f"p{n}": str(n) for n in range(205)}
    version = await upload(prod, metrics=metrics, params=params)
    run = client.get_run(str(client.get_model_version(version.model, "1").run_id))
    assert (run.data.metrics, run.data.params) == (metrics, params)


async def test_version_written_by_them(prod: MlflowAdapter, client: MlflowClient) -> None:
    name = unique()
    client.create_registered_model(name)
    run = client.create_run("0", tags={"mlflow.source.git.commit": "c0ffee"})
    client.log_metric(run.info.run_id, "auc", 0.75)
    client.log_param(run.info.run_id, "depth", 4)
    client.create_model_version(name, f"{run.info.artifact_uri}/model", run.info.run_id, {"k": "v"}, description="d")
    client.set_model_version_tag(name, "1", "late", "tag")
    client.set_registered_model_alias(name, "champion", "1")
    version = await prod.get_version(name, "1")
    assert (version.description, dict(version.tags)) == ("d", {"k": "v", "late": "tag"})
    assert (dict(version.metrics), dict(version.params)) == ({"auc": 0.75}, {"depth": "4"})
    assert (version.aliases, version.provenance.run_id) == (("champion",), run.info.run_id)
    assert version.provenance.git_commit == "c0ffee"
    assert version.artifact_uri == f"{run.info.artifact_uri}/model"


async def test_version_of_a_run_that_is_not_here(prod: MlflowAdapter, client: MlflowClient) -> None:
    name = unique()
    client.create_registered_model(name)
    client.create_model_version(name, "s3://bucket/model", "f" * 32)
    version = await prod.get_version(name, "1")
    assert (version.metrics, version.provenance.run_id) == ({}, "f" * 32)


@pytest.mark.oracle("set_stage", "stage production", "stage staging", "stage archived", "stage (custom)")
@pytest.mark.parametrize("stage", ["production", "staging", "archived", "canary"])
@pytest.mark.parametrize("holder", [Holder.ALIAS, Holder.TAG, Holder.NATIVE])
async def test_stages_both_ways(connect: Opener, client: MlflowClient, holder: Holder, stage: str) -> None:
    if holder is Holder.NATIVE and stage == "canary":
        pytest.skip("MLflow has no such native stage")
    adapter = connect(stages=StageOptions(held_by=holder))
    version = await upload(adapter)
    assert (await adapter.set_stage(version.id, stage)).stage == stage
    theirs = client.get_model_version(version.model, "1")
    alias = "stage-canary" if stage == "canary" else stage
    held = {"aliases": list(theirs.aliases), "tag": theirs.tags.get("fedreg.stage"), "native": theirs.current_stage}
    expected: dict[str, object] = {"aliases": [], "tag": None, "native": "None"}
    if holder is Holder.NATIVE:
        expected["native"] = stage.capitalize()
    elif holder is Holder.TAG or stage == "archived":
        expected["tag"] = stage
    else:
        expected["aliases"] = [alias]
    assert held == expected
    second = await upload(adapter, version.model)
    if holder is Holder.NATIVE:
        client.transition_model_version_stage(version.model, "2", stage.capitalize())
    elif holder is Holder.TAG or stage == "archived":
        client.set_model_version_tag(version.model, "2", "fedreg.stage", stage)
    else:
        client.set_registered_model_alias(version.model, alias, "2")
    assert (await adapter.get_version(version.model, second.version)).stage == stage


async def test_a_native_stage_beside_aliases_is_shown_but_is_no_stage(
    prod: MlflowAdapter, client: MlflowClient
) -> None:
    version = await upload(prod)
    client.transition_model_version_stage(version.model, "1", "Production")
    seen = await prod.get_version(version.model, "1")
    assert (seen.stage, seen.stages, seen.native_stages) == ("none", (), ("Production",))


async def test_native_transition_archives_nobody(connect: Opener, client: MlflowClient) -> None:
    adapter = connect(stages=StageOptions(held_by=Holder.NATIVE))
    first = await upload(adapter)
    second = await upload(adapter, first.model)
    await adapter.set_stage(first.id, "production")
    await adapter.set_stage(second.id, "production")
    assert client.get_model_version(first.model, "1").current_stage == "Production"


async def test_mapped_stage(connect: Opener, client: MlflowClient) -> None:
    adapter = connect(stages=StageOptions(map={"production": "champion", "canary": "canary"}))
    version = await upload(adapter)
    shown = await adapter.set_stage(version.id, "production")
    assert (shown.stage, shown.native_stages, shown.aliases) == ("production", ("champion",), ())
    assert client.get_model_version_by_alias(version.model, "champion").version == "1"
    with pytest.raises(InvalidRequest, match="champion"):
        await adapter.set_alias(version.model, "champion", "1")
    assert (await adapter.set_stage(version.id, "canary")).native_stages == ("canary",)


@pytest.mark.oracle("set_alias", "delete_alias")
async def test_aliases_both_ways(prod: MlflowAdapter, client: MlflowClient) -> None:
    version = await upload(prod)
    await prod.set_alias(version.model, "champion", "1")
    assert client.get_model_version_by_alias(version.model, "champion").version == "1"
    client.set_registered_model_alias(version.model, "golden", "1")
    assert (await prod.get_version(version.model, "1")).aliases == ("champion", "golden")
    await prod.delete_alias(version.model, "champion")
    assert client.get_registered_model(version.model).aliases == {"golden": "1"}


@pytest.mark.parametrize("alias", ["latest", "LATEST", "v1", "V22", "a b", "a/b", "x" * 256])
async def test_aliases_that_they_refuse_we_refuse(prod: MlflowAdapter, client: MlflowClient, alias: str) -> None:
    version = await upload(prod)
    with pytest.raises(MlflowException):
        client.set_registered_model_alias(version.model, alias, "1")
    with pytest.raises(InvalidRequest):
        await prod.set_alias(version.model, alias, "1")


@pytest.mark.oracle("set_version_tags")
@pytest.mark.parametrize(
    "key", ["a b", "a.b", "a-b", "a:b", "a/b", "ä", "a//b", "/a", "a/", "../a", ".", "a#b", "x" * 251]
)
async def test_tag_keys_as_they_take_them(prod: MlflowAdapter, client: MlflowClient, key: str) -> None:
    version = await upload(prod)
    try:
        client.set_model_version_tag(version.model, "1", key, "v")
    except MlflowException:
        with pytest.raises(InvalidRequest):
            await prod.set_version_tags(version.model, "1", {key: "v"})
    else:
        await prod.set_version_tags(version.model, "1", {key: "w"})
        assert client.get_model_version(version.model, "1").tags[key] == "w"


async def test_prompts_are_not_models(prod: MlflowAdapter, client: MlflowClient) -> None:
    name = unique("prompt")
    client.register_prompt(name, "Say {{word}}")
    assert name not in {
        model.name for model in (await prod.list_models(ModelQuery(page=PageRequest(limit=1000)))).items
    }
    cursor, complete = None, False
    while not complete:
        batch = await prod.scan(cursor)
        cursor, complete = batch.cursor, batch.complete
        assert name not in {found.name for found in batch.models} | {found.model for found in batch.versions}
    for read in (prod.get_model(name), prod.get_version(name, "1"), prod.list_versions(name, PageRequest())):
        with pytest.raises(NotFound):
            await read


@pytest.mark.oracle("copy_native")
async def test_copy_native_as_they_copy(prod: MlflowAdapter, client: MlflowClient) -> None:
    source = await upload(prod, tags={"team": "growth"}, description="d", metrics={"auc": 0.5})
    target = unique()
    await prod.create_model(ModelDraft(name=target))
    copy = await prod.copy_native(source.id, target, "copy-key")
    theirs = client.copy_model_version(f"models:/{source.model}/1", unique())
    assert client.get_model_version(target, "1").source == theirs.source
    assert await read_all(prod, copy) == await read_all(prod, source)
    assert (copy.tags, copy.description, copy.metrics) == (source.tags, source.description, source.metrics)
    [edge] = [edge for edge in await prod.lineage(target, "1") if edge.relation.value == "copied_from"]
    assert edge.source.attributes == {"registry": "prod", "model": source.model, "version": "1"}


@pytest.mark.oracle("set_approval")
async def test_their_copy_takes_no_approval_along(prod: MlflowAdapter, client: MlflowClient) -> None:
    """MLflow's copy carries every tag; a decision binds the version it was made on."""
    source = await upload(prod)
    approved = await prod.set_approval(source.id, Approval.APPROVED, "fine")
    assert client.get_model_version(source.model, "1").tags["fedreg.approval"] == "approved"
    copied = client.copy_model_version(f"models:/{source.model}/1", unique())
    copy = await prod.get_version(copied.name, "1")
    assert (approved.approval, copy.approval, copy.approval_comment) == (Approval.APPROVED, Approval.NONE, None)


@pytest.mark.oracle("create_version", "lineage")
async def test_registering_a_logged_model(prod: MlflowAdapter, client: MlflowClient, server: MlflowServer) -> None:
    """MLflow 3's own way: `models:/m-…`, whose files lie outside any run."""
    logged = client.create_logged_model("0")
    client.finalize_logged_model(logged.model_id, "READY")
    stored = server.artifacts / logged.artifact_location.removeprefix("mlflow-artifacts:/")
    stored.mkdir(parents=True)
    (stored / "MLmodel").write_bytes(b"flavors: {}\n")
    name = unique()
    await prod.create_model(ModelDraft(name=name))
    draft = VersionDraft(model=name, source_uri=f"models:/{logged.model_id}")
    version = await prod.create_version(draft, "logged-key")
    assert await read_all(prod, version) == {"MLmodel": b"flavors: {}\n"}
    relations = {edge.relation.value: edge.source.label for edge in await prod.lineage(name, "1")}
    assert relations["derived_from"] == f"logged model {logged.model_id}"
