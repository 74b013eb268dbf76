"""The index: filling it, filling it again with what it has, and pages out of it.

The references are the floor under each: bare sqlite3, one table, the same number of rows in the same batches.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import harmonic_mean

from benchmarks.bare_sqlite import open_table, read_rows, write_rows
from benchmarks.options import Options
from benchmarks.sizes import percentile
from benchmarks.table import Row, at_least, at_most
from fedreg.domain.models import Version
from fedreg.domain.records import InventoryQuery
from fedreg.domain.stages import ARCHIVED, NONE, PRODUCTION, STAGING
from fedreg.store import index
from fedreg.store.database import Store

REGISTRIES = 5
VERSIONS_PER_MODEL = 10
PAGE = 1000  # versions written at once, as a scan does
UNCHANGED = 50_000  # of them, at most, are written a second time
PAGE_CEILING_MS, SEARCH_CEILING_MS = 5.0, 25.0
UNCHANGED_FLOOR, CHANGED_FLOOR = 50_000, 4_000
QUERIES, WARM_UP = 300, 20
_START = datetime(2024, 1, 1, tzinfo=UTC)
_TEAMS = [f"team-{number}" for number in range(50)]
_STAGES = [NONE] * 7 + [ARCHIVED, STAGING, PRODUCTION]


def measure(options: Options) -> list[Row]:
    """Rows: writing changed and unchanged versions, filtered pages, text search."""
    return asyncio.run(_measure(options.rows))


@dataclass(frozen=True, slots=True)
class Pair:
    """The same figure of fedreg's and of the reference."""

    mine: list[float]
    theirs: list[float]


async def _measure(count: int) -> list[Row]:
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fedreg-bench-")))
        store = await Store.open(f"sqlite:///{directory / 'fedreg.db'}")
        stack.push_async_callback(store.aclose)
        bare = stack.enter_context(open_table(directory / "bare.db"))
        changed = await _write(store, bare, _versions(count), _START)
        unchanged = await _write(store, bare, _versions(min(count, UNCHANGED)), _START + timedelta(hours=1))
        choose = random.Random(7)
        models = max(1, count // VERSIONS_PER_MODEL)
        turns = min(QUERIES, max(WARM_UP, count // 100))
        pages = await _time_pages(store, bare, [_filtered(choose) for _ in range(turns)])
        found = await _time_pages(store, bare, [_search(choose, models) for _ in range(turns)])
    size = f"{count:,} versions, {models:,} models, {REGISTRIES} registries"
    return [
        _page_row(f"filtered inventory page of {size}", pages, PAGE_CEILING_MS),
        _page_row(f"text search over {models:,} models", found, SEARCH_CEILING_MS),
        _rate_row("refresh, unchanged versions", unchanged, UNCHANGED_FLOOR),
        _rate_row("refresh, changed versions", changed, CHANGED_FLOOR),
    ]


async def _write(store: Store, bare: sqlite3.Connection, versions: Iterator[Version], now: datetime) -> Pair:
    """Versions a second of every batch; making them is not counted."""
    pair = Pair([], [])
    while page := list(islice(versions, PAGE)):
        rows = [(one.registry, one.model, one.version, repr(one), now.timestamp()) for one in page]
        started = time.perf_counter()
        write_rows(bare, rows)
        written = time.perf_counter()
        await store.write_index(partial(index.upsert_versions, items=page, observed_at=now))
        pair.theirs.append(len(page) / (written - started))
        pair.mine.append(len(page) / (time.perf_counter() - written))
    return pair


async def _time_pages(store: Store, bare: sqlite3.Connection, queries: list[InventoryQuery]) -> Pair:
    """Milliseconds of the first page of each, one after the other; the first ones warm the cache."""
    pair = Pair([], [])
    for number, query in enumerate([*queries[:WARM_UP], *queries]):
        started = time.perf_counter()
        read_rows(bare, number, query.limit)
        read = time.perf_counter()
        await store.read(partial(index.list_rows, query=query))
        if number >= WARM_UP:
            pair.theirs.append((read - started) * 1000)
            pair.mine.append((time.perf_counter() - read) * 1000)
    return pair


def _versions(count: int) -> Iterator[Version]:
    """The same ones in the same order, whenever they are asked for."""
    choose = random.Random(1)
    for number in range(count):
        model, version = divmod(number, VERSIONS_PER_MODEL)
        stage = choose.choice(_STAGES)
        yield Version(
            registry=f"registry-{model % REGISTRIES}",
            model=_model_name(model),
            version=str(version + 1),
            identity=f"{model}/{version + 1}",
            stage=stage,
            stages=() if stage == NONE else (stage,),
            native_stages=() if stage == NONE else (stage,),
            aliases=("champion",) if version == VERSIONS_PER_MODEL - 1 else (),
            tags={"team": choose.choice(_TEAMS), "framework": choose.choice(("sklearn", "xgboost", "torch"))},
            description=f"run {number} of the nightly training",
            created_at=_START,
            updated_at=_START,
        )


def _model_name(model: int) -> str:
    return f"{_TEAMS[model % len(_TEAMS)]}-model-{model:07d}"


def _filtered(choose: random.Random) -> InventoryQuery:
    """One of the questions people ask, 100 lines long."""
    query = InventoryQuery(limit=100)
    if choose.random() < 0.5:
        query = replace(query, registries=(f"registry-{choose.randrange(REGISTRIES)}",))
    team = choose.choice(_TEAMS)
    return choose.choice(
        (
            replace(query, stage=choose.choice((PRODUCTION, STAGING))),
            replace(query, tag=("team", team)),
            replace(query, tag=("team", team), stage=PRODUCTION),
            replace(query, alias="champion"),
            replace(query, model=f"{team}-*"),
        )
    )


def _search(choose: random.Random, models: int) -> InventoryQuery:
    return InventoryQuery(limit=100, search=f"model-{choose.randrange(models):07d}"[:12])


def _page_row(name: str, times: Pair, ceiling: float) -> Row:
    high = percentile(times.mine, 0.99)
    return Row(
        name=name,
        figure=f"p50 {percentile(times.mine, 0.5):.1f} ms, p99 {high:.1f} ms",
        reference=f"p50 {percentile(times.theirs, 0.5):.2f} ms  100 rows by key, bare sqlite3",
        ratio=percentile(times.mine, 0.5) / percentile(times.theirs, 0.5),
        value=high,
        unit="ms",
        **{**at_most(high, ceiling), "target": f"p99 <= {ceiling:g} ms"},
    )


def _rate_row(name: str, rates: Pair, floor: float) -> Row:
    mine, theirs = harmonic_mean(rates.mine), harmonic_mean(rates.theirs)
    return Row(
        name=name,
        figure=f"{mine:,.0f}/s",
        reference=f"{theirs:,.0f}/s  upsert of one table, bare sqlite3",
        ratio=mine / theirs,
        value=mine,
        unit="1/s",
        **{**at_least(mine, floor), "target": f">= {floor:,.0f}/s"},
    )
