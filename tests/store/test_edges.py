"""Lineage: the walk."""

from __future__ import annotations

from datetime import datetime

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from fedreg.domain.lineage import Edge, Node, NodeKind, Relation
from fedreg.store import edges
from fedreg.store.database import Store


def _node(key: str, **attributes: str) -> Node:
    return Node(key=key, kind=NodeKind.VERSION, label=key.upper(), attributes=attributes)


def _edge(source: str, target: str, relation: Relation = Relation.DERIVED_FROM) -> Edge:
    return Edge(source=_node(source), target=_node(target), relation=relation)


def _keys(graph: edges.Graph) -> set[str]:
    return {node.key for node in graph.nodes}


async def test_directions_depth_and_cycles(store: Store, noon: datetime) -> None:
    # data -> run -> a -> b -> c -> a (a cycle), a -> sibling's other parent
    pairs = [("data", "run"), ("run", "a"), ("a", "b"), ("b", "c"), ("c", "a"), ("run", "sibling"), ("other", "b")]
    await store.write(lambda tx: edges.add(tx, [_edge(*pair) for pair in pairs], noon))

    async def walk(key: str, **options: object) -> edges.Graph:
        return await store.read(lambda c: edges.walk(c, key, **options))  # type: ignore[arg-type]

    assert _keys(await walk("a", downstream=False, depth=1)) == {"a", "run", "c"}
    assert _keys(await walk("run", upstream=False)) == {"run", "a", "b", "c", "sibling"}
    assert _keys(await walk("run")) == {"data", "run", "a", "b", "c", "sibling"}
    whole = await walk("a")
    assert _keys(whole) == {"data", "run", "a", "b", "c", "other"}
    assert {(e.source.key, e.target.key) for e in whole.edges} == set(pairs) - {("run", "sibling")}
    assert not whole.truncated
    assert _keys(await walk("a", depth=0)) == {"a"}
    assert await walk("nobody") == edges.Graph(nodes=(), edges=())


async def test_the_cap_is_kept_and_told(store: Store, noon: datetime) -> None:
    fan = [_edge("hub", f"leaf{n:04}") for n in range(3000)]
    await store.write(lambda tx: edges.add(tx, fan, noon))
    graph = await store.read(lambda c: edges.walk(c, "hub", cap=50))
    assert len(graph.nodes) == 50
    assert graph.nodes[0].key == "hub"
    assert len(graph.edges) == 49
    assert graph.truncated
    exact = await store.read(lambda c: edges.walk(c, "hub", cap=3001))
    assert (len(exact.nodes), exact.truncated) == (3001, False)


async def test_adding_again_renews_nodes_and_doubles_nothing(store: Store, noon: datetime) -> None:
    renamed = Edge(source=_node("a", run="7"), target=_node("b"), relation=Relation.DERIVED_FROM)
    both = [renamed, Edge(source=renamed.source, target=renamed.target, relation=Relation.COPIED_FROM)]
    await store.write(lambda tx: edges.add(tx, [_edge("a", "b")], noon))
    await store.write(lambda tx: edges.add(tx, both, noon))
    await store.write(lambda tx: edges.add(tx, [], noon))
    graph = await store.read(lambda c: edges.walk(c, "a"))
    assert graph.nodes == (_node("a", run="7"), _node("b"))
    assert {edge.relation for edge in graph.edges} == {Relation.DERIVED_FROM, Relation.COPIED_FROM}


_PAIRS = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=40)


@settings(max_examples=60, deadline=None)
@given(pairs=_PAIRS, depth=st.integers(0, 6), up=st.booleans())
def test_the_walk_finds_what_a_plain_search_finds(
    empty: Connection, noon: datetime, pairs: list[tuple[int, int]], depth: int, up: bool
) -> None:
    expected = {0}
    for _ in range(depth):
        expected |= {s if up else t for s, t in pairs if (t if up else s) in expected}
    with empty.begin() as transaction:
        edges.add(empty, [_edge(f"n{s}", f"n{t}") for s, t in pairs], noon)
        graph = edges.walk(empty, "n0", upstream=up, downstream=not up, depth=depth)
        transaction.rollback()
    known = {end for pair in pairs for end in pair}
    assert _keys(graph) == {f"n{n}" for n in expected & known}
