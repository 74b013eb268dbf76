"""Lineage across registries: what each registry knows, joined with the copies the gateway made."""

from __future__ import annotations

from collections.abc import Sequence

from fedreg.domain.capabilities import Operation
from fedreg.domain.errors import FedregError
from fedreg.domain.lineage import Edge, Node, NodeKind, Relation, version_node
from fedreg.domain.refs import Ref
from fedreg.domain.reports import LineageGraph
from fedreg.services.gateway import Gateway
from fedreg.services.selectors import resolve
from fedreg.store import edges

NODE_CAP = 1000
DEFAULT_DEPTH = 10


async def get_lineage(
    gateway: Gateway, ref: Ref, *, upstream: bool = True, downstream: bool = True, depth: int = DEFAULT_DEPTH
) -> LineageGraph:
    """The graph around a version. Each version in it is asked at its own registry, once, and remembered."""
    version = await resolve(gateway, ref)
    root = version_node(version)
    partial: list[dict[str, object]] = []
    asked: set[str] = set()
    frontier = [root]
    while frontier:
        for node in frontier:
            asked.add(node.key)
            await _remember(gateway, node, partial)
        graph = await gateway.store.read(
            lambda conn: edges.walk(conn, root.key, upstream=upstream, downstream=downstream, depth=depth, cap=NODE_CAP)
        )
        frontier = [node for node in graph.nodes if node.kind is NodeKind.VERSION and node.key not in asked]
    found = _without_echoes(graph.edges)
    gone = {edge.source.key for edge in graph.edges} - {end.key for edge in found for end in (edge.source, edge.target)}
    nodes = tuple(node for node in graph.nodes if node.key not in gone or node.key == root.key) or (root,)
    return LineageGraph(root=root, nodes=nodes, edges=found, truncated=graph.truncated, partial=tuple(partial))


def _without_echoes(found: Sequence[Edge]) -> tuple[Edge, ...]:
    """Edges, but a run once: a copy carries the provenance of its original, and so its registry names the run too."""
    originals = {edge.target.key: edge.source for edge in found if edge.relation is Relation.COPIED_FROM}
    runs = {(edge.target.key, _run_of(edge)) for edge in found}

    def is_echo(edge: Edge) -> bool:
        run, original = _run_of(edge), originals.get(edge.target.key)
        return run is not None and original is not None and (original.key, run) in runs

    return tuple(edge for edge in found if not is_echo(edge))


def _run_of(edge: Edge) -> str | None:
    """The id of the run that made a version, None for any other edge. A run's key is `run:REGISTRY:ID`."""
    if edge.relation is not Relation.PRODUCED_BY:
        return None
    prefix = f"run:{edge.target.attributes.get('registry')}:"
    return edge.source.key.removeprefix(prefix) if edge.source.key.startswith(prefix) else None


async def _remember(gateway: Gateway, node: Node, partial: list[dict[str, object]]) -> None:
    """Ask the version's registry what it knows, and keep it. A registry that fails is reported, not fatal."""
    registry = node.attributes.get("registry", "")
    if registry not in gateway.registries.names():
        return
    try:
        adapter = await gateway.registries.get(registry)
        if not adapter.capabilities.supports(Operation.LINEAGE):
            return
        found = await adapter.lineage(node.attributes["model"], node.attributes["version"])
    except FedregError as error:
        partial.append({"registry": registry, "error": error.to_dict()})
        return
    if found and not gateway.store.read_only:
        await gateway.store.write_index(lambda tx: edges.add(tx, found, gateway.now()))
