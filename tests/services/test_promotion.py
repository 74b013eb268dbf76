"""Promotions, and single changes: effects first, journal after, index up to date."""

from __future__ import annotations

import pytest

from fedreg.domain.errors import InvalidRequest, NotFound, PreconditionFailed
from fedreg.domain.records import InventoryQuery
from fedreg.domain.refs import Ref
from fedreg.domain.stages import Approval
from fedreg.services import audit, catalog, edits, operations, promotion
from fedreg.services.gateway import Gateway

from .conftest import ACTOR, make_version

ONE, TWO = Ref.parse("left:churn@version:1"), Ref.parse("left:churn@version:2")


@pytest.fixture
async def two(gateway: Gateway) -> Gateway:
    await make_version(gateway, "left", "churn", description="one")
    await make_version(gateway, "left", "churn", description="two")
    return gateway


async def stages(gateway: Gateway) -> dict[str | None, str]:
    page = await catalog.list_inventory(gateway, InventoryQuery(registries=("left",)), versions=True)
    return {row.version: row.stage for row in page.items}


async def test_an_exclusive_stage_moves_and_the_index_follows(two: Gateway) -> None:
    assert await stages(two) == {"1": "none", "2": "none"}
    await promotion.promote(two, ONE, "production", actor=ACTOR, reason="first")
    report = await promotion.promote(two, TWO, "production", actor=ACTOR, reason="second")
    assert (report.holders_before, report.shared_with, report.changed) == (("1",), (), True)
    assert await stages(two) == {"1": "none", "2": "production"}
    history = await audit.list_history(two, TWO)
    assert [(e.change.action, e.change.before, e.change.after) for e in history] == [
        ("stage_set", "none", "production")
    ]
    page = await catalog.list_inventory(two, InventoryQuery(stage="production"), versions=True)
    assert [(row.set_by, row.stage_since_basis) for row in page.items] == [("tester", "journal")]


async def test_several_holders_are_flagged_where_the_stage_is_no_pointer(two: Gateway) -> None:
    await promotion.promote(two, ONE, "staging", actor=ACTOR)
    report = await promotion.promote(two, TWO, "staging", actor=ACTOR)
    assert report.shared_with == ("1",)


async def test_a_dry_run_and_a_repeat_change_nothing(two: Gateway) -> None:
    dry = await promotion.promote(two, ONE, "production", actor=ACTOR, dry_run=True)
    assert dry.changed and await audit.list_audit(two) == []
    await promotion.promote(two, ONE, "production", actor=ACTOR)
    repeat = await promotion.promote(two, ONE, "production", actor=ACTOR)
    assert not repeat.changed and len(await audit.list_audit(two)) == 1


async def test_expected_guards_a_promotion(two: Gateway) -> None:
    with pytest.raises(PreconditionFailed, match="'none', not 'staging'"):
        await promotion.promote(two, ONE, "production", actor=ACTOR, expected="staging")


async def test_edits_are_journalled(two: Gateway) -> None:
    await edits.set_tags(two, ONE, {"team": "growth"}, actor=ACTOR, reason=None)
    await edits.set_alias(two, ONE, "blue", actor=ACTOR, reason=None)
    await edits.set_alias(two, TWO, "blue", actor=ACTOR, reason=None)
    await edits.set_approval(two, TWO, Approval.APPROVED, "fine", actor=ACTOR, reason="review")
    await edits.delete_alias(two, Ref("left", "churn"), "blue", actor=ACTOR, reason=None)
    await edits.delete_version(two, ONE, actor=ACTOR, reason="old")
    actions = [entry.change.action for entry in await audit.list_audit(two)]
    assert actions == ["tags_set", "alias_set", "alias_set", "approval_set", "alias_deleted", "deleted"]
    assert (await audit.verify_audit(two)).ok
    view = await catalog.show_model(two, Ref("left", "churn"))
    assert [(v.version, v.approval, v.aliases) for v in view.versions] == [("2", Approval.APPROVED, ())]
    assert {view.state.value for view in await operations.list_operations(two)} == {"succeeded"}


async def test_a_bare_selector_must_be_unambiguous(two: Gateway) -> None:
    await edits.set_alias(two, TWO, "staging", actor=ACTOR, reason=None)
    await promotion.promote(two, ONE, "staging", actor=ACTOR)
    with pytest.raises(InvalidRequest, match="matches 2 versions") as caught:
        await catalog.get_version(two, Ref.parse("left:churn@staging"))
    assert caught.value.details["candidates"] == [str(ONE), str(TWO)]
    with pytest.raises(InvalidRequest, match="latest"):
        await promotion.promote(two, Ref.parse("left:churn@latest"), "production", actor=ACTOR)
    assert (await catalog.get_version(two, Ref.parse("left:churn@latest"))).version == "2"
    with pytest.raises(NotFound, match="matches no version"):
        await catalog.get_version(two, Ref.parse("left:churn@alias:red"))
