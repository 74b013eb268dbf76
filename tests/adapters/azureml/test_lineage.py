"""Jobs, datasets, deployments and Event Grid's messages, as the service has them."""

from __future__ import annotations

import json

from fedreg.domain.lineage import NodeKind, Relation
from fedreg.domain.models import Provenance
from fedreg.testing import steps
from fedreg_adapters.azureml.adapter import AzureMLAdapter

from .backend import EVENT_SECRET, HOME, JOB, AzureMLBackend
from .fixtures import adapter as adapter
from .fixtures import backend as backend
from .fixtures import certificate as certificate
from .fixtures import start as start

SECRET = {"x-fedreg-event-secret": EVENT_SECRET}


async def test_a_run_that_is_a_job_becomes_the_job(adapter: AzureMLAdapter, backend: AzureMLBackend) -> None:
    """The service refuses the name of a job that it does not have: another platform's run stays in a property."""
    await backend.arm("PUT", f"jobs/{JOB}", {"jobType": "Command", "inputs": {"x": {"uri": "azureml:data:1"}}})
    ours = await steps.new_version(adapter, backend, provenance=Provenance(run_id=JOB))
    theirs = await steps.new_version(adapter, backend, provenance=Provenance(run_id="0123456789abcdef"))
    found = {v.model: (await backend.arm("GET", f"models/{v.model}/versions/1"))["properties"] for v in (ours, theirs)}
    assert (found[ours.model]["jobName"], found[theirs.model]["jobName"]) == (JOB, None)
    assert (ours.provenance.run_id, theirs.provenance.run_id) == (JOB, "0123456789abcdef")
    edges = await adapter.lineage(ours.model, "1")
    assert sorted((edge.source.kind, edge.source.label, edge.relation) for edge in edges) == [
        (NodeKind.DATASET, "azureml:data:1", Relation.USED),
        (NodeKind.RUN, JOB, Relation.PRODUCED_BY),
    ]
    await adapter.set_stage(ours.id, "production")
    assert (await backend.arm("GET", f"models/{ours.model}/versions/1"))["properties"]["jobName"] == JOB


async def test_datasets_are_shown_and_kept(adapter: AzureMLAdapter, backend: AzureMLBackend) -> None:
    version = await steps.new_version(adapter, backend)
    path = f"models/{version.model}/versions/1"
    inner = (await backend.arm("GET", path))["properties"]
    datasets = [{"name": "train", "id": "azureml:churn-data:3"}]
    await backend.arm("PUT", path, {**inner, "datasets": datasets, "flavors": {"sklearn": {"data": {"v": "1"}}}})
    [edge] = await adapter.lineage(version.model, "1")
    assert (edge.source.kind, edge.source.label, edge.relation) == (NodeKind.DATASET, "train", Relation.USED)
    await adapter.set_version_tags(version.model, "1", {"a": "b"})
    kept = (await backend.arm("GET", path))["properties"]
    assert (kept["datasets"], kept["flavors"]) == (datasets, {"sklearn": {"data": {"v": "1"}}})


async def test_deployments_of_both_kinds_of_endpoint(adapter: AzureMLAdapter, backend: AzureMLBackend) -> None:
    version = await steps.new_version(adapter, backend)
    await backend.seed_deployment(version)
    model = {"referenceType": "Id", "assetId": f"{HOME}/models/{version.model.upper()}/versions/1"}
    await backend.arm("PUT", "batchEndpoints/nightly/deployments/d", {"model": model})
    await backend.arm("PUT", "onlineEndpoints/idle/deployments/d", {"model": f"{HOME}/models/other/versions/1"})
    found = await adapter.deployments(version.model, "1")
    assert [(deployment.kind, deployment.status) for deployment in found] == [
        ("online deployment", "Succeeded"),
        ("batch deployment", "Succeeded"),
    ]


async def test_messages_of_event_grid(adapter: AzureMLAdapter) -> None:
    registered = {
        "type": "Microsoft.MachineLearningServices.ModelRegistered",
        "specversion": "1.0",
        "id": "1",
        "source": HOME,
        "time": "2024-02-29T12:00:00Z",
        "data": {"modelName": "teamx--2fzchurn", "modelVersion": "3"},
    }
    deployed = {
        "eventType": "Microsoft.MachineLearningServices.ModelDeployed",
        "id": "2",
        "data": {"modelIds": f"churn:1, {HOME}/models/fraud/versions/2,nonsense"},
    }
    other = {"eventType": "Microsoft.MachineLearningServices.RunCompleted", "id": "3", "data": {"runId": "r"}}
    [one] = await adapter.parse_event(SECRET, json.dumps(registered).encode())
    assert (one.model, one.version, one.kind) == ("team/churn", "3", "created")
    assert one.occurred_at is not None and one.occurred_at.year == 2024
    found = await adapter.parse_event(SECRET, json.dumps([deployed, other]).encode())
    assert [(event.model, event.version, event.kind) for event in found] == [
        ("churn", "1", "updated"),
        ("fraud", "2", "updated"),
    ]
