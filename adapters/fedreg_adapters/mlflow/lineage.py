"""What MLflow knows of a version's origin: its run, the run's datasets and code, a logged model, the version it copies.

Field names: mlflow/protos/service.proto (RunInputs, DatasetInput) and model_registry.proto (ModelVersion).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from fedreg.domain.lineage import Edge, Node, NodeKind, Relation, version_node
from fedreg.domain.models import Version
from fedreg_adapters.mlflow.mapping import Json, tags_of

_GIT_COMMIT, _GIT_REPOSITORY = "mlflow.source.git.commit", "mlflow.source.git.repoURL"
_VERSION_SOURCE = re.compile(r"models:/([^/@]+)/(\d+)$")
_LOGGED_SOURCE = re.compile(r"models:/(m-[0-9a-f]+)$")


def source_version(item: Json) -> tuple[str, str] | None:
    """Native name and number of the version this one is a copy of, by its `models:/` source."""
    found = _VERSION_SOURCE.match(item.get("source", ""))
    return (found.group(1), found.group(2)) if found else None


def to_edges(item: Json, version: Version, run: Json | None, original: Version | None) -> list[Edge]:
    """All edges of a version. `run` is its source run if the server has it, `original` the version it copies."""
    here, registry = version_node(version), version.registry
    edges = []
    if original is not None:
        edges.append(Edge(source=version_node(original), target=here, relation=Relation.COPIED_FROM))
    logged = item.get("model_id") or _logged_model(item)
    if logged:
        node = Node(key=f"logged_model:{registry}:{logged}", kind=NodeKind.LOGGED_MODEL, label=f"logged model {logged}")
        edges.append(Edge(source=node, target=here, relation=Relation.DERIVED_FROM))
    if item.get("run_id"):
        made_by = _run_node(registry, item["run_id"], run)
        edges.append(Edge(source=made_by, target=here, relation=Relation.PRODUCED_BY))
        edges += [Edge(source=node, target=made_by, relation=Relation.USED) for node in _used(registry, run or {})]
    return edges


def _logged_model(item: Json) -> str | None:
    found = _LOGGED_SOURCE.match(item.get("source", ""))
    return found.group(1) if found else None


def _run_node(registry: str, run_id: str, run: Json | None) -> Node:
    info = (run or {}).get("info", {})
    attributes = {"run_id": run_id, "experiment_id": info.get("experiment_id"), "user": info.get("user_id")}
    return Node(
        key=f"run:{registry}:{run_id}",
        kind=NodeKind.RUN,
        label=str(info.get("run_name") or run_id),
        attributes=_present(attributes),
    )


def _used(registry: str, run: Json) -> Iterable[Node]:
    """Datasets and code of a run."""
    for used in run.get("inputs", {}).get("dataset_inputs", []):
        dataset = used.get("dataset", {})
        name, digest = str(dataset.get("name", "")), str(dataset.get("digest", ""))
        attributes = {"digest": digest, "source": dataset.get("source"), "source_type": dataset.get("source_type")}
        yield Node(
            key=f"dataset:{registry}:{name}@{digest}",
            kind=NodeKind.DATASET,
            label=name or digest,
            attributes=_present({**attributes, **tags_of(used)}),
        )
    tags = tags_of(run.get("data", {}))
    if tags.get(_GIT_COMMIT):
        repository = tags.get(_GIT_REPOSITORY, "")
        yield Node(
            key=f"code:{repository or registry}@{tags[_GIT_COMMIT]}",
            kind=NodeKind.CODE,
            label=f"{repository or tags.get('mlflow.source.name', 'code')}@{tags[_GIT_COMMIT][:12]}",
            attributes=_present({"commit": tags[_GIT_COMMIT], "repository": repository}),
        )


def _present(attributes: Mapping[str, str | None]) -> dict[str, str]:
    return {key: str(value) for key, value in attributes.items() if value}
