"""A lineage graph as OpenLineage events, spec 2-0-2: lineage known at rest is told by `JobEvent`s, which have no run.

A thing's namespace is its registry, else what it is; a job is one relation of one thing to those it came from.
https://openlineage.io/docs/spec/static-lineage
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec

from fedreg.domain.lineage import Edge, Node, NodeKind
from fedreg.domain.refs import Ref
from fedreg.domain.reports import LineageGraph
from fedreg.version import __version__

PRODUCER = f"urn:fedreg:{__version__}"
SCHEMA = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/JobEvent"


def to_openlineage(graph: LineageGraph, now: datetime | None = None) -> str:
    """One event a line, in the order of the graph's edges."""
    steps: dict[tuple[str, str], list[Edge]] = {}
    for edge in graph.edges:
        steps.setdefault((edge.target.key, edge.relation.value), []).append(edge)
    moment = (now or datetime.now(UTC)).isoformat().replace("+00:00", "Z")
    return "\n".join(msgspec.json.encode(_event(step, moment)).decode() for step in steps.values())


def _event(step: list[Edge], moment: str) -> dict[str, Any]:
    made, relation = step[0].target, step[0].relation.value
    return {
        "eventTime": moment,
        "producer": PRODUCER,
        "schemaURL": SCHEMA,
        "job": {"namespace": "fedreg", "name": f"{relation} {made.label}"},
        "inputs": _datasets(edge.source for edge in step),
        "outputs": _datasets([made]),
    }


def _datasets(nodes: Iterable[Node]) -> list[dict[str, str]]:
    return [_dataset(node) for node in nodes]


def _dataset(node: Node) -> dict[str, str]:
    registry = node.attributes.get("registry")
    if node.kind is NodeKind.VERSION and registry is not None:
        ref = Ref(registry, node.attributes["model"]).at_version(node.attributes["version"])
        return {"namespace": registry, "name": str(ref).partition(":")[2]}
    return {"namespace": registry or node.kind.value, "name": node.label}
