"""Drift: found with its time and author, repaired by promotions, and what links do about outside changes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fedreg.domain.drift import Problem
from fedreg.domain.errors import GateClosed, NotFound
from fedreg.domain.links import ConflictRule, Direction, Link, OnMissing, OnOutside
from fedreg.domain.refs import Ref
from fedreg.services import links as linking
from fedreg.services import promotion
from fedreg.services.copy import copy_version
from fedreg.services.drift import list_drift
from fedreg.services.gateway import Gateway
from fedreg.services.operations import list_operations
from fedreg.services.refresh import refresh
from fedreg.services.repair import repair_drift

from .conftest import ACTOR, make_version
from .linked import LINK, gateway, ref, stages

__all__ = ["gateway"]


async def promoted(gateway: Gateway, link: Link = LINK) -> None:
    """Version 1 in production everywhere, version 2 copied everywhere."""
    await linking.set_link(gateway, "churn", link, actor=ACTOR)
    await promotion.promote(gateway, ref(1), "production", actor=ACTOR)
    for name in ("eu", "us"):
        await copy_version(gateway, ref(2), Ref(name, "churn"), actor=ACTOR)


async def set_outside(gateway: Gateway, registry: str, version: int, stage: str) -> None:
    adapter = await gateway.registries.get(registry)
    live = await adapter.get_version("churn", str(version))
    await adapter.set_stage(live.id, stage, None)


async def test_members_that_agree_have_no_drift(gateway: Gateway) -> None:
    await promoted(gateway)
    report = await list_drift(gateway, refresh=True)
    assert (report.rows, report.links) == ((), 1)
    with pytest.raises(NotFound, match="link 'nope' does not exist"):
        await list_drift(gateway, ["nope"])


async def test_it_is_found_and_repaired(gateway: Gateway) -> None:
    await promoted(gateway)
    for name in ("dev", "eu", "us"):
        await refresh(gateway, name)
    await set_outside(gateway, "eu", 2, "production")
    rows = (await list_drift(gateway, refresh=True)).rows
    assert [(r.problem, r.ref, r.of, r.by) for r in rows] == [
        (Problem.MISSING, "eu:churn@version:1", "dev:churn@version:1", "tester"),
        (Problem.EXTRA, "eu:churn@version:2", "dev:churn@version:1", None),
    ]
    assert all(r.since is not None for r in rows)
    dry = await repair_drift(gateway, actor=ACTOR, dry_run=True)
    assert dry.changes == 2 and not dry.operations
    done = await repair_drift(gateway, actor=ACTOR)
    assert len(done.operations) == 1
    assert await stages(gateway) == {
        "dev:1": "production",
        "eu:1": "production",
        "eu:2": "archived",
        "us:1": "production",
    }
    assert (await list_drift(gateway, refresh=True)).rows == ()


async def test_what_nobody_should_have_is_taken_away(gateway: Gateway) -> None:
    await linking.set_link(gateway, "churn", replace(LINK, on_missing=OnMissing.SKIP), actor=ACTOR)
    await copy_version(gateway, ref(1), Ref("us", "churn"), actor=ACTOR)
    await set_outside(gateway, "us", 1, "production")
    [row] = (await list_drift(gateway, refresh=True)).rows
    assert (row.problem, row.ref, row.of) == (Problem.EXTRA, "us:churn@version:1", None)
    await repair_drift(gateway, actor=ACTOR)
    assert await stages(gateway) == {"us:1": "archived"}


async def test_a_member_without_its_copy_gets_it(gateway: Gateway) -> None:
    await linking.set_link(gateway, "churn", LINK, actor=ACTOR)
    await set_outside(gateway, "dev", 1, "production")
    rows = (await list_drift(gateway, refresh=True)).rows
    assert [(r.problem, r.ref) for r in rows] == [(Problem.NO_COPY, "eu:churn"), (Problem.NO_COPY, "us:churn")]
    await repair_drift(gateway, actor=ACTOR)
    assert await stages(gateway) == dict.fromkeys(("dev:1", "eu:1", "us:1"), "production")


async def test_the_newest_may_win_and_manual_leaves_it_to_people(gateway: Gateway) -> None:
    newest = replace(LINK, conflict=ConflictRule.NEWEST, direction=Direction.BOTH)
    await promoted(gateway, newest)
    for name in ("dev", "eu", "us"):
        await refresh(gateway, name)
    await set_outside(gateway, "eu", 2, "production")
    await linking.set_link(gateway, "churn", replace(newest, conflict=ConflictRule.MANUAL), actor=ACTOR)
    manual = await repair_drift(gateway, actor=ACTOR)
    assert not manual.operations and len(manual.left) == 2
    await linking.set_link(gateway, "churn", newest, actor=ACTOR)
    await repair_drift(gateway, actor=ACTOR)
    assert {key for key, stage in (await stages(gateway)).items() if stage == "production"} == {"dev:2", "eu:2", "us:2"}


async def test_a_mass_change_is_refused(gateway: Gateway) -> None:
    link = Link(
        members=("dev:{model}", "eu:{model}"),
        authority="dev",
        match="team-*",
        on_missing=OnMissing.COPY,
        max_changes=3,
    )
    for number in range(3):
        made = await make_version(gateway, "dev", f"team-{number}")
        await (await gateway.registries.get("dev")).set_stage(made.id, "production", None)
    await linking.set_link(gateway, "teams", link, actor=ACTOR)
    assert len((await list_drift(gateway, refresh=True)).rows) == 3
    with pytest.raises(GateClosed, match="would change 6, more than max_changes 3"):
        await repair_drift(gateway, actor=ACTOR)
    assert len((await list_drift(gateway, refresh=True)).rows) == 3
    await repair_drift(gateway, actor=ACTOR, max_changes=6)
    assert (await list_drift(gateway, refresh=True)).rows == ()


async def test_an_outside_change_is_adopted_or_undone_as_the_link_says(gateway: Gateway) -> None:
    await promoted(gateway, replace(LINK, on_outside=OnOutside.ADOPT))
    for name in ("dev", "eu", "us"):
        await refresh(gateway, name)
    before = await stages(gateway)
    await set_outside(gateway, "dev", 2, "production")
    await refresh(gateway, "dev")
    [operation] = await _running(gateway)
    await (await gateway.launched_engine()).wait(operation)
    held = {key for key, stage in (await stages(gateway)).items() if stage == "production"}
    assert held == {"dev:2", "eu:2", "us:2"}
    await promotion.promote(gateway, ref(1), "production", actor=ACTOR)
    await linking.set_link(gateway, "churn", replace(LINK, on_outside=OnOutside.REVERT), actor=ACTOR)
    for name in ("dev", "eu", "us"):
        await refresh(gateway, name)
    calm = await stages(gateway)
    await set_outside(gateway, "us", 2, "production")
    await refresh(gateway, "us")
    assert {key: stage for key, stage in (await stages(gateway)).items() if stage == "production"} == {
        key: stage for key, stage in calm.items() if stage == "production"
    }
    assert set(before) <= set(calm)


async def _running(gateway: Gateway) -> list[str]:
    found = await list_operations(gateway)
    return [one.id for one in found if one.reason == "adopted"]
