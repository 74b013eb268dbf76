"""What a wish at one place means for all places that links tie to it: the plan of a promotion. Nothing is written."""

from __future__ import annotations

import asyncio

from fedreg.domain.errors import Conflict, FedregError
from fedreg.domain.links import BoundLink, Member, OnMissing
from fedreg.domain.models import Version
from fedreg.domain.promotions import MemberAction, MemberPlan, PlannedEffect, PromotionPlan, Wish
from fedreg.domain.reports import Loss
from fedreg.services.copy_plan import plan_copy
from fedreg.services.gateway import Gateway
from fedreg.services.links import bound_links
from fedreg.services.twins import find_twin
from fedreg.services.writes import list_writes, with_holders


async def list_concerned(gateway: Gateway, source: Version, wish: Wish) -> list[BoundLink]:
    """The links that this wish flows over, or that forbid it. Raises Conflict where the place only follows."""
    concerned = []
    for link in await bound_links(gateway, source.registry, source.model):
        if not _concerns(link, source, wish):
            continue
        member = link.member(source.registry, source.model)
        assert member is not None
        if not link.flows_from(member):
            raise Conflict(
                f"'{member.ref}' follows '{link.authority.ref}' by link {link.name!r}: it can't be changed by itself",
                registry=source.registry,
                cure=f"promote '{link.authority.ref}', or change the link's direction",
            )
        concerned.append(link)
    return concerned


def _concerns(link: BoundLink, source: Version, wish: Wish) -> bool:
    if wish.alias is not None:
        return wish.alias in link.link.aliases
    return wish.value in link.link.stages or source.stage in link.link.stages


async def plan_flow(gateway: Gateway, source: Version, wish: Wish, links: list[BoundLink]) -> PromotionPlan:
    """The plan over all members. Raises Conflict where a member lacks the version and the link says fail."""
    targets = await _spread(gateway, source, wish, links)
    plans = [plan_own(gateway, source, wish, links)] if _takes_part_at_source(source, wish, links) else []
    plans += [plan_member(gateway, source, wish, link, member) for link, member in targets]
    found = await asyncio.gather(*plans, return_exceptions=True)
    for one in found:  # the first in order, whichever came first
        if isinstance(one, BaseException):
            raise one
    return PromotionPlan.of(source, wish, [one for one in found if isinstance(one, MemberPlan)])


async def plan_own(gateway: Gateway, source: Version, wish: Wish, links: list[BoundLink]) -> MemberPlan:
    """What happens at the place itself."""
    demote_to = next((to for link in links if (to := link.link.gives_way(wish.stage)) is not None), None)
    effects = await list_writes(gateway, source.registry, source.model, source, wish, demote_to)
    return MemberPlan(
        registry=source.registry,
        model=source.model,
        action=MemberAction.SET if effects else MemberAction.NONE,
        version=source.version,
        identity=source.identity,
        effects=effects,
    )


async def plan_member(gateway: Gateway, source: Version, wish: Wish, link: BoundLink, member: Member) -> MemberPlan:
    """What happens at another member, live; `later` where it does not answer."""
    try:
        return await plan_live(gateway, source, wish, link, member)
    except FedregError as error:
        if not error.retryable:
            raise
        return _member(link, member, MemberAction.LATER, why=f"planned when it answers: {error.message}")


async def plan_live(gateway: Gateway, source: Version, wish: Wish, link: BoundLink, member: Member) -> MemberPlan:
    """What happens at another member. Raises its registry's errors."""
    demote_to = link.link.gives_way(wish.stage)
    finding = find_twin(gateway, source, member)
    twin, holders = await with_holders(gateway, *member.place, wish, demote_to, finding)
    if twin is None:
        return await _plan_missing(gateway, source, wish, link, member)
    if wish.stage is not None and wish.stage not in member.stages and twin.stage not in member.stages:
        return _member(link, member, MemberAction.NONE, version=twin)
    effects = await list_writes(gateway, *member.place, twin, wish, demote_to, holders=holders)
    action = MemberAction.SET if effects else MemberAction.NONE
    return _member(link, member, action, version=twin, effects=effects)


async def _plan_missing(gateway: Gateway, source: Version, wish: Wish, link: BoundLink, member: Member) -> MemberPlan:
    coming = wish.value in member.stages or bool(wish.alias is not None and wish.value)
    if not coming:
        return _member(link, member, MemberAction.NONE, why="it has no copy of this version")
    if link.link.on_missing is OnMissing.SKIP:
        return _member(link, member, MemberAction.SKIP, why="it has no copy of this version, and the link says skip")
    if link.link.on_missing is OnMissing.FAIL:
        raise Conflict(
            f"'{member.ref}' has no copy of '{source.ref}', and link {link.name!r} says fail",
            registry=member.registry,
            cure=f"copy it first: fedreg copy '{source.ref}' '{member.ref}', or set on_missing: copy",
        )
    copy = await plan_copy(gateway, source.ref, member.ref, allow_lossy=accepted(link))
    effects = await list_writes(gateway, *member.place, None, wish, link.link.gives_way(wish.stage))
    return _member(link, member, MemberAction.COPY, effects=effects, losses=copy.losses, size=copy.bytes)


def accepted(link: BoundLink) -> tuple[str, ...] | None:
    """What copies of a link may lose, as `plan_copy` takes it: None for nothing, empty for anything."""
    given = link.link.allow_lossy
    return () if "*" in given else given or None


async def _spread(
    gateway: Gateway, source: Version, wish: Wish, links: list[BoundLink]
) -> list[tuple[BoundLink, Member]]:
    """Every place that the wish reaches, each once, over links that go on from a member included."""
    reached: dict[tuple[str, str], tuple[BoundLink, Member]] = {}
    seen, todo = {(source.registry, source.model)}, list(links)
    while todo:
        link = todo.pop(0)
        for member in link.members:
            if member.place in seen:
                continue
            seen.add(member.place)
            if not _takes_part(link, member, wish, source):
                continue
            reached[member.place] = (link, member)
            for further in await bound_links(gateway, *member.place):
                at = further.member(*member.place)
                if at is not None and further.flows_from(at) and _concerns(further, source, wish):
                    todo.append(further)
    return list(reached.values())


def _takes_part(link: BoundLink, member: Member, wish: Wish, source: Version) -> bool:
    if wish.alias is not None:
        return True
    leaves = wish.value not in link.link.stages and source.stage in member.stages
    return wish.value in member.stages or leaves


def _takes_part_at_source(source: Version, wish: Wish, links: list[BoundLink]) -> bool:
    """Whether the place itself has the stage: a development registry may only pass it on."""
    if wish.stage is None or not links:
        return True
    members = [(link, link.member(source.registry, source.model)) for link in links]
    return any(
        member is not None and (wish.stage in member.stages or wish.stage not in link.link.stages)
        for link, member in members
    )


def _member(
    link: BoundLink,
    member: Member,
    action: MemberAction,
    *,
    version: Version | None = None,
    effects: tuple[PlannedEffect, ...] = (),
    losses: tuple[Loss, ...] = (),
    size: int = 0,
    why: str | None = None,
) -> MemberPlan:
    return MemberPlan(
        registry=member.registry,
        model=member.model,
        action=action,
        link=link.name,
        version=version.version if version else None,
        identity=version.identity if version else None,
        effects=effects,
        losses=losses,
        bytes=size,
        why=why,
    )
