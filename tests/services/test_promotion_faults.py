"""A promotion over links, and each thing that goes wrong in the world: what comes of it, one test each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from fedreg.domain.errors import Cancelled, Conflict, FedregError, GateClosed, NotFound, StoreError
from fedreg.domain.links import Gate, Link, OnMissing
from fedreg.domain.promotions import PromotionPlan
from fedreg.domain.records import Actor, Decision, IntentState, RequestKey
from fedreg.domain.refs import Ref
from fedreg.services import edits, links, operations
from fedreg.services import intents as promises
from fedreg.services.copy import copy_version
from fedreg.services.gateway import Gateway
from fedreg.services.promotion import promote
from fedreg.services.promotion_decisions import decide
from fedreg.services.promotion_members import bring_member
from fedreg.store import intents as intent_rows
from fedreg_adapters.memory.standin import VendorError
from fedreg_adapters.memory.standin_faults import Mishap

from .conftest import make_version
from .promotion_world import ANNA, MODEL, NAMES, World

BERT = Actor(subject="bert", authenticated=True)
LINK = Link(members=tuple(f"{name}:{MODEL}" for name in NAMES), authority="dev", on_missing=OnMissing.COPY)
FIRST, SECOND = "version 1", "version 2"
AFTER = {name: {FIRST: "archived", SECOND: "production"} for name in NAMES}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """Version 1 in production everywhere, version 2 copied to the second member and missing at the third."""
    made = World(tmp_path)
    gateway = await made.open(versions=2)
    await links.set_link(gateway, "churn", LINK, actor=ANNA)
    await promote(gateway, ref(1), "production", actor=ANNA)
    await copy_version(gateway, ref(2), Ref("eu", MODEL), actor=ANNA)
    yield made
    await made.check([LINK])
    await made.aclose()


def ref(version: int, registry: str = "dev") -> Ref:
    return Ref(registry, MODEL).at_version(str(version))


async def started(gateway: Gateway, version: int = 2) -> str:
    """A promotion under way."""
    report = await promote(gateway, ref(version), "production", actor=ANNA, wait=False)
    assert report.operation is not None
    return report.operation


async def until(world: World, operation: str, name: str, state: str) -> None:
    """Wait until a member is in a state, and the others have had their turn."""
    engine = await world.gateway.launched_engine()
    while True:
        progress = (await engine.status(operation)).progress or {"members": []}
        states = {one["registry"]: one["state"] for one in progress["members"]}
        if states.get(name) == state and "pending" not in states.values():
            return
        await asyncio.sleep(0.005)


async def told(world: World, operation: str) -> list[str]:
    """The changes of stages that the journal has of an operation, in any order."""
    found = [change for _, change in await world.entries() if change.intent_id == operation]
    return sorted(f"{one.registry} {one.version} {one.after}" for one in found if one.action == "stage_set")


async def test_a_member_that_is_down_gets_there_when_it_is_back(world: World) -> None:
    world.trouble("us", "down")
    operation = await started(world.gateway)
    await until(world, operation, "us", "retrying")
    stages = await _without(world, "us")
    assert stages == {name: AFTER[name] for name in ("dev", "eu")}
    world.heal("us")
    await promises.wait(world.gateway, operation)
    assert await world.stages() == AFTER


@pytest.mark.parametrize("kind", ["lost_reply", "late_apply", "busy"])
@pytest.mark.parametrize("name", NAMES)
async def test_a_reply_that_is_lost_a_write_that_comes_late_a_registry_that_throttles(
    world: World, name: str, kind: str
) -> None:
    world.trouble(name, kind)
    operation = await started(world.gateway)
    await promises.wait(world.gateway, operation)
    assert world.vendor(name).mishaps.fired > 0
    world.heal(name)  # what was held is applied now: it changes nothing any more
    assert await world.stages() == AFTER
    assert await told(world, operation) == sorted(
        f"{registry} {version} {stage}" for registry in NAMES for version, stage in ((1, "archived"), (2, "production"))
    )


async def test_a_member_that_needs_a_demotion_only_keeps_the_version_that_is_there(world: World) -> None:
    """It was down when planned, and its first write is refused: it is looked at again with its rows stored."""
    await world.set_outside("eu", SECOND, "production")
    await world.observe()
    world.trouble("eu", "down")
    operation = await started(world.gateway)
    await until(world, operation, "eu", "retrying")
    mishaps = world.vendor("eu").mishaps
    mishaps.planned[:] = [Mishap("refuse", "release.phase", error=VendorError("busy", wait=0.01))]
    await promises.wait(world.gateway, operation)
    assert mishaps.fired > 0
    assert await world.stages() == AFTER
    assert [one for one in await told(world, operation) if one.startswith("eu")] == ["eu 1 archived"]


async def test_a_copy_that_is_cut_off_goes_on(world: World) -> None:
    cuts = [Mishap("reset", "blob.put"), Mishap("lost_reply", "release.publish")]
    world.vendor("us").mishaps.planned += cuts
    await promises.wait(world.gateway, await started(world.gateway))
    assert world.vendor("us").mishaps.fired == 2
    assert await world.stages() == AFTER
    assert len(await world.list_versions("us")) == 2


async def test_two_people_at_the_same_moment_end_in_one_of_them(world: World) -> None:
    ways = [promote(world.gateway, ref(version), "production", actor=who) for version, who in ((1, ANNA), (2, BERT))]
    await asyncio.gather(*ways)
    found = await world.stages()
    holders = {description for held in found.values() for description, stage in held.items() if stage == "production"}
    assert len(holders) == 1 and all("production" in held.values() for held in found.values())


async def test_two_links_that_share_a_member_reach_all_and_write_it_once(world: World) -> None:
    await links.set_link(world.gateway, "churn", replace(LINK, members=LINK.members[:2]), actor=ANNA)
    other = replace(LINK, members=("eu:churn", "us:churn"), authority="eu")
    await links.set_link(world.gateway, "onwards", other, actor=ANNA)
    operation = await started(world.gateway)
    await promises.wait(world.gateway, operation)
    assert await world.stages() == AFTER
    assert len(await told(world, operation)) == 6
    await links.delete_link(world.gateway, "onwards", actor=ANNA)


async def test_links_of_two_people_do_not_stop_each_other(world: World) -> None:
    """Two promotions that claim the same models in another order both end."""
    await make_version(world.gateway, "eu", "other", description="other")
    both = Link(members=("eu:other", "us:churn"), authority="eu", on_missing=OnMissing.COPY)
    await links.set_link(world.gateway, "crossing", both, actor=ANNA)
    ways = [promote(world.gateway, at, "production", actor=ANNA) for at in (ref(2), Ref("eu", "other").at_version("1"))]
    await asyncio.wait_for(asyncio.gather(*ways), 60)
    assert list((await world.stages())["us"].values()).count("production") == 1
    await links.delete_link(world.gateway, "crossing", actor=ANNA)


async def test_an_approval_and_a_cancel_at_once_end_in_one_of_them(world: World) -> None:
    await links.set_link(world.gateway, "churn", replace(LINK, gate=Gate()), actor=ANNA)
    operation = await started(world.gateway)
    approving = decide(world.gateway, operation, Decision.APPROVED, actor=BERT, roles=("approver",))
    cancelling = operations.cancel_operation(world.gateway, operation)
    await asyncio.gather(approving, cancelling, return_exceptions=True)
    await world.wait()
    state = (await promises.get_intent(world.gateway, operation)).state
    assert state in (IntentState.CANCELLED, IntentState.SUCCEEDED)
    if state is IntentState.SUCCEEDED:
        assert await world.stages() == AFTER
    else:
        await world.observe()
        await promises.wait(world.gateway, await _again(world, operation))
        assert await world.stages() == AFTER


async def test_a_running_one_is_cancelled_and_leaves_nothing_behind(world: World) -> None:
    world.trouble("us", "down")
    operation = await started(world.gateway)
    cancelled = await operations.cancel_operation(world.gateway, operation)
    assert cancelled.state is IntentState.CANCELLED
    world.heal("us")
    await links.set_link(world.gateway, "churn", LINK, actor=ANNA)
    await promote(world.gateway, ref(2), "production", actor=ANNA)
    assert await world.stages() == AFTER


async def test_a_cancelled_one_writes_no_more(world: World) -> None:
    """Its steps go on for a moment; by then somebody else may have the models."""
    world.trouble("eu", "down")
    operation = await started(world.gateway)
    await until(world, operation, "eu", "retrying")
    await operations.cancel_operation(world.gateway, operation)
    world.heal("eu")
    intent = await promises.get_intent(world.gateway, operation)
    plan = msgspec.convert(intent.plan["promotion"], PromotionPlan)
    late = next(member for member in plan.members if member.registry == "eu")
    with pytest.raises(Cancelled, match="has cancelled"):
        await bring_member(world.gateway, operation, late)
    assert (await world.stages())["eu"] == {FIRST: "production"}


async def test_the_same_key_is_the_same_promotion_and_no_other(world: World) -> None:
    def key(body: str) -> RequestKey:
        return RequestKey(actor="anna", key="k", fingerprint=body)

    ways = [promote(world.gateway, ref(2), "production", actor=ANNA, key=key("two")) for _ in range(3)]
    reports = await asyncio.gather(*ways)
    assert len({one.operation for one in reports}) == 1
    with pytest.raises(Conflict, match="was used for another request"):
        await promote(world.gateway, ref(1), "production", actor=ANNA, key=key("one"))
    assert await world.stages() == AFTER


@pytest.mark.parametrize(("name", "refusal"), [("dev", NotFound), ("eu", GateClosed)])
async def test_a_version_made_again_under_its_name_is_not_what_was_approved(
    world: World, name: str, refusal: type[FedregError]
) -> None:
    await links.set_link(world.gateway, "churn", replace(LINK, gate=Gate()), actor=ANNA)
    operation = await started(world.gateway)
    before = {each: held.get(SECOND) for each, held in (await world.stages()).items()}
    releases = world.vendor(name).shelves[MODEL]["releases"]
    releases[2] = {**releases[2], "uid": "another"}
    await decide(world.gateway, operation, Decision.APPROVED, actor=BERT, roles=("approver",))
    with pytest.raises(refusal, match=r"is not the one that was to be promoted|member 'eu:churn' is not as it was"):
        await promises.wait(world.gateway, operation)
    assert {each: held.get(SECOND) for each, held in (await world.stages()).items()} == before
    await world.observe()


async def test_a_store_that_is_full_for_a_while_holds_it_up_only(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its rows can't be written: tried again until they can. The registries were written once all the same."""
    write, fails = world.gateway.store.write, 12

    async def full(run: object) -> object:
        nonlocal fails
        fails -= 1
        if fails >= 0 and fails % 2:
            raise StoreError("the store could not do its work: database or disk is full")
        return await write(run)  # type: ignore[arg-type]

    operation = await started(world.gateway)
    monkeypatch.setattr(world.gateway.store, "write", full)
    try:
        await promises.wait(world.gateway, operation)
    except StoreError:
        monkeypatch.undo()
        await promises.reconcile(world.gateway)  # as a gateway does at its start and every minute
        await promises.wait(world.gateway, operation)
    assert await world.stages() == AFTER


async def test_what_was_cancelled_by_a_process_that_died_over_it_ends(world: World) -> None:
    """The engine knows of the cancel, the store does not: the claims would be held for ever."""
    world.trouble("us", "down")
    operation = await started(world.gateway)
    engine = await world.gateway.launched_engine()
    await engine.cancel(operation)
    world.heal("us")
    await promote(world.gateway, ref(2), "production", actor=ANNA)  # it meets the claims
    assert (await promises.get_intent(world.gateway, operation)).state is IntentState.CANCELLED
    assert await world.stages() == AFTER


async def test_an_intent_without_workflow_in_the_way_is_started(world: World) -> None:
    """A process has died between the promise and its start, and no gateway has been opened since."""
    operation = await started(world.gateway)
    await promises.wait(world.gateway, operation)
    promised = await promises.get_intent(world.gateway, operation)
    await promote(world.gateway, ref(1), "production", actor=ANNA)
    stuck = replace(promised, id="promotion-stuck", state=IntentState.RUNNING, plan={**promised.plan, "prepared": None})
    await world.gateway.store.write(lambda tx: intent_rows.create(tx, stuck))
    await promises.reconcile(world.gateway)
    await promises.wait(world.gateway, stuck.id)
    assert await world.stages() == AFTER


async def test_an_alias_flows_over_a_lost_reply(world: World) -> None:
    await links.set_link(world.gateway, "churn", replace(LINK, aliases=("best",)), actor=ANNA)
    world.vendor("eu").mishaps.planned.append(Mishap("lost_reply", "pointer.set"))
    world.vendor("us").mishaps.planned.append(Mishap("refuse", "pointer.set", error=VendorError("down")))
    await edits.set_alias(world.gateway, ref(2), "best", actor=ANNA, reason=None)
    for name in NAMES:
        adapter = await world.gateway.registries.get(name)
        at = (await adapter.get_model(MODEL)).aliases["best"]
        assert (await adapter.get_version(MODEL, at)).description == SECOND


async def _without(world: World, name: str) -> dict[str, dict[str, str]]:
    found = {}
    for each in NAMES:
        if each != name:
            versions = await world.list_versions(each)
            found[each] = {one.description or "": one.stage for one in versions if one.stage != "none"}
    return found


async def _again(world: World, operation: str) -> str:
    """The same promotion, asked for anew and approved."""
    again = await started(world.gateway)
    assert again != operation
    await decide(world.gateway, again, Decision.APPROVED, actor=BERT, roles=("approver",))
    return again
