"""Where a package came from and where it runs, as SageMaker knows it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from fedreg.domain.errors import NotFound
from fedreg.domain.lineage import Edge, Node, NodeKind, Relation, version_node
from fedreg.domain.models import Deployment, Version
from fedreg_adapters.sagemaker.client import JSON, PAGE, Client

_RELATIONS = {
    "Produced": Relation.PRODUCED_BY,
    "DerivedFrom": Relation.DERIVED_FROM,
    "ContributedTo": Relation.USED,
    "AssociatedWith": Relation.ASSOCIATED_WITH,
    "SameAs": Relation.ASSOCIATED_WITH,
}
_KINDS = {
    "dataset": NodeKind.DATASET,
    "code": NodeKind.CODE,
    "sourcecode": NodeKind.CODE,
    "endpoint": NodeKind.DEPLOYMENT,
    "modeldeployment": NodeKind.DEPLOYMENT,
    "modelgroup": NodeKind.MODEL,
}


async def list_edges(client: Client, package: JSON, version: Version) -> list[Edge]:
    """Edges from the version's provenance and from the associations of its artifacts, one step each way."""
    node = version_node(version)
    edges = _from_provenance(version, node)
    async for artifact in client.pages(
        "list_artifacts", "ArtifactSummaries", SourceUri=package["ModelPackageArn"], MaxResults=PAGE
    ):
        edges += await _associations(client, artifact["ArtifactArn"], node)
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


async def _associations(client: Client, artifact: str, node: Node) -> list[Edge]:
    edges = []
    listing = ("list_associations", "AssociationSummaries")
    async for found in client.pages(*listing, DestinationArn=artifact, MaxResults=PAGE):
        edges.append(Edge(source=_end(found, "Source"), target=node, relation=_relation(found)))
    async for found in client.pages(*listing, SourceArn=artifact, MaxResults=PAGE):
        edges.append(Edge(source=node, target=_end(found, "Destination"), relation=_relation(found)))
    return edges


def _relation(association: JSON) -> Relation:
    return _RELATIONS.get(association.get("AssociationType", ""), Relation.ASSOCIATED_WITH)


def _end(association: JSON, end: str) -> Node:
    arn, kind = association[f"{end}Arn"], str(association.get(f"{end}Type") or "")
    name = association.get(f"{end}Name") or arn.rpartition("/")[2]
    return Node(key=f"sagemaker:{arn}", kind=_kind_of(arn, kind), label=name, attributes={"type": kind} if kind else {})


def _kind_of(arn: str, kind: str) -> NodeKind:
    """By the type people gave it; else an action is a run, and so is a trial component."""
    known = _KINDS.get(kind.lower().replace("_", "").replace("-", ""))
    if known is not None:
        return known
    resource = arn.split(":", 5)[-1]
    return NodeKind.RUN if resource.startswith(("action/", "experiment-trial-component/")) else NodeKind.ARTIFACT


async def list_deployments(client: Client, package: JSON) -> list[Deployment]:
    """The endpoints one of whose variants serves this package. Reads every endpoint of the region."""
    names = {package["ModelPackageArn"], f"{package['ModelPackageGroupName']}/{package['ModelPackageVersion']}"}
    endpoints = [found async for found in client.pages("list_endpoints", "Endpoints", MaxResults=PAGE)]
    serving = await asyncio.gather(*(_serves(client, found["EndpointName"], names) for found in endpoints))
    return [
        Deployment(
            name=found["EndpointName"],
            kind="endpoint",
            status=found["EndpointStatus"],
            created_at=found["CreationTime"],
        )
        for found, serves in zip(endpoints, serving, strict=True)
        if serves
    ]


async def _serves(client: Client, endpoint: str, packages: set[str]) -> bool:
    try:
        described = await client.call("describe_endpoint", EndpointName=endpoint)
        config = await client.call("describe_endpoint_config", EndpointConfigName=described["EndpointConfigName"])
    except NotFound:  # deleted meanwhile; its configuration may be gone before it
        return False
    async for package in _packages_of(client, config):
        if package in packages:
            return True
    return False


async def _packages_of(client: Client, config: JSON) -> AsyncIterator[str]:
    for variant in [*config.get("ProductionVariants", ()), *config.get("ShadowProductionVariants", ())]:
        if "ModelName" not in variant:
            continue
        try:
            model = await client.call("describe_model", ModelName=variant["ModelName"])
        except NotFound:
            continue
        for container in [model.get("PrimaryContainer") or {}, *model.get("Containers", ())]:
            if name := container.get("ModelPackageName"):
                yield name
