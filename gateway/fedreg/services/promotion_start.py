"""The beginning of a promotion: its models claimed, its plan made again and held against what was approved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection

from fedreg.domain.errors import GateClosed, NotFound
from fedreg.domain.links import BoundLink, OnFailure
from fedreg.domain.models import Version, VersionStatus
from fedreg.domain.promotions import GateView, MemberAction, MemberPlan, PromotionPlan, to_effect
from fedreg.domain.records import ENDED, Intent, IntentState
from fedreg.domain.refs import Ref
from fedreg.services.claiming import until_free
from fedreg.services.flow import list_concerned, plan_flow
from fedreg.services.gates import open_gates, with_approvers
from fedreg.services.gateway import Gateway
from fedreg.services.selectors import resolve
from fedreg.store import claims, effects, intents


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What the members are to do. `takes_back`: a member that fails undoes all. `rollback_of`: effects are undone."""

    members: tuple[MemberPlan, ...]
    takes_back: bool = False
    rollback_of: str | None = None


async def prepare(gateway: Gateway, intent_id: str) -> Any:
    """Claim every place, plan again, check the gate again; a `Start` as JSON values, None where nothing is to do.

    Waits for other promotions of these models. Raises GateClosed where the plan is not the one that was approved, a
    rule does not hold any more, or approvals are missing; NotFound where the version is another one by now.
    """
    intent = await _begin(gateway, intent_id)
    if intent is None:
        return None
    planned = msgspec.convert(intent.plan["promotion"], PromotionPlan)
    if intent.plan.get("rollback_of"):
        return msgspec.to_builtins(Start(members=planned.members, rollback_of=intent.plan["rollback_of"]))
    if intent.plan.get("repair"):
        return msgspec.to_builtins(Start(members=planned.members))
    if intent.plan.get("prepared"):
        return intent.plan["prepared"]
    source = await _source(gateway, planned)
    links = await list_concerned(gateway, source, planned.wish)
    plan = await plan_flow(gateway, source, planned.wish, links)
    gates = await _check_gates(gateway, intent, planned, plan, links, source)
    takes_back = any(link.link.on_failure is OnFailure.ROLLBACK for link in links)
    start = msgspec.to_builtins(Start(members=plan.members, takes_back=takes_back))
    final = {**intent.plan, "prepared": start, "gates": msgspec.to_builtins(gates)}
    members = [member for member in plan.members if member.action is MemberAction.SET]  # a copy's are not known yet
    known = [to_effect(member, one, intent_id) for member in members for one in member.effects]

    def commit(tx: Connection) -> None:
        intents.set_plan(tx, intent_id, final)
        effects.plan_all(tx, intent_id, known)

    await gateway.store.write(commit)
    return start


async def _begin(gateway: Gateway, intent_id: str) -> Intent | None:
    """The intent, running and with its claims; None where it has ended."""

    def begin(tx: Connection) -> tuple[str | None, Intent | None]:
        intent = intents.get(tx, intent_id)
        if intent is None or intent.state in ENDED or intent.state is IntentState.WAITING:
            return None, None
        plan = msgspec.convert(intent.plan["promotion"], PromotionPlan)
        places = {(plan.registry, plan.model), *(member.place for member in plan.members)}
        holder = claims.take(tx, intent_id, places)
        if holder is None and intent.state is not IntentState.RUNNING:
            intent = intents.set_state(tx, intent_id, IntentState.RUNNING, now=gateway.now())
        return holder, intent

    [intent] = await until_free(gateway, lambda: gateway.store.write(begin), patience=None)
    found: Intent | None = intent
    return found


async def _source(gateway: Gateway, planned: PromotionPlan) -> Version:
    """The version as it is now. Raises NotFound where it was deleted, or made again under the same name."""
    source = await resolve(gateway, Ref(planned.registry, planned.model).at_version(planned.version), for_write=True)
    if source.identity != planned.identity or source.status is not VersionStatus.READY:
        raise NotFound(
            f"version '{planned.source}' is not the one that was to be promoted any more",
            registry=planned.registry,
            cure="look at it, and promote again",
        )
    return source


async def _check_gates(
    gateway: Gateway,
    intent: Intent,
    planned: PromotionPlan,
    plan: PromotionPlan,
    links: list[BoundLink],
    source: Version,
) -> tuple[GateView, ...]:
    """The gates as they are now, open. Raises GateClosed."""
    gates = await open_gates(gateway, links, source, planned.wish, intent.actor)
    asked = msgspec.convert(intent.plan["gates"], tuple[GateView, ...])
    if not gates and not asked:
        return ()
    changed = plan.differs_from(planned) if any(gate.approvals for gate in gates) else None
    if changed is not None:
        raise GateClosed(
            f"the plan has changed since it was approved: {changed}",
            registry=planned.registry,
            cure="promote again, and have that approved",
        )
    gates = await with_approvers(gateway, gates, intent, planned)
    waiting = [gate for gate in gates if gate.waits]
    if waiting:
        raise GateClosed(
            f"the gate of link {waiting[0].link!r} needs {waiting[0].approvals} approvals,"
            f" it has {len(waiting[0].approvers)}",
            registry=planned.registry,
            cure="promote again, and have it approved",
        )
    return gates
