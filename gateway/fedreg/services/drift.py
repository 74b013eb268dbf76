"""Drift: what members of a link have against what its rule says, from the index."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection

from fedreg.domain.drift import DriftReport, DriftRow, Problem
from fedreg.domain.errors import NotFound
from fedreg.domain.links import BoundLink, ConflictRule, Member, OnMissing, fill_link, find_fillings
from fedreg.domain.records import InventoryQuery
from fedreg.services.catalog import list_inventory
from fedreg.services.gateway import Gateway
from fedreg.services.links import load_links
from fedreg.services.twins import list_tied
from fedreg.store.holdings import Holding, list_holdings, list_models


@dataclass(frozen=True, slots=True)
class _Place:
    """A member with its versions."""

    member: Member
    holdings: tuple[Holding, ...]

    def having(self, field: str) -> list[Holding]:
        kind, _, name = field.partition(":")
        if kind == "alias":
            return [one for one in self.holdings if name in one.version.aliases]
        return [one for one in self.holdings if name in (one.version.stage, *one.version.stages)]


async def list_drift(
    gateway: Gateway, names: Collection[str] = (), *, refresh: bool = False, max_age: timedelta | None = None
) -> DriftReport:
    """Every disagreement, by link and model. `names`: of these links only; `refresh` scans their registries first.

    Raises NotFound for an unknown link.
    """
    links = await load_links(gateway)
    unknown = sorted(set(names) - links.keys())
    if unknown:
        raise NotFound(f"link {unknown[0]!r} does not exist", cure="`fedreg link list` shows what there is")
    wanted = {name: link for name, link in links.items() if not names or name in names}
    registries = sorted({member.registry for link in wanted.values() for member in link.expanded})
    partial: tuple[Mapping[str, Any], ...] = ()
    if registries:
        query = InventoryQuery(registries=tuple(registries), limit=1)
        partial = (await list_inventory(gateway, query, versions=True, refresh=refresh, max_age=max_age)).partial
    models = await gateway.store.read(list_models)
    rows: list[DriftRow] = []
    count = 0
    for name, link in sorted(wanted.items()):
        for filling in find_fillings(link, models):
            count += 1
            rows += await compare(gateway, fill_link(name, link, filling))
    return DriftReport(rows=tuple(rows), links=count, partial=partial)


async def compare(gateway: Gateway, link: BoundLink) -> list[DriftRow]:
    """The disagreements of one link for one model."""

    def read(conn: Connection) -> list[_Place]:
        return [_Place(member, tuple(list_holdings(conn, *member.place))) for member in link.members]

    places = await gateway.store.read(read)
    fields = [*(f"stage:{stage}" for stage in link.link.stages), *(f"alias:{alias}" for alias in link.link.aliases)]
    rows: list[DriftRow] = []
    for field in fields:
        taking_part = [place for place in places if _takes_part(place.member, field)]
        if len(taking_part) < 2:
            continue
        right = find_right(link, field, taking_part)
        for place in taking_part:
            if place is not right:
                rows += await _compare_member(gateway, link, field, right, place)
        rows += _several(link, field, right)
    return rows


def find_right(link: BoundLink, field: str, places: list[_Place]) -> _Place:
    """The member that is right: the authority, or with `newest` the one whose setting is the latest."""
    authority = next((place for place in places if place.member == link.authority), places[0])
    if link.link.conflict is not ConflictRule.NEWEST:
        return authority
    known = [(one.since, place) for place in places for one in place.having(field) if one.since is not None]
    return max(known, key=lambda pair: pair[0])[1] if known else authority


async def _compare_member(
    gateway: Gateway, link: BoundLink, field: str, right: _Place, place: _Place
) -> list[DriftRow]:
    rows, rightful = [], set()
    by_identity = {one.version.identity: one for one in place.holdings}
    for holder in right.having(field):
        tied = await list_tied(gateway, holder.version, place.member)
        twin = next((by_identity[identity] for _, _, identity in tied if identity in by_identity), None)
        of = str(holder.version.ref)
        if twin is None:
            if link.link.on_missing is not OnMissing.SKIP:
                rows.append(_row(link, field, Problem.NO_COPY, str(place.member.ref), of, holder))
            continue
        rightful.add(twin.version.identity)
        if twin not in place.having(field):
            rows.append(_row(link, field, Problem.MISSING, str(twin.version.ref), of, holder))
    first = next(iter(right.having(field)), None)
    instead = str(first.version.ref) if first else None
    rows += [
        _row(link, field, Problem.EXTRA, str(one.version.ref), instead, one)
        for one in place.having(field)
        if one.version.identity not in rightful
    ]
    return rows


def _several(link: BoundLink, field: str, right: _Place) -> list[DriftRow]:
    """Holders of an exclusive stage but for the latest, at the member that is right."""
    stage = field.removeprefix("stage:")
    holders = right.having(field)
    if stage not in link.link.exclusive or len(holders) < 2:
        return []
    latest = max(holders, key=lambda one: (one.since is not None, one.since, one.version.version))
    of = str(latest.version.ref)
    return [_row(link, field, Problem.EXTRA, str(one.version.ref), of, one) for one in holders if one is not latest]


def _takes_part(member: Member, field: str) -> bool:
    kind, _, name = field.partition(":")
    return kind == "alias" or name in member.stages


def _row(link: BoundLink, field: str, problem: Problem, ref: str, of: str | None, setting: Holding) -> DriftRow:
    return DriftRow(
        link=link.name,
        field=field,
        problem=problem,
        ref=ref,
        of=of,
        since=setting.since,
        by=setting.by,
        repairable=link.link.conflict is not ConflictRule.MANUAL,
    )
