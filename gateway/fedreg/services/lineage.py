"""Lineage across registries: what each registry knows, joined with the copies the gateway made."""

from __future__ import annotations

from fedreg.domain.capabilities import Operation
from fedreg.domain.errors import FedregError
from fedreg.domain.lineage import Node, NodeKind, version_node
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
    nodes = tuple(graph.nodes) or (root,)
    return LineageGraph(
        root=root, nodes=nodes, edges=tuple(graph.edges), truncated=graph.truncated, partial=tuple(partial)
    )


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
