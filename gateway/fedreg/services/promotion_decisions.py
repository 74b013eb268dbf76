"""What people say of a promotion: approved, rejected, taken back."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import msgspec
from sqlalchemy import Connection

from fedreg.domain.errors import Conflict, Forbidden, GateClosed, NotFound
from fedreg.domain.models import Version
from fedreg.domain.promotions import GateView, MemberAction, MemberPlan, PromotionPlan, PromotionReport, Wish
from fedreg.domain.records import (
    ENDED,
    Actor,
    ApprovalRecord,
    Change,
    Decision,
    Effect,
    EffectRole,
    EffectState,
    Intent,
    IntentKind,
    IntentState,
)
from fedreg.services import intents as promises
from fedreg.services.gates import with_approvers
from fedreg.services.gateway import Gateway
from fedreg.services.promotion import report_of
from fedreg.services.promotion_intents import end_failed, make_intent, requested_change
from fedreg.store import approvals, effects, intents, journal


async def get_promotion(gateway: Gateway, promotion_id: str) -> Intent:
    """Raises NotFound, also for an operation of another kind."""
    intent = await promises.get_intent(gateway, promotion_id)
    if intent.kind is not IntentKind.PROMOTION:
        raise NotFound(
            f"promotion {promotion_id!r} does not exist", cure="`fedreg promotions list` shows what there is"
        )
    return intent


async def decide(
    gateway: Gateway,
    promotion_id: str,
    decision: Decision,
    *,
    actor: Actor,
    roles: Collection[str],
    comment: str | None = None,
) -> PromotionReport:
    """Approve a promotion that waits, or reject it. The last approval that is needed starts it.

    Raises Forbidden for who is not authenticated, has asked for it, or has no role that counts; Conflict where it
    does not wait; GateClosed where its time is over.
    """
    intent = await get_promotion(gateway, promotion_id)
    if intent.state is not IntentState.WAITING:
        raise Conflict(f"promotion {promotion_id!r} is {intent.state.value}: it waits for nobody", cure="look at it")
    if await expire(gateway, intent):
        raise GateClosed(f"promotion {promotion_id!r} has waited too long", cure="promote again")
    gates = msgspec.convert(intent.plan["gates"], tuple[GateView, ...])
    _check_person(intent, gates, actor, roles)
    record = ApprovalRecord(
        intent_id=intent.id,
        actor=actor.subject,
        decision=decision,
        fingerprint=intent.plan["fingerprint"],
        roles=tuple(sorted(roles)),
        comment=comment,
        decided_at=gateway.now(),
    )

    def commit(tx: Connection) -> None:
        current = intents.get(tx, intent.id)
        if current is None or current.state is not IntentState.WAITING:
            raise Conflict(f"promotion {promotion_id!r} does not wait any more", cure="look at it")
        approvals.set_approval(tx, record)
        journal.append(tx, _decided(intent, record, actor), record.decided_at)
        if decision is Decision.REJECTED:
            refused = GateClosed(f"rejected by {actor.subject!r}" + (f": {comment}" if comment else ""))
            end_failed(tx, intent, refused, record.decided_at)

    await gateway.store.write(commit)
    await start_if_open(gateway, intent)
    return await report_of(gateway, await promises.get_intent(gateway, promotion_id))


async def start_if_open(gateway: Gateway, intent: Intent) -> bool:
    """Start a waiting promotion whose gates are all open by now; whether it was started."""
    plan = msgspec.convert(intent.plan["promotion"], PromotionPlan)
    gates = msgspec.convert(intent.plan["gates"], tuple[GateView, ...])
    if any(gate.waits for gate in await with_approvers(gateway, gates, intent, plan)):
        return False

    def commit(tx: Connection) -> bool:
        current = intents.get(tx, intent.id)
        if current is None or current.state is not IntentState.WAITING:
            return False
        intents.set_state(tx, intent.id, IntentState.PENDING, now=gateway.now())
        return True

    if not await gateway.store.write(commit):
        return False
    await promises.start(gateway, replace(intent, state=IntentState.PENDING))
    return True


async def sweep_waiting(gateway: Gateway) -> None:
    """End what has waited too long, and start what a registry's own approval has opened."""
    for intent in await _list_waiting(gateway):
        if not await expire(gateway, intent):
            await start_if_open(gateway, intent)


async def start_approved(gateway: Gateway, version: Version) -> None:
    """The same after a decision at a registry, for promotions whose gates count it; the others are not looked at."""
    for intent in await _list_waiting(gateway):
        if _counts(intent, version) and not await expire(gateway, intent):
            await start_if_open(gateway, intent)


async def _list_waiting(gateway: Gateway) -> list[Intent]:
    found: list[Intent] = await gateway.store.read(
        lambda conn: intents.list_intents(conn, states=(IntentState.WAITING,), limit=10_000)
    )
    return found


def _counts(intent: Intent, version: Version) -> bool:
    """Whether a registry's approval of this version may open a gate of this promotion."""
    plan = intent.plan["promotion"]
    places = [plan, *plan["members"]]
    asked = any(version.registry in gate["native"] for gate in intent.plan["gates"])
    return asked and any((at["registry"], at["identity"]) == (version.registry, version.identity) for at in places)


async def expire(gateway: Gateway, intent: Intent) -> bool:
    """End a promotion that has waited too long; whether it had."""
    gates = msgspec.convert(intent.plan["gates"], tuple[GateView, ...])
    now = gateway.now()
    if not any(gate.expires_at is not None and gate.expires_at <= now for gate in gates):
        return False
    late = GateClosed("not approved in time", cure="promote again")

    def commit(tx: Connection) -> None:
        current = intents.get(tx, intent.id)
        if current is not None and current.state is IntentState.WAITING:
            end_failed(tx, intent, late, now)

    await gateway.store.write(commit)
    return True


async def roll_back(
    gateway: Gateway, promotion_id: str, *, actor: Actor, reason: str | None = None, wait: bool = True
) -> PromotionReport:
    """Take an ended promotion back: every value as it was before, in every member; copied versions stay.

    What can't be taken back is told (`outcomes[].left`). One that failed, since a member did not answer in time, can be
    repeated. Raises Conflict where the promotion has not ended, has changed nothing, or was taken back already.
    """
    intent = await get_promotion(gateway, promotion_id)
    if intent.state not in ENDED:
        raise Conflict(
            f"promotion {promotion_id!r} is {intent.state.value}", cure="cancel it first, or wait for its end"
        )
    done = [
        one
        for one in await gateway.store.read(lambda conn: effects.list_effects(conn, promotion_id))
        if one.state is EffectState.DONE and one.role is not EffectRole.REVERT
    ]
    if not done:
        raise Conflict(f"promotion {promotion_id!r} has changed nothing", cure="there is nothing to take back")
    planned = _rollback_intent(gateway, intent, done, actor, reason)

    def commit(tx: Connection) -> Intent:
        back = replace(planned, id=_next_rollback(tx, promotion_id))
        intents.create(tx, back)
        journal.append(tx, requested_change(back), back.created_at)
        return back

    back: Intent = await gateway.store.write(commit)
    await promises.start(gateway, back)
    if wait:
        await promises.wait(gateway, back.id)
    return await report_of(gateway, await promises.get_intent(gateway, back.id))


def _next_rollback(tx: Connection, promotion_id: str) -> str:
    """The id of a new rollback, after those that came to nothing. Raises Conflict for one that has not."""
    turn, wanted = 1, f"{promotion_id}-rollback"
    while (earlier := intents.get(tx, wanted)) is not None:
        if earlier.state not in (IntentState.FAILED, IntentState.CANCELLED):
            raise Conflict(f"promotion {promotion_id!r} was taken back by {earlier.id!r}", cure="look at that one")
        turn += 1
        wanted = f"{promotion_id}-rollback-{turn}"
    return wanted


def _rollback_intent(gateway: Gateway, intent: Intent, done: list[Effect], actor: Actor, reason: str | None) -> Intent:
    report = msgspec.convert(intent.plan["report"], PromotionReport)
    places = dict.fromkeys((one.registry, one.model) for one in done)
    first = done[0]
    members = tuple(MemberPlan(registry=at[0], model=at[1], action=MemberAction.SET) for at in places)
    plan = PromotionPlan(
        source=report.ref,
        registry=first.registry,
        model=first.model,
        version=first.version or str(first.after or first.before),
        identity=first.identity or "",
        digest=None,
        wish=Wish(field=first.field, value=first.before),
        members=members,
    )
    shown = replace(
        report, stage=report.stage_before, stage_before=report.stage, members=members, gates=(), holders_before=()
    )
    return make_intent(
        gateway,
        plan,
        shown,
        actor=actor,
        reason=reason,
        rollback_of=intent.id,
    )


def _check_person(intent: Intent, gates: tuple[GateView, ...], actor: Actor, roles: Collection[str]) -> None:
    if not actor.authenticated:
        raise Forbidden(
            f"{actor.subject!r} is not authenticated and can't decide on a promotion",
            cure="use a gateway with a token of your own (--url, FEDREG_TOKEN)",
        )
    if actor.subject == intent.actor.subject:
        raise Forbidden(f"{actor.subject!r} has asked for it and can't decide on it", cure="ask somebody else")
    wanted = sorted({role for gate in gates for role in gate.roles})
    if not set(roles) & set(wanted):
        raise Forbidden(
            f"{actor.subject!r} has none of the roles that count here: {', '.join(wanted)}",
            cure="ask somebody who has, or see auth.tokens",
        )


def _decided(intent: Intent, record: ApprovalRecord, actor: Actor) -> Change:
    asked = requested_change(intent)
    return replace(
        asked,
        action=f"promotion_{record.decision.value}",
        actor=actor,
        after={"fingerprint": record.fingerprint, "roles": list(record.roles), "comment": record.comment},
        reason=record.comment,
    )
