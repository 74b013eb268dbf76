"""One member of a promotion: brought to what was asked for, or back to what it was. Each may be repeated."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
from sqlalchemy import Connection

from fedreg.domain.errors import FedregError, NotFound, RegistryError
from fedreg.domain.links import BoundLink, ConflictRule
from fedreg.domain.models import Version
from fedreg.domain.promotions import (
    MemberAction,
    MemberOutcome,
    MemberPlan,
    MemberState,
    PromotionPlan,
    to_effect,
)
from fedreg.domain.records import Effect, EffectRole, EffectState, Intent, IntentState
from fedreg.domain.refs import Ref
from fedreg.domain.reports import CopyReport
from fedreg.services import intents as promises
from fedreg.services.applying import apply_effect
from fedreg.services.copy import start_planned
from fedreg.services.copy_plan import plan_copy
from fedreg.services.flow import accepted, plan_live
from fedreg.services.gateway import Gateway
from fedreg.services.links import bound_links
from fedreg.services.selectors import resolve
from fedreg.services.twins import find_twin
from fedreg.services.writes import list_writes, with_holders
from fedreg.store import effects, intents

_SETTLING = 3  # looks for holders that came in from outside meanwhile


def name_of(member: MemberPlan) -> str:
    """The place, as steps and people call it."""
    return f"{member.registry}:{member.model}"


async def bring_member(gateway: Gateway, intent_id: str, member: MemberPlan) -> Any:
    """Make the wish true at one place and say so; what is true already is left alone. Raises what stands in the way."""
    if member.action in (MemberAction.NONE, MemberAction.SKIP):
        state = MemberState.SKIPPED if member.action is MemberAction.SKIP else MemberState.DONE
        return msgspec.to_builtins(_outcome(member, state))
    intent = await promises.get_intent(gateway, intent_id)
    plan = msgspec.convert(intent.plan["promotion"], PromotionPlan)
    link = await _link_of(gateway, plan, member)
    stored = await _list_stored(gateway, intent_id, member)
    if not stored:
        member = await _ready(gateway, intent, plan, member, link)
        stored = await _store(gateway, intent_id, member)
    overwrite = link is None or link.link.conflict is not ConflictRule.MANUAL
    for _ in range(_SETTLING):
        for effect in stored:
            if effect.state is not EffectState.DONE:
                await apply_effect(gateway, effect, overwrite=overwrite and member.link is not None)
        if intent.plan.get("repair"):  # it says itself what is to write
            break
        stored = await _store(gateway, intent_id, await _replan(gateway, plan, member, stored, link))
        if all(effect.state is EffectState.DONE for effect in stored):
            break
    else:
        raise RegistryError(
            f"'{name_of(member)}' does not come to rest: others keep changing it", registry=member.registry
        )
    return msgspec.to_builtins(_outcome(member, MemberState.DONE))


async def revert_member(gateway: Gateway, intent_id: str, member: MemberPlan) -> Any:
    """Take back what was done at one place, the last first; what can't be is told. Raises only what may pass."""
    intent = await promises.get_intent(gateway, intent_id)
    of = intent.plan.get("rollback_of") or intent_id
    done = [one for one in await _list_stored(gateway, of, member) if one.state is EffectState.DONE]

    def plan(tx: Connection) -> list[Effect]:
        return effects.plan_all(tx, intent_id, [_reverse(one, intent_id) for one in reversed(done)])

    left = []
    for effect in await gateway.store.write(plan):
        if effect.state is EffectState.DONE:
            continue
        try:
            await apply_effect(gateway, effect)
        except FedregError as error:
            if error.retryable:
                raise
            left.append({"field": effect.field, "version": effect.version, "error": error.to_dict()})
    state = MemberState.REVERTED if done else MemberState.SKIPPED
    return msgspec.to_builtins(replace(_outcome(member, state), left=tuple(left)))


async def _ready(
    gateway: Gateway, intent: Intent, plan: PromotionPlan, member: MemberPlan, link: BoundLink | None
) -> MemberPlan:
    """The member with its version there and its effects known."""
    if member.action is MemberAction.SET or link is None:
        return member
    at = link.member(*member.place)
    assert at is not None
    source = await resolve(gateway, Ref(plan.registry, plan.model).at_version(plan.version))
    member = await plan_live(gateway, source, plan.wish, link, at)
    if member.action is MemberAction.COPY:
        version = await _copy(gateway, intent, source, member, link)
        demote_to = link.link.gives_way(plan.wish.stage)
        writes = await list_writes(gateway, *member.place, version, plan.wish, demote_to)
        member = replace(member, version=version.version, identity=version.identity, effects=writes)
    return member


async def _copy(gateway: Gateway, intent: Intent, source: Version, member: MemberPlan, link: BoundLink) -> Version:
    """The member's copy of the source: one under way is waited for, one cut off goes on."""
    target = Ref(member.registry, member.model)
    plan = await plan_copy(gateway, source.ref, target, allow_lossy=accepted(link))

    async def note(operation: str) -> None:
        def commit(tx: Connection) -> None:
            current = intents.get(tx, intent.id)
            if current is not None:
                copies = {**current.plan.get("copies", {}), name_of(member): operation}
                intents.set_plan(tx, intent.id, {**current.plan, "copies": copies})

        await gateway.store.write(commit)

    copy = await start_planned(gateway, plan, actor=intent.actor, reason=intent.reason, announce=note)
    if copy.state is not IntentState.SUCCEEDED:
        copy = await promises.wait(gateway, copy.id)
    report = msgspec.convert(copy.result, CopyReport)
    return await resolve(gateway, Ref.parse(report.target))


async def _replan(
    gateway: Gateway, plan: PromotionPlan, member: MemberPlan, stored: list[Effect], link: BoundLink | None
) -> MemberPlan:
    """The member with what is still to write, looked at after its effects."""
    demote_to = link.link.gives_way(plan.wish.stage) if link is not None else None
    finding = _version_there(gateway, plan, member, stored, link)
    version, holders = await with_holders(gateway, *member.place, plan.wish, demote_to, finding)
    writes = await list_writes(gateway, *member.place, version, plan.wish, demote_to, holders=holders)
    return replace(member, effects=writes)


async def _version_there(
    gateway: Gateway, plan: PromotionPlan, member: MemberPlan, stored: list[Effect], link: BoundLink | None
) -> Version | None:
    """The version that the member is to have the wish for: as written, as planned, or its copy where neither tells.

    Raises NotFound where it is gone; None for an alias that is taken away where there is no copy.
    """
    number = next((one.version for one in stored if one.role is EffectRole.SET), member.version)
    if number is not None:
        return await resolve(gateway, Ref(*member.place).at_version(number))
    at = link.member(*member.place) if link is not None else None
    twin = None
    if at is not None:
        source = await resolve(gateway, Ref(plan.registry, plan.model).at_version(plan.version))
        twin = await find_twin(gateway, source, at)
    if twin is None and plan.wish.stage is not None:
        raise NotFound(f"'{name_of(member)}' has no copy of '{plan.source}' any more", registry=member.registry)
    return twin


async def _link_of(gateway: Gateway, plan: PromotionPlan, member: MemberPlan) -> BoundLink | None:
    """The link that brings the wish here; at the place itself, the one that keeps its stage exclusive."""
    found = await bound_links(gateway, *member.place)
    if member.link is not None:
        return next((one for one in found if one.name == member.link), None)
    return next((one for one in found if one.link.gives_way(plan.wish.stage) is not None), None)


async def _list_stored(gateway: Gateway, intent_id: str, member: MemberPlan) -> list[Effect]:
    stored = await gateway.store.read_row(lambda conn: effects.list_effects(conn, intent_id))
    return [one for one in stored if (one.registry, one.model) == member.place and one.role is not EffectRole.REVERT]


async def _store(gateway: Gateway, intent_id: str, member: MemberPlan) -> list[Effect]:
    """The member's effects as rows, all in one commit: before the first write at its registry."""

    def commit(tx: Connection) -> list[Effect]:
        return effects.plan_all(tx, intent_id, [to_effect(member, one, intent_id) for one in member.effects])

    return await gateway.store.write(commit) if member.effects else []


def _reverse(effect: Effect, intent_id: str) -> Effect:
    return replace(
        effect,
        intent_id=intent_id,
        before=effect.after,
        after=effect.before,
        role=EffectRole.REVERT,
        state=EffectState.PLANNED,
    )


def _outcome(member: MemberPlan, state: MemberState) -> MemberOutcome:
    return MemberOutcome(registry=member.registry, model=member.model, state=state, version=member.version)
