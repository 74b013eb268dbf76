"""Where a version came from and where it runs, as Vertex knows it."""

from __future__ import annotations

from typing import Any

from fedreg.domain.lineage import Edge, Node, NodeKind, Relation, version_node
from fedreg.domain.models import Deployment, Version
from fedreg_adapters.vertex.client import Client
from fedreg_adapters.vertex.mapping import name_of, native_id

_INPUT, _OUTPUT = "INPUT", "OUTPUT"
_KINDS = {
    "system.Dataset": NodeKind.DATASET,
    "google.VertexDataset": NodeKind.DATASET,
    "google.BQTable": NodeKind.DATASET,
    "google.VertexEndpoint": NodeKind.DEPLOYMENT,
}


async def list_edges(client: Client, message: Any, version: Version) -> list[Edge]:
    """Edges from provenance, from the model message, and from the events around its metadata artifact.

    Raises Conflict where the graph is larger than the service gives (1,000 artifacts, executions or events).
    """
    node = version_node(version)
    edges = [*_from_provenance(version, node), *_from_message(message, version, node)]
    if message.metadata_artifact:
        request = {"artifact": message.metadata_artifact, "max_hops": 1}
        graph = await client.call("query_artifact_lineage_subgraph", request, service="metadata")
        edges += _from_graph(graph, message.metadata_artifact, node)
    return edges


def _from_provenance(version: Version, node: Node) -> list[Edge]:
    known, edges = version.provenance, list[Edge]()
    if known.run_id:
        run = Node(key=f"run:{version.registry}:{known.run_id}", kind=NodeKind.RUN, label=known.run_id)
        edges.append(Edge(source=run, target=node, relation=Relation.PRODUCED_BY))
    if known.git_commit:
        place = f"{known.git_repository or ''}@{known.git_commit}"
        code = Node(key=f"code:{place}", kind=NodeKind.CODE, label=place)
        edges.append(Edge(source=code, target=node, relation=Relation.USED))
    return edges


def _from_message(message: Any, version: Version, node: Node) -> list[Edge]:
    """The pipeline that made it, unless provenance names it; and the model it was copied from."""
    edges = []
    for job in (message.pipeline_job, message.training_pipeline):
        if job and job != version.provenance.run_id:
            run = Node(key=f"vertex:{job}", kind=NodeKind.RUN, label=job.rpartition("/")[2])
            edges.append(Edge(source=run, target=node, relation=Relation.PRODUCED_BY))
    original = message.original_model_info.model
    if original:
        label = f"{version.registry}:{name_of(native_id(original))}"
        source = Node(key=f"vertex:{original}", kind=NodeKind.MODEL, label=label)
        edges.append(Edge(source=source, target=node, relation=Relation.COPIED_FROM))
    return edges


def _from_graph(graph: Any, artifact: str, node: Node) -> list[Edge]:
    """Executions that put the version out or took it in, and what else went into those that made it."""
    artifacts = {found.name: found for found in graph.artifacts}
    executions = {found.name: found for found in graph.executions}
    edges: list[Edge] = []
    makers = {e.execution for e in graph.events if e.artifact == artifact and e.type_.name == _OUTPUT}
    for event in graph.events:
        run = _node(executions.get(event.execution), event.execution, NodeKind.RUN)
        if event.artifact == artifact:
            made = event.type_.name == _OUTPUT
            source, target = (run, node) if made else (node, run)
            edges.append(Edge(source=source, target=target, relation=Relation.PRODUCED_BY if made else Relation.USED))
        elif event.type_.name == _INPUT and event.execution in makers:
            found = artifacts.get(event.artifact)
            kind = _KINDS.get(found.schema_title if found is not None else "", NodeKind.ARTIFACT)
            used = _node(found, event.artifact, kind)
            edges.append(Edge(source=used, target=node, relation=Relation.USED))
    return edges


def _node(found: Any, name: str, kind: NodeKind) -> Node:
    label = (found.display_name if found is not None else "") or name.rpartition("/")[2]
    schema = found.schema_title if found is not None else ""
    return Node(key=f"vertex:{name}", kind=kind, label=label, attributes={"schema": schema} if schema else {})


def list_deployments(message: Any) -> list[Deployment]:
    """The endpoints that this version is deployed to, in any location."""
    return [
        Deployment(name=found.endpoint, kind="endpoint", status="deployed", url=None)
        for found in sorted(message.deployed_models, key=lambda each: each.endpoint)
    ]
