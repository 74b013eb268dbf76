"""Lineage: nodes, edges from upstream to downstream, and the walk along them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, or_, select

from fedreg.domain.lineage import Edge, Node, NodeKind, Relation
from fedreg.store.dialects import insert, listed
from fedreg.store.schema import edges, nodes

Triple = tuple[str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """What a walk found. `truncated`: there is more within the depth, but the cap on nodes was reached."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    truncated: bool = False


def add(tx: Connection, new: Iterable[Edge], now: datetime) -> None:
    """Store edges and their nodes; known edges stay, known nodes take the newer label and attributes."""
    found = list(new)
    if not found:
        return
    ends = {node.key: node for edge in found for node in (edge.source, edge.target)}
    statement = insert(tx, nodes)
    fresh = {name: statement.excluded[name] for name in ("kind", "label", "attributes")}
    differs = or_(*(nodes.c[name] != value for name, value in fresh.items()))
    tx.execute(
        statement.on_conflict_do_update(index_elements=["key"], set_=fresh, where=differs),
        [{"key": n.key, "kind": n.kind.value, "label": n.label, "attributes": n.attributes} for n in ends.values()],
    )
    tx.execute(
        insert(tx, edges).on_conflict_do_nothing(),
        [{"src": e.source.key, "dst": e.target.key, "relation": e.relation.value, "created_at": now} for e in found],
    )


def walk(
    conn: Connection, key: str, *, upstream: bool = True, downstream: bool = True, depth: int = 10, cap: int = 1000
) -> Graph:
    """Breadth first from a node: what it came from (`upstream`), what came from it (`downstream`), or both.

    At most `depth` steps away and `cap` nodes, the nearest ones. The two directions are walked apart: siblings
    are not reached. An unknown key gives an empty graph. Nodes come in order of distance.
    """
    reached: dict[str, None] = {key: None}
    found: dict[Triple, None] = {}
    truncated = False
    for wanted, up in ((upstream, True), (downstream, False)):
        if wanted:
            truncated |= _walk_one_way(conn, key, reached, found, up=up, depth=depth, cap=cap)
    known = _get_nodes(conn, list(reached))
    return Graph(
        nodes=tuple(known[name] for name in reached if name in known),
        edges=tuple(Edge(source=known[s], target=known[t], relation=Relation(r)) for s, t, r in found),
        truncated=truncated,
    )


def _walk_one_way(
    conn: Connection,
    key: str,
    reached: dict[str, None],
    found: dict[Triple, None],
    *,
    up: bool,
    depth: int,
    cap: int,
) -> bool:
    """Add to `reached` and `found`; True where the cap cut something off."""
    visited, frontier, truncated = {key}, [key], False
    for _ in range(depth):
        if not frontier:
            break
        step, more = _step(conn, frontier, up=up, most=max(4 * cap, 1000))
        truncated |= more
        frontier = []
        for source, target, relation in step:
            far = source if up else target
            if far not in reached and len(reached) >= cap:
                truncated = True
                continue
            found[source, target, relation] = None
            reached[far] = None
            if far not in visited:
                visited.add(far)
                frontier.append(far)
    return truncated


def _step(conn: Connection, frontier: list[str], *, up: bool, most: int) -> tuple[list[Triple], bool]:
    """The edges that leave the frontier, and whether there were more than `most`."""
    near, far = (edges.c.dst, edges.c.src) if up else (edges.c.src, edges.c.dst)
    query = select(edges.c.src, edges.c.dst, edges.c.relation).where(near.in_(listed(frontier)))
    rows = conn.execute(query.order_by(near, far, edges.c.relation).limit(most + 1)).all()
    return [(row.src, row.dst, row.relation) for row in rows[:most]], len(rows) > most


def _get_nodes(conn: Connection, keys: list[str]) -> dict[str, Node]:
    rows = conn.execute(select(nodes).where(nodes.c.key.in_(listed(keys))))
    return {
        row.key: Node(key=row.key, kind=NodeKind(row.kind), label=row.label, attributes=row.attributes) for row in rows
    }
