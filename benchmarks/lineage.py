"""Lineage: a walk over a generated graph."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import tempfile
import time
from contextlib import AsyncExitStack, closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from benchmarks.bare_sqlite import walk
from benchmarks.options import Options
from benchmarks.sizes import percentile
from benchmarks.table import Row, at_most
from fedreg.domain.lineage import Edge, Node, NodeKind, Relation
from fedreg.store import edges
from fedreg.store.database import Store

EDGES_PER_NODE = 5
BATCH = 5000
WALKS, DEPTH, CAP = 200, 10, 1000
CEILING_MS = 5.0
_NOW = datetime(2024, 1, 1, tzinfo=UTC)


def measure(options: Options) -> list[Row]:
    """One row: walks both ways from random nodes, whose graphs reach the cap as a rule."""
    nodes = max(10, options.rows // 10)
    mine, theirs = asyncio.run(_measure(nodes))
    high, floor = percentile(mine, 0.99), percentile(theirs, 0.99)
    return [
        Row(
            name=f"lineage of {nodes:,} nodes, {nodes * EDGES_PER_NODE:,} edges, depth {DEPTH}, cap {CAP:,}",
            figure=f"p50 {percentile(mine, 0.5):.1f} ms, p99 {high:.1f} ms",
            reference=f"p50 {percentile(theirs, 0.5):.1f} ms, p99 {floor:.1f} ms  keys only, bare sqlite3",
            ratio=percentile(mine, 0.5) / percentile(theirs, 0.5),
            value=high,
            unit="ms",
            **{**at_most(high, CEILING_MS), "target": f"p99 <= {CEILING_MS:g} ms"},
        )
    ]


async def _measure(count: int) -> tuple[list[float], list[float]]:
    """Milliseconds of walks: fedreg's, and over bare keys from the same nodes."""
    async with AsyncExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="fedreg-bench-"))
        path = Path(directory) / "fedreg.db"
        store = await Store.open(f"sqlite:///{path}")
        stack.push_async_callback(store.aclose)
        choose = random.Random(3)
        await _fill(store, count, choose)
        bare = stack.enter_context(closing(sqlite3.connect(path)))
        mine, theirs = [], []
        for root in [_node(choose.randrange(count)).key for _ in range(min(WALKS, count))]:
            started = time.perf_counter()
            assert walk(bare, root, depth=DEPTH, cap=CAP)
            walked = time.perf_counter()
            graph = await store.read(partial(edges.walk, key=root, depth=DEPTH, cap=CAP))
            mine.append((time.perf_counter() - walked) * 1000)
            theirs.append((walked - started) * 1000)
            assert graph.nodes
        return mine, theirs


async def _fill(store: Store, count: int, choose: random.Random) -> None:
    """Every node has `EDGES_PER_NODE` edges from random earlier ones."""
    batch: list[Edge] = []
    for number in range(1, count):
        batch += [_edge(choose.randrange(number), number) for _ in range(EDGES_PER_NODE)]
        if len(batch) >= BATCH or number == count - 1:
            await store.write_index(partial(edges.add, new=batch, now=_NOW))
            batch = []


def _edge(source: int, target: int) -> Edge:
    return Edge(source=_node(source), target=_node(target), relation=Relation.DERIVED_FROM)


def _node(number: int) -> Node:
    registry, model = f"registry-{number % 5}", f"model-{number // 10}"
    return Node(
        key=f"version:{registry}:{number}",
        kind=NodeKind.VERSION,
        label=f"{registry}:{model}@version:{number % 10 + 1}",
        attributes={"registry": registry, "model": model, "version": str(number % 10 + 1)},
    )
