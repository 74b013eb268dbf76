"""The inventory against a plain search in Python; its pages and cursors."""

from __future__ import annotations

import base64
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, event

from fedreg.domain.errors import InvalidRequest
from fedreg.domain.manifest import Basis, Digest
from fedreg.domain.models import Model, Version
from fedreg.domain.records import InventoryQuery, InventoryRow, Sort
from fedreg.domain.stages import Approval
from fedreg.store import documents, index
from fedreg.store.database import Store

_NAMES = ("churn", "churn-eu", "Churn", "team-a/fraud", "team-b/fraud", "x", "año", "a[b]", "z*", "empty", "zz-empty")
_REGISTRIES = ("dev", "prod", "sm-eu")
_LONG = "v" * 300
_LIST = {"versions": index.list_rows, "models": index.list_model_rows}


class World:
    """What the index holds, to be searched plainly."""

    def __init__(self, seed: int) -> None:
        pick = random.Random(seed)
        self.models: dict[tuple[str, str], Model] = {}
        self.versions: dict[tuple[str, str], list[Version]] = {}
        for registry in _REGISTRIES:
            for name in _NAMES:
                if pick.random() < 0.85:
                    self.models[registry, name] = _make_model(pick, registry, name)
                    count = 0 if "empty" in name else pick.randint(1, 12)
                    self.versions[registry, name] = [_make_version(pick, registry, name, n) for n in range(count)]

    def matches(self, query: InventoryQuery, version: Version) -> bool:
        model = self.models[version.registry, version.model]
        tags = {**version.tags}
        return (
            self.model_matches(query, model)
            and (query.stage is None or query.stage in ({version.stage, *version.stages}))
            and (query.alias is None or query.alias in version.aliases)
            and (query.approval is None or query.approval == version.approval)
            and (query.tag is None or query.tag in tags.items() or query.tag in model.tags.items())
            and (query.digest is None or (version.digest is not None and version.digest.value == query.digest))
        )

    def model_matches(self, query: InventoryQuery, model: Model) -> bool:
        text = "\n".join([model.name, model.description or "", *(f"{k}={v}" for k, v in model.tags.items())])
        return (
            (not query.registries or model.registry in query.registries)
            and (query.model is None or fnmatchcase(model.name, query.model))
            and all(word in text.casefold() for word in (query.search or "").casefold().split())
        )

    def list_versions(self, query: InventoryQuery) -> list[tuple[str, str, str]]:
        return [
            (registry, name, version.version)
            for registry, name in sorted(self.models)
            for version in sorted(self.versions[registry, name], key=documents.version_sort)
            if self.matches(query, version)
        ]

    def list_models(self, query: InventoryQuery) -> list[tuple[str, str, str | None]]:
        found: list[tuple[str, str, str | None]] = []
        for (registry, name), model in sorted(self.models.items()):
            mine = [v for v in self.versions[registry, name] if self.matches(query, v)]
            asks = any(part is not None for part in (query.stage, query.alias, query.approval, query.digest))
            bare = not self.versions[registry, name] and not asks and self.model_matches(query, model)
            if mine:
                found.append((registry, name, max(mine, key=_leads).version))
            elif bare and (query.tag is None or query.tag in model.tags.items()):
                found.append((registry, name, None))
        return found


def _leads(version: Version) -> tuple[int, str]:
    order = ["archived", "none", "canary", "staging", "production"]
    return order.index(version.stage), documents.version_sort(version)


def _make_model(pick: random.Random, registry: str, name: str) -> Model:
    return Model(
        registry=registry,
        name=name,
        native_name=name,
        description=pick.choice([None, "Predicts CHURN of customers", 'says "hello"']),
        tags=pick.choice([{}, {"team": "a"}, {"team": "b", "tier": _LONG}]),
    )


def _make_version(pick: random.Random, registry: str, name: str, number: int) -> Version:
    stage = pick.choice(["none"] * 5 + ["staging", "production", "archived", "canary"])
    named = str(number + 1) if registry != "sm-eu" else f"rev-{pick.randrange(10**6)}-{number}"
    return Version(
        registry=registry,
        model=name,
        version=named,
        identity=f"{registry}/{name}/{named}",
        stage=stage,
        stages=() if stage == "none" else (stage, "archived") if pick.random() < 0.3 else (stage,),
        approval=pick.choice(list(Approval)),
        aliases=pick.choice([(), (), ("champion",), ("champion", "blue")]),
        tags=pick.choice([{}, {"team": "a"}, {"team": "b", "x": ""}, {"tier": _LONG}]),
        digest=pick.choice([None, Digest("sha256:aa", Basis.READ), Digest("sha256:bb", Basis.CLAIMED)]),
        created_at=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=pick.randrange(1000)),
    )


@pytest.fixture(scope="module")
def world() -> World:
    return World(7)


@pytest.fixture(scope="module")
def connection(empty: Connection, world: World) -> Connection:
    """The world as it is after a history: other values first, shuffled batches, deletions."""
    opened = empty
    now, pick = datetime(2026, 1, 1, tzinfo=UTC), random.Random(3)
    earlier = World(8)
    with opened.begin():
        for state in (earlier, world):
            versions = [v for listed in state.versions.values() for v in listed]
            pick.shuffle(versions)
            for start in range(0, len(versions), 50):
                now += timedelta(minutes=1)
                index.upsert_versions(opened, versions[start : start + 50], now)
            for model in pick.sample(list(state.models.values()), len(state.models)):
                index.upsert_models(opened, [model], now + timedelta(seconds=pick.randrange(5)))
        wanted = {v.id for listed in world.versions.values() for v in listed}
        for (registry, name), listed in earlier.versions.items():
            if (registry, name) not in world.models:
                index.delete_models(opened, registry, [name])
            else:
                index.delete_versions(opened, registry, [v.id for v in listed if v.id not in wanted])
    return opened


def _read_all(connection: Connection, lines: str, query: InventoryQuery) -> list[InventoryRow]:
    rows: list[InventoryRow] = []
    with connection.begin():
        while True:
            page, cursor = _LIST[lines](connection, query)
            assert len(page) <= query.limit
            rows += page
            if cursor is None:
                return rows
            assert len(page) == query.limit
            query = replace(query, cursor=cursor)


_QUERIES = st.builds(
    InventoryQuery,
    registries=st.sampled_from([(), ("prod",), ("sm-eu", "dev"), ("nowhere",)]),
    model=st.sampled_from([None, None, "churn", "churn*", "*fraud", "team-[!a]*", "?", "a[b]", "a[[]b]", "*ñ*"]),
    stage=st.sampled_from([None, None, "none", "staging", "production", "archived", "canary", "nope"]),
    alias=st.sampled_from([None, None, None, "champion", "blue", "nope"]),
    approval=st.sampled_from([None, None, None, "none", "pending", "approved", "nope"]),
    tag=st.sampled_from([None, None, None, ("team", "a"), ("team", "b"), ("x", ""), ("tier", _LONG), ("team", "c")]),
    digest=st.sampled_from([None, None, None, "sha256:aa", "sha256:bb", "sha256:cc"]),
    search=st.sampled_from([None, None, "CHURN predicts", "team=a", "ñ", '"hello"', "fr", "fraud tea", "nope"]),
    limit=st.sampled_from([1, 2, 7, 1000]),
)  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(query=_QUERIES)
def test_versions_are_those_of_a_plain_search(connection: Connection, world: World, query: InventoryQuery) -> None:
    rows = _read_all(connection, "versions", query)
    assert [(row.registry, row.model, row.version) for row in rows] == world.list_versions(query)


@settings(max_examples=80, deadline=None)
@given(query=_QUERIES)
def test_models_are_those_of_a_plain_search(connection: Connection, world: World, query: InventoryQuery) -> None:
    rows = _read_all(connection, "models", query)
    assert [(row.registry, row.model, row.version) for row in rows] == world.list_models(query)


@pytest.mark.parametrize("lines", ["versions", "models"])
@settings(max_examples=40, deadline=None)
@given(query=_QUERIES, sort=st.sampled_from(list(Sort)))
def test_another_order_has_the_same_rows(connection: Connection, lines: str, query: InventoryQuery, sort: Sort) -> None:
    by_name = _read_all(connection, lines, replace(query, limit=1000))
    assert _read_all(connection, lines, replace(query, sort=sort)) == _sorted(by_name, sort)


@settings(max_examples=60, deadline=None)
@given(query=_QUERIES)
def test_counts_are_those_of_a_plain_search(connection: Connection, query: InventoryQuery) -> None:
    rows = _read_all(connection, "versions", replace(query, limit=1000))
    with connection.begin():
        found = index.count_matches(connection, query)
    assert found.registries == Counter(row.registry for row in rows)
    assert found.stages == Counter(row.stage for row in rows)
    assert found.approvals == Counter(row.approval for row in rows)


def test_the_times_of_these_tests_differ(connection: Connection) -> None:
    rows = _read_all(connection, "versions", InventoryQuery(limit=1000))
    for name in ("stage_since", "approved_at", "observed_at"):
        times = [getattr(row, name) for row in rows]
        assert 1 < len(set(times) - {None}) < len(times)
    assert {row.stage_since is None for row in rows} == {row.approved_at is None for row in rows} == {True, False}


def _sorted(by_name: list[InventoryRow], sort: Sort) -> list[InventoryRow]:
    timed: list[InventoryRow] = []
    untimed = by_name
    if sort.field != "name":
        timed = [row for row in by_name if getattr(row, sort.field) is not None]
        timed.sort(key=lambda row: getattr(row, sort.field))
        untimed = [row for row in by_name if getattr(row, sort.field) is None]
    return [*reversed(timed), *reversed(untimed)] if sort.descending else [*timed, *untimed]


def test_model_rows_count_and_name_the_holders(connection: Connection, world: World) -> None:
    for row in _read_all(connection, "models", InventoryQuery(limit=1000)):
        mine = sorted(world.versions[row.registry, row.model], key=documents.version_sort)
        assert row.versions == len(mine)
        held = {stage: v.version for v in mine for stage in {v.stage, *v.stages} - {"none"}}
        assert row.stages == held


def test_version_rows_show_their_version(connection: Connection, world: World) -> None:
    rows = _read_all(connection, "versions", InventoryQuery(limit=1000))
    shown = {(row.registry, row.model, row.version): row for row in rows}
    for listed in world.versions.values():
        for version in listed:
            row = shown[version.registry, version.model, version.version]
            digest = version.digest
            assert (row.stage, row.approval, row.aliases) == (version.stage, version.approval, version.aliases)
            assert (row.digest, row.digest_basis) == ((digest.value, digest.basis) if digest else (None, None))


def test_numbers_sort_by_value_and_names_by_creation(make_version: Callable[..., Version], noon: datetime) -> None:
    numbers = [make_version(name) for name in ("9", "10", "007", "1")]
    assert [v.version for v in sorted(numbers, key=documents.version_sort)] == ["1", "007", "9", "10"]
    later = noon + timedelta(hours=1)
    names = [make_version(n, created_at=at) for n, at in (("abc", later), ("v10", noon), ("v9", noon), ("zzz", noon))]
    assert [v.version for v in sorted(names, key=documents.version_sort)] == ["v9", "v10", "zzz", "abc"]


@pytest.fixture
async def filled(store: Store, noon: datetime, make_version: Callable[..., Version]) -> AsyncIterator[Store]:
    versions = [make_version(str(n)) for n in range(1, 10)]
    await store.write_index(lambda tx: index.upsert_versions(tx, versions, noon))
    yield store


async def _page(store: Store, **fields: Any) -> tuple[list[InventoryRow], str | None]:
    return await store.read(lambda c: index.list_rows(c, InventoryQuery(**fields)))


async def test_a_cursor_survives_another_limit_but_no_other_query(filled: Store) -> None:
    rows, cursor = await _page(filled, limit=4)
    assert cursor is not None
    rest, end = await _page(filled, limit=50, cursor=cursor)
    assert [row.version for row in rows + rest] == [str(n) for n in range(1, 10)]
    assert end is None
    for other in ({"stage": "none"}, {"model": "*"}, {"registries": ("prod",)}, {"sort": "-name"}):
        with pytest.raises(InvalidRequest, match="cursor"):
            await _page(filled, cursor=cursor, **other)
    with pytest.raises(InvalidRequest, match="cursor"):
        await filled.read(lambda c: index.list_model_rows(c, InventoryQuery(cursor=cursor)))


async def test_forged_cursors_are_refused(filled: Store) -> None:
    _, cursor = await _page(filled, limit=4)
    assert cursor is not None
    raw = bytearray(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    forged = []
    for place in (0, 15, 16, len(raw) - 3):
        changed = bytearray(raw)
        changed[place] ^= 1
        forged.append(base64.urlsafe_b64encode(changed).decode().rstrip("="))
    for bad in [*forged, "", "x", "é", "a" * 5000, cursor[:-4], cursor + "AAAA"]:
        with pytest.raises(InvalidRequest, match="cursor"):
            await _page(filled, limit=4, cursor=bad)


async def test_a_cursor_of_another_store_is_refused(filled: Store) -> None:
    _, cursor = await _page(filled, limit=4)
    other = await Store.open("sqlite://")
    with pytest.raises(InvalidRequest, match="cursor"):
        await _page(other, limit=4, cursor=cursor)
    await other.aclose()


async def test_a_cursor_of_one_order_is_refused_by_another(filled: Store) -> None:
    for sort in Sort:
        _, cursor = await _page(filled, limit=4, sort=sort)
        for other in set(Sort) - {sort}:
            with pytest.raises(InvalidRequest, match="cursor"):
                await _page(filled, limit=4, sort=other, cursor=cursor)
    with pytest.raises(InvalidRequest, match="sort 'size' is no order"):
        await _page(filled, sort="size")


@pytest.mark.sqlite("reads its plan; PostgreSQL's depends on statistics")
async def test_the_index_has_the_order_of_stages(filled: Store) -> None:
    """A page by `stage_since` is read in its order, not sorted."""

    def explain(conn: Connection) -> list[str]:
        asked: list[tuple[str, Any]] = []
        event.listen(conn, "before_cursor_execute", lambda c, cursor, sql, given, *_: asked.append((sql, given)))
        index.list_rows(conn, InventoryQuery(sort="-stage_since"))
        sql, given = next(one for one in asked if "stage_since DESC" in one[0])
        return [row.detail for row in conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", given)]

    [step] = await filled.read(explain)
    assert "USING INDEX versions_by_stage_since" in step


@pytest.mark.parametrize("limit", [0, -1, 10_001])
async def test_limits(store: Store, limit: int) -> None:
    with pytest.raises(InvalidRequest, match="limit"):
        await _page(store, limit=limit)


async def test_a_page_goes_on_where_rows_came_and_went(
    filled: Store, noon: datetime, make_version: Callable[..., Version]
) -> None:
    rows, cursor = await _page(filled, limit=4)
    assert [row.version for row in rows] == ["1", "2", "3", "4"]

    def change(tx: Connection) -> None:
        index.delete_versions(tx, "prod", [make_version("4").id, make_version("5").id])
        index.upsert_versions(tx, [make_version("11"), make_version("0")], noon)

    await filled.write_index(change)
    rest, _ = await _page(filled, limit=9, cursor=cursor)
    assert [row.version for row in rest] == ["6", "7", "8", "9", "11"]
