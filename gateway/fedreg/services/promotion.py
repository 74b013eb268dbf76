"""Promotion: any write that changes a stage, or an alias that flows over a link. Every door leads here.

Where no link concerns it, it is one effect and done at once. Else it is planned over all members, may wait at a gate,
and is carried out by `promotion_run`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import msgspec
from sqlalchemy import Connection

from fedreg.domain.errors import Conflict, PreconditionFailed
from fedreg.domain.links import BoundLink
from fedreg.domain.models import Version, VersionStatus
from fedreg.domain.promotions import GateView, MemberAction, MemberOutcome, PromotionPlan, PromotionReport, Wish
from fedreg.domain.records import Actor, Intent, IntentKind, IntentState, RequestKey
from fedreg.domain.refs import Ref
from fedreg.domain.stages import NONE, parse_stage
from fedreg.services import intents as promises
from fedreg.services.changes import apply_change, plan_effect
from fedreg.services.effects import held_by_gateway, name_holder
from fedreg.services.flow import list_concerned, plan_flow
from fedreg.services.gates import open_gates, with_approvers
from fedreg.services.gateway import Gateway
from fedreg.services.promotion_intents import make_intent, requested_change
from fedreg.services.selectors import resolve
from fedreg.services.writes import list_holders
from fedreg.store import journal, requests


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks for a promotion, and how."""

    actor: Actor
    reason: str | None = None
    key: RequestKey | None = None
    dry_run: bool = False
    wait: bool = True


async def promote(
    gateway: Gateway,
    ref: Ref,
    stage: str,
    *,
    actor: Actor,
    reason: str | None = None,
    expected: str | None = None,
    dry_run: bool = False,
    wait: bool = True,
    key: RequestKey | None = None,
) -> PromotionReport:
    """Give the version a stage, and with `wait` wait until it holds everywhere, or waits for approval itself.

    A `key` that has started a promotion gives that one's report. Raises NotFound, InvalidRequest, Conflict for a
    version that is not ready and for a place that only follows, PreconditionFailed where its stage is not `expected`,
    GateClosed where a rule does not hold.
    """
    parse_stage(stage)
    requested = await promises.find_requested(gateway, key)
    if requested is not None:
        return await _await(gateway, requested, wait=wait)
    version = await resolve(gateway, ref, for_write=True)
    _check(version, expected)
    wish = Wish(field="stage", value=stage)
    report = await _preview(gateway, version, stage)
    links = await list_concerned(gateway, version, wish)
    if links:
        asked = Asked(actor, reason, key, dry_run=dry_run, wait=wait)
        return await _promote_linked(gateway, version, wish, links, report, asked)
    if dry_run or not report.changed:
        return report
    effect = plan_effect(version.registry, version.model, "stage", version.stage, stage, version)
    plan = {"ref": report.ref, "stage": stage, "report": msgspec.to_builtins(report)}
    kind = IntentKind.PROMOTION
    made = await apply_change(gateway, [effect], actor=actor, reason=reason, kind=kind, plan=plan, key=key)
    return await report_of(gateway, made)


async def move_alias(
    gateway: Gateway, version: Version, alias: str, value: bool | None, *, actor: Actor, reason: str | None
) -> Intent | None:
    """Set or take away an alias that flows over links; None where none concerns it. Raises what `promote` raises."""
    wish = Wish(field=f"alias:{alias}", value=value)
    links = await list_concerned(gateway, version, wish)
    if not links:
        return None
    report = PromotionReport(
        ref=str(version.ref),
        stage_before=version.stage,
        stage=version.stage,
        held_by="alias",
        holders_before=(),
        shared_with=(),
        changed=True,
    )
    done = await _promote_linked(gateway, version, wish, links, report, Asked(actor, reason))
    return None if done.operation is None else await promises.get_intent(gateway, done.operation)


async def report_of(gateway: Gateway, intent: Intent) -> PromotionReport:
    """What a promotion is, as its intent tells it now."""
    report = replace(msgspec.convert(intent.plan["report"], PromotionReport), operation=intent.id, state=intent.state)
    result = intent.result or {}
    outcomes = msgspec.convert(result.get("outcomes", ()), tuple[MemberOutcome, ...])
    gates = msgspec.convert(intent.plan.get("gates", ()), tuple[GateView, ...])
    if gates and intent.state in (IntentState.WAITING, IntentState.PENDING):
        plan = msgspec.convert(intent.plan["promotion"], PromotionPlan)
        gates = await with_approvers(gateway, gates, intent, plan)
    return replace(report, outcomes=outcomes, gates=gates)


def _check(version: Version, expected: str | None) -> None:
    if version.status is not VersionStatus.READY:
        raise Conflict(
            f"version '{version.ref}' is {version.status.value}, not ready",
            registry=version.registry,
            cure="only ready versions are promoted; wait for it, or look at its status message",
        )
    if expected is not None and version.stage != expected:
        raise PreconditionFailed(
            f"stage of '{version.ref}' is {version.stage!r}, not {expected!r}",
            registry=version.registry,
            cure="read it again and decide anew",
        )


async def _promote_linked(
    gateway: Gateway, version: Version, wish: Wish, links: list[BoundLink], report: PromotionReport, asked: Asked
) -> PromotionReport:
    plan = await plan_flow(gateway, version, wish, links)
    gates = await open_gates(gateway, links, version, wish, asked.actor)
    changed = any(member.action not in (MemberAction.NONE, MemberAction.SKIP) for member in plan.members)
    exclusive = any(link.link.gives_way(wish.stage) is not None for link in links)
    report = replace(
        report,
        changed=changed,
        shared_with=() if exclusive else report.shared_with,
        links=tuple(link.name for link in links),
        members=plan.members,
        gates=gates,
    )
    if asked.dry_run or not changed:
        return report
    intent = make_intent(gateway, plan, report, actor=asked.actor, reason=asked.reason)
    if any(gate.waits for gate in await with_approvers(gateway, gates, intent, plan)):
        intent = replace(intent, state=IntentState.WAITING)
    stored = await _store(gateway, intent, asked.key)
    if stored.state is IntentState.PENDING:
        await promises.start(gateway, stored)
    return await _await(gateway, stored, wait=asked.wait)


async def _store(gateway: Gateway, intent: Intent, key: RequestKey | None) -> Intent:
    """The intent and its journal entry, together; the one that the key has started already instead."""

    def commit(tx: Connection) -> Intent:
        stored = requests.create_intent(tx, intent, key, intent.created_at)
        if stored.id == intent.id:
            journal.append(tx, requested_change(intent), intent.created_at)
        return stored

    return await gateway.store.write(commit)


async def _await(gateway: Gateway, intent: Intent, *, wait: bool) -> PromotionReport:
    """Its report, with `wait` when it has ended; one that waits for approval is told as it is."""
    if intent.state is not IntentState.WAITING and (wait or "promotion" not in intent.plan):
        intent = await promises.wait(gateway, intent.id)
    return await report_of(gateway, intent)


async def _preview(gateway: Gateway, version: Version, stage: str) -> PromotionReport:
    adapter = await gateway.registries.get(version.registry)
    others: tuple[str, ...] = ()
    if stage != NONE:
        holding = await list_holders(gateway, adapter, version.model, stage)
        others = tuple(v.version for v in holding if v.identity != version.identity)
    support = adapter.capabilities.stage_support(stage)
    moves = support is not None and support.exclusive and not held_by_gateway(adapter.capabilities, "stage", stage)
    return PromotionReport(
        ref=str(version.ref),
        stage_before=version.stage,
        stage=stage,
        held_by=name_holder(adapter.capabilities, stage),
        holders_before=others,
        shared_with=() if moves else others,
        changed=version.stage != stage,
    )
