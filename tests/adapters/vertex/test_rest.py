"""The SDK's clients over REST, another transport and another encoding, agree with the adapter about every message."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientSession
from google.api_core import exceptions
from google.api_core.future.polling import DEFAULT_POLLING
from google.cloud.aiplatform_v1 import MetadataServiceClient, ModelServiceClient

from fedreg.domain.errors import NotFound
from fedreg.domain.lineage import Relation
from fedreg.domain.stages import Approval
from fedreg.testing import steps
from fedreg_adapters.vertex.adapter import VertexAdapter

from .backend import BUCKET, PARENT, VertexBackend
from .fixtures import Start
from .rest import Rest, rest_client

NAME = f"{PARENT}/models/churn"
SCHEMA = "gs://google-cloud-aiplatform/schema/modelevaluation/classification_metrics_1.0.0.yaml"
SOON = DEFAULT_POLLING.with_delay(initial=0.01, maximum=0.05)
Ask = Callable[[str, Any], Awaitable[Any]]


@asynccontextmanager
async def served(backend: VertexBackend) -> AsyncIterator[Rest]:
    server = Rest(backend.standin.address)
    await server.start()
    yield server
    await server.aclose()


@pytest.fixture
async def server(backend: VertexBackend) -> AsyncIterator[Rest]:
    async with served(backend) as started:
        yield started


@pytest.fixture
def rest(server: Rest) -> Ask:
    return asker(server.host)


def asker(host: str) -> Ask:
    """Asks the client that has the method; of an operation comes the result, of pages a list."""
    clients = [rest_client(each, host) for each in (ModelServiceClient, MetadataServiceClient)]

    def call(method: str, request: Any) -> Any:
        client = next(each for each in clients if hasattr(each, method))
        found = getattr(client, method)(request=request, timeout=10)
        if hasattr(found, "operation"):
            return found.result(timeout=10, polling=SOON)
        return list(found) if hasattr(found, "pages") else found

    return lambda method, request: asyncio.to_thread(call, method, request)


async def upload(rest: Ask, native: str = "churn", **fields: Any) -> Any:
    model = {"display_name": native, "artifact_uri": f"gs://{BUCKET}/theirs", **fields}
    made = await rest("upload_model", {"parent": PARENT, "model": model, "model_id": native})
    return await rest("get_model", {"name": f"{made.model}@{made.model_version_id}"})


@pytest.mark.oracle("upload", "lineage")
async def test_both_transports_read_the_same(backend: VertexBackend, adapter: VertexAdapter, rest: Ask) -> None:
    """What the adapter wrote is whole in JSON: every message is the one that comes over gRPC."""
    metrics, params = {"auc": 0.125, "loss": 3.0}, {"depth": "3", "a.b/c d": "ü"}
    given: dict[str, Any] = {"tags": {"team": "growth"}, "metrics": metrics, "params": params}
    version = await steps.new_version(
        adapter, backend, "team/churn", description="ä 1", approval=Approval.PENDING, **given
    )
    await steps.new_version(adapter, backend, "team/churn")
    await backend.seed_lineage(version)
    assert {edge.relation for edge in await adapter.lineage("team/churn", "1")} == {
        Relation.USED,
        Relation.PRODUCED_BY,
    }
    name = backend.resource(version)
    held = await rest("get_model", {"name": name})
    assert (held.version_description, held.labels["team"], held.labels["fed-approval"]) == ("ä 1", "growth", "pending")
    record = f"{PARENT}/metadataStores/default/artifacts/{held.labels['fed-record']}"
    for method, request, metadata in (
        ("get_model", {"name": name}, False),
        ("list_models", {"parent": PARENT, "filter": 'display_name="team/churn"', "page_size": 1}, False),
        ("list_model_versions", {"name": name.partition("@")[0], "page_size": 1, "order_by": "create_time"}, False),
        ("list_model_evaluations", {"parent": name}, False),
        ("get_artifact", {"name": record}, True),
        ("query_artifact_lineage_subgraph", {"artifact": held.metadata_artifact, "max_hops": 1}, True),
    ):
        found = await rest(method, request)
        assert found, method
        assert found == await backend.sdk(method, request, metadata=metadata), method
    [evaluation] = await rest("list_model_evaluations", {"parent": name})
    assert dict(evaluation.metrics) == metrics
    assert (await rest("get_artifact", {"name": record})).metadata["params"] == params


@pytest.mark.oracle("upload", "update_version")
async def test_the_adapter_reads_what_rest_wrote(start: Start) -> None:
    """The upload is an operation, which is asked for over REST until it is done."""
    backend = await start(pending_polls=2)
    adapter = await backend.open_adapter()
    async with served(backend) as server:
        rest = asker(server.host)
        made = await upload(
            rest, labels={"team": "a"}, version_aliases=["golden"], version_description="first", description="of all"
        )
        evaluation = {"metrics_schema_uri": SCHEMA, "metrics": {"auPrc": 0.5, "matrix": {"rows": [1.0]}}}
        await rest("import_model_evaluation", {"parent": made.name, "model_evaluation": evaluation})
        assert [path for path in server.paths if "/operations/" in path], "it was pending"
        version = await adapter.get_version("churn", "1")
        assert (version.description, dict(version.tags), version.aliases) == ("first", {"team": "a"}, ("golden",))
        assert (dict(version.metrics), version.created_at) == ({"auPrc": 0.5}, made.version_create_time)
        assert (await adapter.get_model("churn")).description == "of all"
        await adapter.update_version("churn", "1", description="second")
        assert (await rest("get_model", {"name": made.name})).version_description == "second"
    await adapter.aclose()


@pytest.mark.oracle("set_stage", "set_approval", "set_version_tags")
async def test_labels(backend: VertexBackend, adapter: VertexAdapter, rest: Ask) -> None:
    version = await steps.new_version(adapter, backend, "churn")
    await adapter.set_stage(version.id, "production")
    await adapter.set_approval(version.id, Approval.APPROVED)
    await adapter.set_version_tags("churn", "1", {"tier": "2"})
    held = await rest("get_model", {"name": f"{NAME}@1"})
    labels = {**held.labels, "fed-stage": "archived", "fed-approval": "rejected", "tier": "3"}
    changed = {"name": held.name, "labels": labels, "version_description": "not under the mask", "etag": held.etag}
    await rest("update_model", {"model": changed, "update_mask": {"paths": ["labels"]}})
    live = await adapter.get_version("churn", "1")
    assert (live.stage, live.approval, dict(live.tags)) == ("archived", Approval.REJECTED, {"tier": "3"})
    assert not live.description
    await rest("update_model", {"model": changed | {"etag": ""}, "update_mask": {"paths": ["version_description"]}})
    assert (await adapter.get_version("churn", "1")).description == "not under the mask"
    with pytest.raises(exceptions.Conflict, match="etag"):
        await rest("update_model", {"model": changed, "update_mask": {"paths": ["labels"]}})


@pytest.mark.oracle("set_alias", "delete_alias")
async def test_aliases(backend: VertexBackend, adapter: VertexAdapter, rest: Ask) -> None:
    for _ in range(2):
        await steps.new_version(adapter, backend, "churn")
    await adapter.set_alias("churn", "champion", "2")
    assert (await rest("get_model", {"name": f"{NAME}@champion"})).version_id == "2"
    await rest("merge_version_aliases", {"name": f"{NAME}@1", "version_aliases": ["champion", "golden"]})
    assert dict((await adapter.get_model("churn")).aliases) == {"champion": "1", "golden": "1"}
    await adapter.delete_alias("churn", "golden")
    with pytest.raises(exceptions.NotFound):
        await rest("get_model", {"name": f"{NAME}@golden"})


@pytest.mark.oracle("copy_native", "delete_version", "delete_model")
async def test_copying_and_deleting(backend: VertexBackend, adapter: VertexAdapter, rest: Ask) -> None:
    source = await steps.new_version(adapter, backend, "churn", metrics={"auc": 0.5})
    copy = await adapter.copy_native(source.id, "fraud", "key")
    held = await rest("get_model", {"name": backend.resource(copy)})
    assert held.original_model_info.model == backend.resource(source)
    made = await rest("copy_model", {"parent": PARENT, "source_model": f"{NAME}@1", "parent_model": NAME})
    assert (made.model, made.model_version_id) == (NAME, "2")
    [edge] = [each for each in await adapter.lineage("churn", "2") if each.relation is Relation.COPIED_FROM]
    assert edge.source.key == f"vertex:{NAME}@1"
    await rest("merge_version_aliases", {"name": f"{NAME}@2", "version_aliases": ["default"]})
    await rest("delete_model_version", {"name": f"{NAME}@1"})
    assert [version.version for version in await steps.all_versions(adapter, "churn")] == ["2"]
    await adapter.delete_version("churn", "2")
    await adapter.delete_model("fraud")
    assert await rest("list_models", {"parent": PARENT}) == []
    await upload(rest)
    await rest("delete_model", {"name": NAME})
    with pytest.raises(NotFound):
        await adapter.get_model("churn")


async def test_operations(start: Start) -> None:
    """An upload that hangs is seen over REST, by the name that the adapter's own poll would ask for."""
    backend = await start(pending_polls=-1)
    adapter = await backend.open_adapter()
    state = await steps.uploaded(adapter, backend, "churn")
    pending = await adapter.finish(state)
    async with served(backend) as server:
        rest = asker(server.host)
        [seen] = (await rest("list_operations", {"name": NAME, "filter": "done=false"})).operations
        assert (seen.name, seen.done) == (pending.state.data["operation"], False)
        assert seen.metadata.type_url.endswith(".UploadModelOperationMetadata")
        backend.standin.state.release()
        done = await rest("get_operation", {"name": seen.name})
        assert (done.done, done.HasField("error")) == (True, False)
        version = await steps.finish(adapter, pending.state)
        assert (await rest("get_model", {"name": backend.resource(version)})).version_id == "1"
    await adapter.aclose()


async def test_lineage_written_over_rest(backend: VertexBackend, adapter: VertexAdapter, rest: Ask) -> None:
    version = await steps.new_version(adapter, backend, "churn")
    store = f"{PARENT}/metadataStores/default"
    place = (await rest("get_model", {"name": backend.resource(version)})).metadata_artifact
    data = {"display_name": "train.csv", "schema_title": "system.Dataset"}
    dataset = await rest("create_artifact", {"parent": store, "artifact": data, "artifact_id": "train-csv"})
    run = await rest("create_execution", {"parent": store, "execution": {"display_name": "training"}})
    events = [{"artifact": dataset.name, "type_": "INPUT"}, {"artifact": place, "type_": "OUTPUT"}]
    await rest("add_execution_events", {"execution": run.name, "events": events})
    edges = await adapter.lineage("churn", "1")
    assert {(edge.source.label, edge.relation) for edge in edges} == {
        ("train.csv", Relation.USED),
        ("training", Relation.PRODUCED_BY),
    }


async def test_refusals(server: Rest, rest: Ask) -> None:
    """Google's envelope, which the SDK reads; and what JSON can say that no message has."""
    with pytest.raises(exceptions.NotFound, match="churn is not found"):
        await rest("get_model", {"name": NAME})
    with pytest.raises(exceptions.BadRequest, match="display_name"):
        await rest("upload_model", {"parent": PARENT, "model": {}})
    await upload(rest)
    with pytest.raises(exceptions.Conflict, match="already exists"):
        await upload(rest)
    async with ClientSession(f"http://{server.host}") as http:
        for verb, path, body, status in (
            ("POST", f"/v1/{PARENT}/models:upload", {"model": {"displayname": "x"}}, 400),
            ("POST", f"/v1/{PARENT}/models:upload?modelId=x", {"model": {"displayName": "x"}}, 400),
            ("GET", f"/v1/{PARENT}/models?pageLength=3", None, 400),
            ("GET", f"/v1/{NAME}:listRevisions", None, 404),
            ("DELETE", f"/v1/{NAME}@7:deleteVersion", None, 404),
        ):
            async with http.request(verb, path, json=body) as reply:
                error = (await reply.json())["error"]
                assert (reply.status, error["code"]) == (status, status), path
                assert error["message"], path
