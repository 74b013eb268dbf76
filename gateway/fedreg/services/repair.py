"""Repair: promotions that bring members of a link back to its rule."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import groupby

from sqlalchemy import Connection

from fedreg.domain.drift import DriftRow, Problem, RepairReport
from fedreg.domain.errors import GateClosed
from fedreg.domain.links import BoundLink
from fedreg.domain.models import Version
from fedreg.domain.promotions import MemberAction, MemberPlan, PlannedEffect, PromotionPlan, PromotionReport, Wish
from fedreg.domain.records import Actor, EffectRole, Intent
from fedreg.domain.refs import Ref
from fedreg.services import intents as promises
from fedreg.services.drift import list_drift
from fedreg.services.flow import plan_live
from fedreg.services.gateway import Gateway
from fedreg.services.links import bound_links
from fedreg.services.promotion_intents import make_intent, requested_change
from fedreg.services.selectors import resolve
from fedreg.store import intents, journal


async def repair_drift(
    gateway: Gateway,
    names: Collection[str] = (),
    *,
    actor: Actor,
    reason: str | None = None,
    dry_run: bool = False,
    refresh: bool = True,
    max_age: timedelta | None = None,
    max_changes: int | None = None,
    wait: bool = True,
) -> RepairReport:
    """Bring members back to their link's rule, one promotion a link and model.

    Raises GateClosed, before anything is written, where one link would change more than its `max_changes` (or the
    given one); NotFound for an unknown link; with `wait` the first error of a promotion that failed.
    """
    found = await list_drift(gateway, names, refresh=refresh, max_age=max_age)
    wanted = [row for row in found.rows if row.repairable]
    plans = [await _plan(gateway, group) for group in _groups(wanted)]
    plans = [plan for plan in plans if plan.members]
    await _guard(gateway, plans, max_changes)
    changes = sum(_count(plan) for plan in plans)
    made = [] if dry_run else [await _start(gateway, plan, actor, reason) for plan in plans]
    if wait:
        for outcome in await asyncio.gather(*(promises.wait(gateway, one.id) for one in made), return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome
    return RepairReport(
        rows=tuple(wanted),
        changes=changes,
        operations=tuple(one.id for one in made),
        left=tuple(row for row in found.rows if not row.repairable),
        partial=found.partial,
    )


def _groups(rows: Sequence[DriftRow]) -> list[list[DriftRow]]:
    """Rows of one link, field and model together: a model's rows stand one after the other."""

    def key(row: DriftRow) -> tuple[str, str, str]:
        return row.link, row.field, row.of or row.ref

    return [list(group) for _, group in groupby(sorted(rows, key=key), key)]


async def _plan(gateway: Gateway, rows: Sequence[DriftRow]) -> PromotionPlan:
    """What sets these rows right, read live: a row that is right by now is left out."""
    kind, _, name = rows[0].field.partition(":")
    wish = Wish(field="stage", value=name) if kind == "stage" else Wish(field=rows[0].field, value=True)
    at = Ref.parse(rows[0].of or rows[0].ref)
    source = await resolve(gateway, at)
    link = next(one for one in await bound_links(gateway, at.registry, at.model) if one.name == rows[0].link)
    members: dict[tuple[str, str], MemberPlan] = {}
    for row in rows:
        place = Ref.parse(row.ref)
        member = link.member(place.registry, place.model)
        if member is None or member.place in members:
            continue
        mine = [one for one in rows if Ref.parse(one.ref).registry == place.registry]
        mine = [one for one in mine if Ref.parse(one.ref).model == place.model]
        plan = await _plan_member(gateway, link, wish, source, mine, has_right=row.of is not None)
        if plan is not None:
            members[member.place] = plan
    return PromotionPlan.of(source, wish, members.values())


async def _plan_member(
    gateway: Gateway, link: BoundLink, wish: Wish, source: Version, rows: Sequence[DriftRow], *, has_right: bool
) -> MemberPlan | None:
    place = Ref.parse(rows[0].ref)
    member = link.member(place.registry, place.model)
    assert member is not None
    base = MemberPlan(
        registry=place.registry, model=place.model, action=MemberAction.SET, link=link.name, version=source.version
    )
    if has_right and member.place != (source.registry, source.model):
        base = await plan_live(gateway, source, wish, link, member)
    extras = [await _give_way(gateway, link, wish, row) for row in rows if row.problem is Problem.EXTRA]
    known = {(one.identity, one.field) for one in base.effects}
    more = tuple(one for one in extras if one is not None and (one.identity, one.field) not in known)
    effects = (*base.effects, *more)
    if not effects and base.action is not MemberAction.COPY:
        return None
    action = MemberAction.SET if base.action is MemberAction.NONE else base.action
    return replace(base, action=action, effects=effects)


async def _give_way(gateway: Gateway, link: BoundLink, wish: Wish, row: DriftRow) -> PlannedEffect | None:
    """The write that takes a value from who should not have it; None where it has not got it any more."""
    if wish.alias is not None:
        ref = Ref.parse(row.ref)
        adapter = await gateway.registries.get(ref.registry)
        holder = (await adapter.get_model(ref.model)).aliases.get(wish.alias)
        if holder is None or row.of is not None:
            return None  # it moves when the right version gets it
        return PlannedEffect(version=None, identity=None, field=wish.field, before=holder, after=None)
    version = await resolve(gateway, Ref.parse(row.ref))
    if wish.stage not in (version.stage, *version.stages):
        return None
    return PlannedEffect(
        version=version.version,
        identity=version.identity,
        field="stage",
        before=wish.stage,
        after=link.link.demote_to,
        role=EffectRole.DEMOTE,
    )


async def _guard(gateway: Gateway, plans: Sequence[PromotionPlan], most: int | None) -> None:
    counts: dict[str, int] = {}
    limits: dict[str, int] = {}
    for plan in plans:
        for link in await bound_links(gateway, plan.registry, plan.model):
            if any(member.link == link.name for member in plan.members):
                counts[link.name] = counts.get(link.name, 0) + _count(plan)
                limits[link.name] = link.link.max_changes if most is None else most
    for name, count in sorted(counts.items()):
        if count > limits[name]:
            raise GateClosed(
                f"a repair of link {name!r} would change {count}, more than max_changes {limits[name]}",
                cure=f"look at `fedreg drift`; if it is meant, repair with --max-changes {count}",
            )


def _count(plan: PromotionPlan) -> int:
    return sum(len(member.effects) + (member.action is MemberAction.COPY) for member in plan.members)


async def _start(gateway: Gateway, plan: PromotionPlan, actor: Actor, reason: str | None) -> Intent:
    report = PromotionReport(
        ref=plan.source,
        stage_before="",
        stage=plan.wish.stage or plan.wish.field,
        held_by="",
        holders_before=(),
        shared_with=(),
        changed=True,
        links=tuple(sorted({member.link for member in plan.members if member.link})),
        members=plan.members,
    )
    intent = make_intent(gateway, plan, report, actor=actor, reason=reason or "repair of drift", repair=True)

    def commit(tx: Connection) -> None:
        intents.create(tx, intent)
        journal.append(tx, requested_change(intent), intent.created_at)

    await gateway.store.write(commit)
    await promises.start(gateway, intent)
    return intent
