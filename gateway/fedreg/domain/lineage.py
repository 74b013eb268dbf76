"""Lineage: nodes and edges across registries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from fedreg.domain.models import Version
from fedreg.domain.refs import Ref


class NodeKind(StrEnum):
    """What a node is."""

    VERSION = "version"
    MODEL = "model"
    RUN = "run"
    DATASET = "dataset"
    CODE = "code"
    LOGGED_MODEL = "logged_model"
    ARTIFACT = "artifact"
    DEPLOYMENT = "deployment"


class Relation(StrEnum):
    """What the downstream end (`target`) is to the upstream end (`source`): `copy copied_from original`."""

    PRODUCED_BY = "produced_by"
    USED = "used"
    COPIED_FROM = "copied_from"
    DERIVED_FROM = "derived_from"
    DEPLOYMENT_OF = "deployment_of"
    ASSOCIATED_WITH = "associated_with"


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A node: `key` is unique and stable (a version's is its ref with identity)."""

    key: str
    kind: NodeKind
    label: str
    attributes: Mapping[str, str] = field(default_factory=dict)


def version_node(version: Version) -> Node:
    """The node of a version: its key hangs on identity, its label is the ref of the moment."""
    return Node(
        key=f"version:{version.registry}:{version.identity}",
        kind=NodeKind.VERSION,
        label=str(Ref(version.registry, version.model).at_version(version.version)),
        attributes={"registry": version.registry, "model": version.model, "version": version.version},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """A directed edge from upstream to downstream."""

    source: Node
    target: Node
    relation: Relation
