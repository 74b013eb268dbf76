"""Promotions over links: what flows, what is copied, demoted, retried, taken back."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from fedreg.domain.errors import Conflict, FedregError, Forbidden, GateClosed, NotFound
from fedreg.domain.links import Gate, LinkMember, OnFailure, OnMissing, Rule
from fedreg.domain.promotions import MemberAction, MemberState
from fedreg.domain.records import Actor, Decision, IntentState
from fedreg.domain.refs import Ref
from fedreg.domain.stages import Approval
from fedreg.services import edits, operations, promotion
from fedreg.services import links as linking
from fedreg.services.audit import list_audit
from fedreg.services.copy import copy_version
from fedreg.services.gateway import Gateway
from fedreg.services.promotion_decisions import decide, roll_back, sweep_waiting
from fedreg_adapters.memory.standin import VendorError
from fedreg_adapters.memory.standin_faults import Mishap

from .conftest import ACTOR
from .linked import ANNA, BERT, LINK, NAMES, gateway, ref, stages, vendor

__all__ = ["gateway"]


async def test_it_flows_to_every_member_and_copies_what_is_missing(gateway: Gateway) -> None:
    await linking.set_link(gateway, "churn", LINK, actor=ACTOR)
    plan = await promotion.promote(gateway, ref(1), "production", actor=ACTOR, dry_run=True)
    assert [(m.registry, m.action) for m in plan.members] == [
        ("dev", MemberAction.SET),
        ("eu", MemberAction.COPY),
        ("us", MemberAction.COPY),
    ]
    assert await stages(gateway) == {}
    report = await promotion.promote(gateway, ref(1), "production", actor=ACTOR, reason="go")
    assert report.state is IntentState.SUCCEEDED
    assert {o.registry: o.state for o in report.outcomes} == dict.fromkeys(NAMES, MemberState.DONE)
    assert await stages(gateway) == {"dev:1": "production", "eu:1": "production", "us:1": "production"}
    again = await promotion.promote(gateway, ref(1), "production", actor=ACTOR)
    assert not again.changed and again.operation is None


async def test_earlier_holders_give_way_in_every_member_and_a_rollback_puts_them_back(gateway: Gateway) -> None:
    await linking.set_link(gateway, "churn", LINK, actor=ACTOR)
    await promotion.promote(gateway, ref(1), "production", actor=ACTOR)
    first = await stages(gateway)
    report = await promotion.promote(gateway, ref(2), "production", actor=ACTOR)
    assert await stages(gateway) == {
        f"{name}:{version}": stage for name in NAMES for version, stage in ((1, "archived"), (2, "production"))
    }
    assert report.operation
    back = await roll_back(gateway, report.operation, actor=ACTOR)
    assert [one.left for one in back.outcomes] == [(), (), ()]
    assert await stages(gateway) == first
    with pytest.raises(Conflict, match="was taken back by"):
        await roll_back(gateway, report.operation, actor=ACTOR)


async def test_a_member_that_only_follows_is_not_changed_by_itself(gateway: Gateway) -> None:
    await linking.set_link(gateway, "churn", LINK, actor=ACTOR)
    await copy_version(gateway, ref(1), Ref("eu", "churn"), actor=ACTOR)
    with pytest.raises(Conflict, match="follows 'dev:churn' by link 'churn'"):
        await promotion.promote(gateway, ref(1, "eu"), "production", actor=ACTOR)
    assert await stages(gateway) == {}


async def test_members_take_part_in_their_own_stages_only(gateway: Gateway) -> None:
    members = (
        LinkMember(ref="dev:churn", stages=("staging",)),
        LinkMember(ref="eu:churn", stages=("production",)),
        "us:churn",
    )
    await linking.set_link(
        gateway, "churn", replace(LINK, members=members, stages=("staging", "production")), actor=ACTOR
    )
    await promotion.promote(gateway, ref(1), "staging", actor=ACTOR)
    assert await stages(gateway) == {"dev:1": "staging", "us:1": "staging"}
    await promotion.promote(gateway, ref(1), "production", actor=ACTOR)
    assert await stages(gateway) == {"dev:1": "staging", "us:1": "production", "eu:1": "production"}


async def test_what_lacks_the_version_is_skipped_or_refused_as_the_link_says(gateway: Gateway) -> None:
    await linking.set_link(gateway, "churn", replace(LINK, on_missing=OnMissing.FAIL), actor=ACTOR)
    with pytest.raises(Conflict, match="'eu:churn' has no copy of 'dev:churn@version:1'"):
        await promotion.promote(gateway, ref(1), "production", actor=ACTOR)
    await linking.set_link(gateway, "churn", replace(LINK, on_missing=OnMissing.SKIP), actor=ACTOR)
    report = await promotion.promote(gateway, ref(1), "production", actor=ACTOR)
    assert [o.state for o in report.outcomes] == [MemberState.DONE, MemberState.SKIPPED, MemberState.SKIPPED]
    assert await stages(gateway) == {"dev:1": "production"}


async def test_leaving_a_stage_flows_too(gateway: Gateway) -> None:
    await linking.set_link(gateway, "churn", LINK, actor=ACTOR)
    await promotion.promote(gateway, ref(1), "production", actor=ACTOR)
    await promotion.promote(gateway, ref(1), "archived", actor=ACTOR)
    assert await stages(gateway) == dict.fromkeys(("dev:1", "eu:1", "us:1"), "archived")


async def test_aliases_flow(gateway: Gateway) -> None:
    await linking.set_link(gateway, "churn", replace(LINK, aliases=("best",)), actor=ACTOR)
    await edits.set_alias(gateway, ref(1), "best", actor=ACTOR, reason=None)
    await edits.set_alias(gateway, ref(2), "best", actor=ACTOR, reason=None)
    for name in NAMES:
        adapter = await gateway.registries.get(name)
        at = (await adapter.get_model("churn")).aliases["best"]
        assert (await adapter.get_version("churn", at)).description == "two"
    await edits.delete_alias(gateway, Ref("dev", "churn"), "best", actor=ACTOR, reason=None)
    for name in NAMES:
        assert "best" not in (await (await gateway.registries.get(name)).get_model("churn")).aliases


async def test_a_member_that_is_down_gets_its_turn_when_it_answers(
    gateway: Gateway, request: pytest.FixtureRequest
) -> None:
    await linking.set_link(gateway, "churn", LINK, actor=ACTOR)
    await promotion.promote(gateway, ref(1), "production", actor=ACTOR)
    down = Mishap("refuse", "shelf.get", times=2, error=VendorError("down"))
    us = vendor(request, "us")
    us.mishaps.planned.append(down)
    us.mishaps.planned.append(Mishap("refuse", "pointer.set", error=VendorError("down")))
    report = await promotion.promote(gateway, ref(2), "production", actor=ACTOR)
    assert report.state is IntentState.SUCCEEDED
    assert us.mishaps.fired > 0
    assert (await stages(gateway))["us:2"] == "production"


async def test_a_member_that_refuses_leaves_the_others_done_or_takes_all_back(
    gateway: Gateway, request: pytest.FixtureRequest
) -> None:
    await linking.set_link(gateway, "churn", LINK, actor=ACTOR)
    await promotion.promote(gateway, ref(1), "production", actor=ACTOR)
    await copy_version(gateway, ref(2), Ref("eu", "churn"), actor=ACTOR)
    await copy_version(gateway, ref(2), Ref("us", "churn"), actor=ACTOR)
    before = await stages(gateway)
    refusal = Mishap("refuse", "pointer.set", times=0, error=VendorError("not-allowed"))
    vendor(request, "us").mishaps.planned.append(refusal)
    with pytest.raises(FedregError, match=r"1 of the members failed \(us:churn\), the others are done"):
        await promotion.promote(gateway, ref(2), "production", actor=ACTOR)
    assert (await stages(gateway))["eu:2"] == "production"
    await promotion.promote(gateway, ref(1), "archived", actor=ACTOR)  # free the way back
    vendor(request, "us").mishaps.planned.clear()
    await promotion.promote(gateway, ref(1), "production", actor=ACTOR)
    assert {key: value for key, value in (await stages(gateway)).items() if value == "production"} == before
    vendor(request, "us").mishaps.planned.append(refusal)
    held = await stages(gateway)
    await linking.set_link(gateway, "churn", replace(LINK, on_failure=OnFailure.ROLLBACK), actor=ACTOR)
    with pytest.raises(FedregError, match="everything was taken back"):
        await promotion.promote(gateway, ref(2), "production", actor=ACTOR)
    assert await stages(gateway) == held


async def test_a_gate_waits_for_the_right_people(gateway: Gateway) -> None:
    gate = Gate(approvals=2, roles=("approver", "risk"))
    await linking.set_link(gateway, "churn", replace(LINK, gate=gate), actor=ACTOR)
    report = await promotion.promote(gateway, ref(1), "production", actor=ANNA)
    assert (report.state, report.gates[0].approvals, report.gates[0].approvers) == (IntentState.WAITING, 2, ())
    assert await stages(gateway) == {}
    promotion_id = report.operation
    assert promotion_id

    async def approve(actor: Actor, roles: tuple[str, ...]) -> IntentState | None:
        return (await decide(gateway, promotion_id, Decision.APPROVED, actor=actor, roles=roles)).state

    with pytest.raises(Forbidden, match="has asked for it"):
        await approve(ANNA, ("approver",))
    with pytest.raises(Forbidden, match="not authenticated"):
        await approve(ACTOR, ("approver",))
    with pytest.raises(Forbidden, match="none of the roles"):
        await approve(BERT, ("operator",))
    assert await approve(BERT, ("risk",)) is IntentState.WAITING
    assert await approve(BERT, ("risk",)) is IntentState.WAITING  # one person counts once
    carla = Actor(subject="carla", authenticated=True)
    assert await approve(carla, ("approver",)) in (IntentState.PENDING, IntentState.RUNNING, IntentState.SUCCEEDED)
    engine = await gateway.launched_engine()
    await engine.wait(promotion_id)
    assert set((await stages(gateway)).values()) == {"production"}
    told = [one.change.action for one in await list_audit(gateway) if one.change.action.startswith("promotion")]
    assert told == ["promotion_requested", *["promotion_approved"] * 3, "promotion_settled"]


async def test_a_rejected_a_cancelled_and_a_late_one_change_nothing(gateway: Gateway) -> None:
    await linking.set_link(gateway, "churn", replace(LINK, gate=Gate(expires=60)), actor=ACTOR)
    first = await promotion.promote(gateway, ref(1), "production", actor=ANNA)
    assert first.operation
    refused = await decide(gateway, first.operation, Decision.REJECTED, actor=BERT, roles=("approver",), comment="no")
    assert refused.state is IntentState.FAILED
    second = await promotion.promote(gateway, ref(1), "production", actor=ANNA)
    assert second.operation
    await operations.cancel_operation(gateway, second.operation)
    with pytest.raises(Conflict, match="cancelled"):
        await decide(gateway, second.operation, Decision.APPROVED, actor=BERT, roles=("approver",))
    third = await promotion.promote(gateway, ref(1), "production", actor=ANNA)
    assert third.operation
    next_year = gateway.now() + timedelta(days=365)
    gateway.now = lambda: next_year
    await sweep_waiting(gateway)
    assert (await operations.get_operation(gateway, third.operation)).state is IntentState.FAILED
    assert await stages(gateway) == {}


async def test_an_approval_is_void_when_the_version_or_the_plan_changes(gateway: Gateway) -> None:
    await linking.set_link(gateway, "churn", replace(LINK, gate=Gate()), actor=ACTOR)
    waiting = await promotion.promote(gateway, ref(1), "production", actor=ANNA)
    adapter = await gateway.registries.get("dev")
    two = await adapter.get_version("churn", "2")
    await adapter.set_stage(two.id, "production", None)
    assert waiting.operation
    await decide(gateway, waiting.operation, Decision.APPROVED, actor=BERT, roles=("approver",))
    engine = await gateway.launched_engine()
    with pytest.raises(GateClosed, match="the plan has changed since it was approved: member 'dev:churn'"):
        await engine.wait(waiting.operation)
    again = await promotion.promote(gateway, ref(1), "production", actor=ANNA)
    await adapter.delete_version("churn", "1")
    assert again.operation
    await decide(gateway, again.operation, Decision.APPROVED, actor=BERT, roles=("approver",))
    with pytest.raises(NotFound):
        await engine.wait(again.operation)
    assert await stages(gateway) == {"dev:2": "production"}


async def test_rules_refuse_and_are_recorded(gateway: Gateway) -> None:
    rule = Rule(name="tested", expression="version.tags.tested == 'yes' && size(files) == 3")
    await linking.set_link(gateway, "churn", replace(LINK, gate=Gate(approvals=0, rules=(rule,))), actor=ACTOR)
    with pytest.raises(GateClosed, match="rule 'tested' of link 'churn' does not hold"):
        await promotion.promote(gateway, ref(1), "production", actor=ANNA)
    await edits.set_tags(gateway, ref(1), {"tested": "yes"}, (), actor=ACTOR, reason=None)
    report = await promotion.promote(gateway, ref(1), "production", actor=ANNA)
    assert report.state is IntentState.SUCCEEDED
    assert report.gates[0].rules[0].holds and report.gates[0].inputs["version"]["tags"] == {"tested": "yes"}


async def test_a_registrys_own_approval_may_count(gateway: Gateway) -> None:
    await linking.set_link(gateway, "churn", replace(LINK, gate=Gate(native=("dev",))), actor=ACTOR)
    waiting = await promotion.promote(gateway, ref(1), "production", actor=ANNA)
    assert waiting.operation and waiting.state is IntentState.WAITING
    await edits.set_approval(gateway, ref(1), Approval.APPROVED, None, actor=ACTOR, reason=None)
    await sweep_waiting(gateway)
    engine = await gateway.launched_engine()
    await engine.wait(waiting.operation)
    assert (await stages(gateway))["us:1"] == "production"


async def test_two_at_the_same_moment_end_in_one_of_them(gateway: Gateway) -> None:
    await linking.set_link(gateway, "churn", LINK, actor=ACTOR)
    await asyncio.gather(*(promotion.promote(gateway, ref(n), "production", actor=ACTOR) for n in (1, 2)))
    holders = [key.partition(":")[2] for key, stage in (await stages(gateway)).items() if stage == "production"]
    by_text = set()
    for name, number in zip(NAMES, holders, strict=True):
        by_text.add((await (await gateway.registries.get(name)).get_version("churn", number)).description)
    assert len(by_text) == 1
