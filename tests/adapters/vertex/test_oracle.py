"""The SDK's synchronous clients read what the adapter wrote, and the adapter what they wrote."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from google.cloud.aiplatform_v1 import ModelServiceClient
from google.protobuf import json_format

from fedreg.domain.errors import NotFound
from fedreg.domain.models import Provenance, VersionDraft
from fedreg.domain.stages import Approval
from fedreg.testing import steps
from fedreg_adapters.vertex.adapter import VertexAdapter

from .backend import BUCKET, PARENT, VertexBackend

SCHEMA = "gs://google-cloud-aiplatform/schema/modelevaluation/classification_metrics_1.0.0.yaml"


@pytest.fixture
def bucket(backend: VertexBackend) -> Iterator[Any]:
    """The bucket through google-cloud-storage."""
    client = storage.Client(
        project="acme", credentials=AnonymousCredentials(), client_options={"api_endpoint": backend.gcs_url}
    )
    yield client.bucket(BUCKET)
    client.close()


async def upload(backend: VertexBackend, native: str = "churn", **fields: Any) -> Any:
    """UploadModel by the SDK; the message as it is then."""
    model = {"display_name": native, "artifact_uri": f"gs://{BUCKET}/theirs", **fields}
    name = f"{PARENT}/models/{native}"
    target = {"parent_model": name} if name in backend.standin.state.models else {"model_id": native}
    made = await backend.sdk("upload_model", {"parent": PARENT, "model": model, **target})
    return await backend.sdk("get_model", {"name": f"{made.model}@{made.model_version_id}"})


@pytest.mark.oracle("upload")
async def test_the_sdk_reads_an_upload(backend: VertexBackend, adapter: VertexAdapter, bucket: Any) -> None:
    known = Provenance(
        run_id="r1", git_commit="9fceb02", created_at=datetime(2024, 2, 29, tzinfo=UTC), extra={"a": "b"}
    )
    version = await steps.new_version(
        adapter,
        backend,
        "team/churn",
        description="trained on Monday",
        tags={"team": "growth"},
        metrics={"auc": 0.125, "loss": 3.0},
        params={"depth": "3", "a.b/c d": "ü"},
        provenance=known,
        approval=Approval.PENDING,
    )
    found = await backend.sdk("get_model", {"name": backend.resource(version)})
    assert ModelServiceClient.parse_model_path(found.name.partition("@")[0]) == {
        "project": "acme",
        "location": "europe-west4",
        "model": "teamx--2fzchurn",
    }
    assert (found.display_name, found.version_id, list(found.version_aliases)) == ("team/churn", "1", ["default"])
    assert (found.version_description, found.artifact_uri) == ("trained on Monday", version.artifact_uri)
    assert (found.labels["team"], found.labels["fed-approval"]) == ("growth", "pending")
    [evaluation] = await backend.sdk("list_model_evaluations", {"parent": backend.resource(version)})
    assert dict(evaluation.metrics) == {"auc": 0.125, "loss": 3.0}
    name = f"{PARENT}/metadataStores/default/artifacts/{found.labels['fed-record']}"
    record = await backend.sdk("get_artifact", {"name": name}, metadata=True)
    held = json_format.MessageToDict(type(record).pb(record).metadata)
    assert held["params"] == {"depth": "3", "a.b/c d": "ü"}
    assert held["provenance"]["created_at"] == "2024-02-29T00:00:00+00:00"
    prefix = str(version.artifact_uri).removeprefix(f"gs://{BUCKET}/") + "/"
    blobs = await asyncio.to_thread(lambda: list(bucket.list_blobs(prefix=prefix)))
    read = {blob.name.removeprefix(prefix): await asyncio.to_thread(blob.download_as_bytes) for blob in blobs}
    assert read == dict(steps.FILES)


@pytest.mark.oracle("list_files", "open_file")
async def test_the_adapter_reads_an_upload(backend: VertexBackend, adapter: VertexAdapter, bucket: Any) -> None:
    for path, data in steps.FILES.items():
        await asyncio.to_thread(bucket.blob(f"theirs/{path}").upload_from_string, data, "application/octet-stream")
    fields = {"labels": {"team": "growth"}, "version_aliases": ["golden"], "pipeline_job": "projects/1/pipelineJobs/7"}
    made = await upload(backend, description="of the model", version_description="of the version", **fields)
    evaluation = {"metrics_schema_uri": SCHEMA, "metrics": {"auPrc": 0.5, "confidenceMetrics": [{"recall": 1.0}]}}
    await backend.sdk("import_model_evaluation", {"parent": made.name, "model_evaluation": evaluation})
    version = await adapter.get_version("churn", "1")
    assert (version.description, dict(version.tags), version.aliases) == (
        "of the version",
        {"team": "growth"},
        ("golden",),
    )
    assert dict(version.metrics) == {"auPrc": 0.5}
    assert version.provenance.run_id == "projects/1/pipelineJobs/7"
    assert (version.created_at, version.updated_at) == (made.version_create_time, made.version_update_time)
    assert await steps.read_all(adapter, version) == dict(steps.FILES)
    model = await adapter.get_model("churn")
    assert (model.description, dict(model.aliases)) == ("of the model", {"golden": "1"})
    assert [found.name for found in await steps.all_models(adapter)] == ["churn"]


@pytest.mark.oracle("set_stage", "set_approval")
async def test_stage_and_approval(backend: VertexBackend, adapter: VertexAdapter) -> None:
    version = await steps.new_version(adapter, backend, "churn")
    await adapter.set_stage(version.id, "production")
    await adapter.set_approval(version.id, Approval.APPROVED, "by the board")
    found = await backend.sdk("get_model", {"name": backend.resource(version)})
    assert (found.labels["fed-stage"], found.labels["fed-approval"]) == ("production", "approved")
    labels = {**found.labels, "fed-stage": "archived", "fed-approval": "rejected"}
    changed = {"model": {"name": found.name, "labels": labels}, "update_mask": {"paths": ["labels"]}}
    await backend.sdk("update_model", changed)
    live = await adapter.get_version("churn", "1")
    assert (live.stage, live.approval) == ("archived", Approval.REJECTED)
    assert live.approval_comment is None, "a comment belongs to its decision"


@pytest.mark.oracle("set_alias", "delete_alias")
async def test_aliases(backend: VertexBackend, adapter: VertexAdapter) -> None:
    version = await steps.new_version(adapter, backend, "churn")
    other = await steps.new_version(adapter, backend, "churn")
    for alias in ("champion", "Champion_v1.2", "a", "1", "-x-"):
        await adapter.set_alias("churn", alias, other.version)
    found = await backend.sdk("get_model", {"name": f"{PARENT}/models/churn@champion"})
    assert found.version_id == other.version
    assert len(found.version_aliases) == 5
    assert (await adapter.get_version("churn", "2")).aliases == ("-x-", "1", "Champion_v1.2", "a", "champion")
    request = {"name": backend.resource(version), "version_aliases": ["champion", "golden"]}
    await backend.sdk("merge_version_aliases", request)
    assert (await adapter.get_version("churn", "1")).aliases == ("champion", "golden")
    await adapter.delete_alias("churn", "golden")
    found = await backend.sdk("get_model", {"name": backend.resource(version)})
    assert set(found.version_aliases) == {"default", "champion"}


@pytest.mark.oracle("set_model_tags", "set_version_tags", "update_model", "update_version")
async def test_tags_and_descriptions_of_models(backend: VertexBackend, adapter: VertexAdapter) -> None:
    await upload(backend)
    await adapter.set_model_tags("churn", {"team": "growth"})
    await adapter.update_model("churn", description="second")
    await adapter.update_version("churn", "1", description="third")
    await adapter.set_version_tags("churn", "1", {"tier": "2"})
    found = await backend.sdk("get_model", {"name": f"{PARENT}/models/churn"})
    assert (found.description, found.version_description) == ("second", "third")
    labels = {name: text for name, text in found.labels.items() if name != "fed-tags"}
    assert labels == {"fed-m-team": "growth", "tier": "2"}, "the service merges the labels of both"


@pytest.mark.oracle("create_version")
async def test_bytes_in_place(backend: VertexBackend, adapter: VertexAdapter) -> None:
    uri = await backend.place(steps.FILES)
    draft = VersionDraft(model="churn", source_uri=f"{uri}/", tags={"a": "b"})
    version = await adapter.create_version(draft, "key")
    found = await backend.sdk("get_model", {"name": backend.resource(version)})
    assert (found.artifact_uri, found.labels["a"]) == (uri, "b")
    with pytest.raises(NotFound, match="directory"):
        await adapter.create_version(VersionDraft(model="churn", source_uri=f"{uri}/model.bin"), "other")


@pytest.mark.oracle("copy_native")
async def test_copies(backend: VertexBackend, adapter: VertexAdapter) -> None:
    source = await steps.new_version(adapter, backend, "churn", params={"a": "1"}, metrics={"auc": 0.5})
    copy = await adapter.copy_native(source.id, "Churn of teams", "key")
    found = await backend.sdk("get_model", {"name": backend.resource(copy)})
    assert found.original_model_info.model == backend.resource(source)
    assert (found.display_name, copy.model, dict(copy.params)) == ("Churn of teams", "Churn of teams", {"a": "1"})
    assert [model.name for model in await steps.all_models(adapter)] == ["churn", "Churn of teams"]


@pytest.mark.oracle("delete_version", "delete_model")
async def test_deleting(backend: VertexBackend, adapter: VertexAdapter) -> None:
    for _ in range(2):
        await steps.new_version(adapter, backend, "churn")
    await adapter.delete_version("churn", "1")
    found = await backend.sdk("list_model_versions", {"name": f"{PARENT}/models/churn"})
    assert [(each.version_id, list(each.version_aliases)) for each in found] == [("2", ["default"])]
    await backend.sdk("delete_model", {"name": f"{PARENT}/models/churn"})
    with pytest.raises(NotFound):
        await adapter.get_model("churn")
    await steps.new_version(adapter, backend, "fraud")
    await adapter.delete_model("fraud")
    assert await backend.sdk("list_models", {"parent": PARENT}) == []


async def test_the_default_version(backend: VertexBackend, adapter: VertexAdapter) -> None:
    """Vertex's own alias is no alias of ours; provenance says who has it."""
    for _ in range(2):
        await steps.new_version(adapter, backend, "churn")
    await adapter.set_alias("churn", "default", "2")
    found = await backend.sdk("get_model", {"name": f"{PARENT}/models/churn"})
    assert found.version_id == "2"
    first, second = await steps.all_versions(adapter, "churn")
    assert (dict(first.provenance.extra), dict(second.provenance.extra)) == ({}, {"vertex_default": "true"})
    assert dict((await adapter.get_model("churn")).aliases) == {}


@pytest.mark.oracle("lineage")
async def test_lineage(backend: VertexBackend, adapter: VertexAdapter) -> None:
    """A dataset and an execution, made and tied to the version by the SDK's Metadata client."""
    version = await steps.new_version(adapter, backend, "churn")
    relations = await backend.seed_lineage(version)
    edges = await adapter.lineage("churn", "1")
    assert {edge.relation for edge in edges} == set(relations)
    assert {edge.source.label for edge in edges} == {"train.csv", "training"}
