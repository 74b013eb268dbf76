"""The inventory of a past time, against what the inventory answered then."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from fedreg.bootstrap import open_gateway
from fedreg.domain.errors import InvalidRequest
from fedreg.domain.models import ModelDraft
from fedreg.domain.records import InventoryQuery, InventoryRow
from fedreg.domain.refs import Ref
from fedreg.domain.stages import Approval
from fedreg.services import audit, catalog, copy, edits, intents, promotion
from fedreg.services.gateway import Gateway
from fedreg.services.refresh import refresh
from fedreg.settings import Settings

from .conftest import ACTOR, make_version

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
ONE, TWO = Ref.parse("left:churn@1"), Ref.parse("left:churn@2")
Shown = tuple[object, ...]


@dataclass
class Clock:
    """A time that moves by a second with each look, and by an hour when it is told to."""

    now: datetime = START

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now

    def wait(self) -> datetime:
        self.now += timedelta(hours=1)
        return self.now


@dataclass
class Past:
    """A gateway with a clock, and what it showed at which time."""

    gateway: Gateway
    clock: Clock = field(default_factory=Clock)

    async def list_(
        self, at: datetime | None = None, *, versions: bool = True, **filters: object
    ) -> list[InventoryRow]:
        query = InventoryQuery(registries=("left",), as_of=at, **filters)  # type: ignore[arg-type]
        rows: list[InventoryRow] = []
        while True:
            page = await catalog.list_inventory(self.gateway, query, versions=versions)
            rows += page.items
            if page.next_cursor is None:
                return rows
            query = replace(query, cursor=page.next_cursor)

    async def row(self, at: datetime | None, version: str = "1") -> InventoryRow:
        [row] = [row for row in await self.list_(at) if row.version == version]
        return row


@pytest.fixture
async def past(settings: Settings) -> AsyncIterator[Past]:
    async with open_gateway(settings) as gateway:
        found = Past(gateway)
        gateway.now = found.clock
        yield found


@pytest.fixture
async def two(past: Past) -> Past:
    """Two versions, scanned."""
    await make_version(past.gateway, "left", "churn", description="one")
    await make_version(past.gateway, "left", "churn", description="two")
    await refresh(past.gateway, "left")
    return past


async def promote(past: Past, ref: Ref, stage: str) -> datetime:
    await promotion.promote(past.gateway, ref, stage, actor=ACTOR, reason="why")
    return past.clock.wait()


async def set_outside(past: Past, stage: str) -> datetime:
    adapter = await past.gateway.registries.get("left")
    await adapter.set_stage((await adapter.get_version("churn", "1")).id, stage)
    return past.clock.wait()


async def test_our_own_changes_are_exact(two: Past) -> None:
    before = two.clock.wait()
    staged = await promote(two, ONE, "staging")
    live = await promote(two, ONE, "production")
    assert [(await two.row(at)).stage for at in (before, staged, live)] == ["none", "staging", "production"]
    row = await two.row(staged)
    assert (row.set_by, row.stage_since_basis, row.unknown) == ("tester", "journal", ())
    assert row.stage_since is not None and before < row.stage_since < staged
    assert (await two.row(before)).stage_since is None


async def test_within_the_interval_of_an_observed_change_the_value_is_unknown(two: Past) -> None:
    seen = two.clock.wait()
    await refresh(two.gateway, "left")
    between = await set_outside(two, "production")
    later = two.clock.wait()
    await refresh(two.gateway, "left")
    after = two.clock.wait()
    rows = [await two.row(at) for at in (seen, between, later, after)]
    assert [row.stage for row in rows] == ["none", "unknown", "unknown", "production"]
    assert [row.unknown for row in rows] == [(), ("stage",), ("stage",), ()]
    assert rows[3].stage_since_basis == "observation" and rows[3].set_by is None
    for stage in ("production", "none", "staging"):
        found = await two.list_(between, stage=stage)
        assert "1" in [row.version for row in found], "it may have been"
    assert [row.version for row in await two.list_(after, stage="production")] == ["1"]


async def test_a_change_nobody_had_seen_before_ours_is_told_of(two: Past) -> None:
    seen = two.clock.wait()
    await refresh(two.gateway, "left")
    between = await set_outside(two, "staging")
    live = await promote(two, ONE, "production")
    assert [(await two.row(at)).stage for at in (seen, between, live)] == ["none", "unknown", "production"]
    changes = [entry.change for entry in await audit.list_history(two.gateway, ONE)]
    stages = [(change.before, change.after, str(change.origin)) for change in changes]
    assert stages == [("none", "staging", "observed"), ("staging", "production", "ours")]


async def test_a_version_that_is_gone_is_there_before(two: Past) -> None:
    await promote(two, ONE, "staging")
    await edits.set_tags(two.gateway, ONE, {"team": "a"}, actor=ACTOR, reason=None)
    there = two.clock.wait()
    await edits.delete_version(two.gateway, ONE, actor=ACTOR, reason=None)
    gone = two.clock.wait()
    row = await two.row(there)
    assert (row.stage, row.set_by, row.unknown) == ("staging", "tester", ())
    assert [row.version for row in await two.list_(there, tag=("team", "a"))] == ["1"]
    assert [row.version for row in await two.list_(gone)] == ["2"]


async def test_a_deletion_that_was_observed_has_its_interval(two: Past) -> None:
    seen = two.clock.wait()
    await refresh(two.gateway, "left")
    adapter = await two.gateway.registries.get("left")
    await adapter.delete_version("churn", "1")
    between = two.clock.wait()
    await refresh(two.gateway, "left")
    after = two.clock.wait()
    assert (await two.row(seen)).unknown == ()
    assert "existence" in (await two.row(between)).unknown
    assert [row.version for row in await two.list_(after)] == ["2"]


async def test_a_version_that_was_found_was_not_there_before_the_last_scan(two: Past) -> None:
    before = two.clock.wait()
    await refresh(two.gateway, "left")
    await make_version(two.gateway, "left", "churn", description="three")
    two.clock.wait()
    await refresh(two.gateway, "left")
    after = two.clock.wait()
    assert [row.version for row in await two.list_(before)] == ["1", "2"]
    assert [row.version for row in await two.list_(after)] == ["1", "2", "3"]


async def test_before_the_first_scan_all_is_unknown_and_never_empty(past: Past) -> None:
    early = past.clock.wait()
    await make_version(past.gateway, "left", "churn")
    past.clock.wait()
    await refresh(past.gateway, "left")
    for versions in (True, False):
        query = InventoryQuery(as_of=early, stage="production")
        page = await catalog.list_inventory(past.gateway, query, versions=versions)
        assert [(row.registry, row.model, row.stage, row.unknown) for row in page.items] == [
            (name, "unknown", "unknown", ("everything",)) for name in ("left", "right")
        ]
        assert [part["error"]["code"] for part in page.partial] == ["not_covered", "not_covered"]
        assert [one.since is None for one in page.coverage] == [False, True]
    late = past.clock.wait()
    page = await catalog.list_inventory(past.gateway, InventoryQuery(as_of=late), versions=True)
    assert [row.model for row in page.items] == ["churn", "unknown"]
    with pytest.raises(InvalidRequest, match="covered no registry"):
        await catalog.list_facets(past.gateway, InventoryQuery(as_of=early))
    facets = await catalog.list_facets(past.gateway, InventoryQuery(as_of=late))
    assert (facets.registries, facets.stages) == ({"left": 1}, {"none": 1})


@pytest.mark.parametrize(
    ("query", "options", "message"),
    [
        (InventoryQuery(as_of=datetime(2100, 1, 1, tzinfo=UTC)), {}, "in the future"),
        (InventoryQuery(as_of=datetime(2026, 3, 1)), {}, "no time zone"),  # noqa: DTZ001  the mistake under test
        (InventoryQuery(as_of=START), {"refresh": True}, "asks for the past"),
        (InventoryQuery(as_of=START), {"max_age": timedelta(hours=1)}, "asks for the past"),
        (InventoryQuery(as_of=START, sort="-stage_since"), {}, "listed by name"),
        (InventoryQuery(as_of=START, limit=0), {}, "limit 0"),
        (InventoryQuery(as_of=START, cursor="x"), {}, "cursor"),
    ],
)
async def test_wrong_questions(past: Past, query: InventoryQuery, options: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        await catalog.list_inventory(past.gateway, query, versions=True, **options)  # type: ignore[arg-type]


# -- many changes -----------------------------------------------------------------------------------------


def shown(row: InventoryRow) -> Shown:
    """What a past row must have in common with the row that was shown then."""
    return (row.model, row.version, row.stage, row.approval, row.aliases, row.set_by, row.stage_since, row.approved_by)


async def make_a_change(past: Past, pick: random.Random) -> None:
    gateway, model = past.gateway, pick.choice(("churn", "fraud", "spam"))
    rows = [row for row in await past.list_() if row.model == model]
    if not rows or pick.random() < 0.15:
        seed = await make_version(gateway, "right", model, description=str(pick.random()))
        source = Ref("right", model).at_version(seed.version)
        made = await copy.start_copy(gateway, source, Ref("left", model), actor=ACTOR)
        await intents.wait(gateway, made.id)
        return
    ref = Ref("left", model).at_version(pick.choice(rows).version or "")
    kind = pick.random()
    if kind < 0.4:
        await promotion.promote(gateway, ref, pick.choice(("none", "staging", "production")), actor=ACTOR)
    elif kind < 0.6:
        decision = pick.choice((Approval.APPROVED, Approval.REJECTED))
        await edits.set_approval(gateway, ref, decision, actor=ACTOR, reason=None)
    elif kind < 0.8:
        await edits.set_alias(gateway, ref, pick.choice(("champion", "next")), actor=ACTOR, reason=None)
    elif kind < 0.9:
        await edits.set_tags(gateway, ref, {"team": pick.choice("ab")}, actor=ACTOR, reason=None)
    else:
        await edits.delete_version(gateway, ref, actor=ACTOR, reason=None)


@pytest.mark.parametrize("seed", [1, 2])
async def test_each_time_is_told_as_it_was(past: Past, seed: int) -> None:
    pick, then = random.Random(seed), []
    adapter = await past.gateway.registries.get("left")
    await adapter.create_model(ModelDraft(name="empty"))
    for number in range(4):
        await make_version(past.gateway, "left", ("churn", "fraud")[number % 2], description=str(number))
    await refresh(past.gateway, "left")
    for number in range(30):
        at = past.clock.wait()
        then.append((at, await past.list_(), await past.list_(versions=False), await past.list_(tag=("team", "a"))))
        await make_a_change(past, pick)
        if number % 5 == 0:
            await refresh(past.gateway, "left")
    assert (await audit.verify_audit(past.gateway)).ok
    for at, rows, models, tagged in then:
        assert [shown(row) for row in await past.list_(at, limit=2)] == [shown(row) for row in rows]
        found = await past.list_(at, versions=False, limit=1)
        assert [(row.model, row.version, row.versions) for row in found] == [
            (row.model, row.version, row.versions) for row in models
        ]
        assert {row.version for row in tagged} <= {row.version for row in await past.list_(at, tag=("team", "a"))}
        for stage in ("none", "staging", "production"):
            asked = [shown(row) for row in await past.list_(at, stage=stage)]
            assert asked == [shown(row) for row in rows if row.stage == stage]
