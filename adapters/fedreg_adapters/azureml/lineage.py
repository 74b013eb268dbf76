"""Where a version came from and where it runs, as Azure knows it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from urllib.parse import quote

from fedreg.domain.errors import NotFound
from fedreg.domain.lineage import Edge, Node, NodeKind, Relation, version_node
from fedreg.domain.models import Deployment, Version
from fedreg_adapters.azureml.client import JSON, Client
from fedreg_adapters.azureml.mapping import properties_of, time_of

_ENDPOINTS = {"onlineEndpoints": "online deployment", "batchEndpoints": "batch deployment"}


async def list_edges(client: Client, resource: JSON, version: Version) -> list[Edge]:
    """Edges from the version's provenance, its job and that job's data, its datasets, and its origin."""
    node, inner, known = version_node(version), properties_of(resource), version.provenance
    edges = _datasets(inner, node)
    runs = dict.fromkeys(filter(None, (inner.get("jobName"), known.run_id)))
    for run in runs:
        source = Node(key=f"run:{version.registry}:{run}", kind=NodeKind.RUN, label=str(run))
        edges.append(Edge(source=source, target=node, relation=Relation.PRODUCED_BY))
    if known.git_commit:
        place = f"{known.git_repository or ''}@{known.git_commit}"
        code = Node(key=f"code:{place}", kind=NodeKind.CODE, label=place)
        edges.append(Edge(source=code, target=node, relation=Relation.USED))
    if origin := inner.get("originAssetId"):
        asset = Node(key=f"azureml:{str(origin).lower()}", kind=NodeKind.VERSION, label=str(origin))
        edges.append(Edge(source=asset, target=node, relation=Relation.COPIED_FROM))
    if job := inner.get("jobName"):
        edges += await _job_inputs(client, str(job), node)
    return _unique(edges)


def _datasets(inner: JSON, node: Node) -> list[Edge]:
    found = []
    for dataset in inner.get("datasets") or ():
        if place := dataset.get("id") or dataset.get("name"):
            data = Node(
                key=f"azureml:{str(place).lower()}", kind=NodeKind.DATASET, label=str(dataset.get("name") or place)
            )
            found.append(Edge(source=data, target=node, relation=Relation.USED))
    return found


async def _job_inputs(client: Client, job: str, node: Node) -> list[Edge]:
    """The data that a job read; nothing where the job is gone."""
    try:
        found = (await client.call("get_job", "GET", f"jobs/{quote(job, safe='')}")).body
    except NotFound:
        return []
    edges = []
    for name, given in (properties_of(found).get("inputs") or {}).items():
        uri = given.get("uri") if isinstance(given, dict) else None
        if uri:
            data = Node(
                key=f"azureml:{str(uri).lower()}", kind=NodeKind.DATASET, label=str(uri), attributes={"input": name}
            )
            edges.append(Edge(source=data, target=node, relation=Relation.USED))
    return edges


async def list_deployments(client: Client, resource: JSON) -> list[Deployment]:
    """The deployments of this version at the workspace's online and batch endpoints. Reads each of them."""
    found = await asyncio.gather(*(_deployments_at(client, kind, resource) for kind in _ENDPOINTS))
    return [deployment for several in found for deployment in several]


async def _deployments_at(client: Client, endpoints: str, resource: JSON) -> list[Deployment]:
    names = [str(found["name"]) async for found in client.pages("list_endpoints", endpoints)]
    wanted = _ids(resource)
    serving = []
    for name in names:
        try:
            path = f"{endpoints}/{quote(name, safe='')}/deployments"
            listed = [found async for found in client.pages("list_deployments", path)]
        except NotFound:  # deleted meanwhile
            continue
        serving += [_deployment(name, endpoints, found) for found in listed if _model_of(found) in wanted]
    return serving


def _deployment(endpoint: str, endpoints: str, found: JSON) -> Deployment:
    return Deployment(
        name=f"{endpoint}/{found['name']}",
        kind=_ENDPOINTS[endpoints],
        status=str(properties_of(found).get("provisioningState") or "unknown"),
        created_at=time_of(found, "createdAt"),
    )


def _model_of(deployment: JSON) -> str:
    """What a deployment serves: an id, or at a batch endpoint a reference that holds one."""
    model = properties_of(deployment).get("model")
    model = model.get("assetId") if isinstance(model, dict) else model
    return str(model or "").removeprefix("azureml:").lower()


def _ids(resource: JSON) -> set[str]:
    whole = str(resource["id"])
    name, _, version = whole.split("/models/", 1)[1].partition("/versions/")
    return {whole.lower(), f"{name}:{version}".lower(), f"azureml://models/{name}/versions/{version}".lower()}


def _unique(edges: Iterable[Edge]) -> list[Edge]:
    """Edges without those that say the same."""
    return list({(edge.source.key, edge.target.key, edge.relation): edge for edge in edges}.values())
