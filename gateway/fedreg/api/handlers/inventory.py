"""The inventory: what there is, in all registries at once, from the index."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated

from aiohttp import web
from msgspec import Meta

from fedreg.api.context import gateway_of, principal_of
from fedreg.api.encoding import Request
from fedreg.api.paging import PageQuery
from fedreg.domain.errors import InvalidRequest
from fedreg.domain.records import InventoryQuery, Sort
from fedreg.domain.reports import Facets, Inventory
from fedreg.services import catalog
from fedreg.settings.sections import Role

MILLION_DAYS = 86_400 * 1_000_000


class InventoryParameters(PageQuery, frozen=True, kw_only=True):
    """Filters of the inventory; all given ones must hold."""

    registry: Annotated[tuple[str, ...], Meta(description="may be repeated")] = ()
    model: Annotated[str, Meta(description="a glob: team-*")] | None = None
    stage: str | None = None
    alias: str | None = None
    approval: str | None = None
    tag: Annotated[str, Meta(description="KEY=VALUE")] | None = None
    digest: str | None = None
    search: Annotated[str, Meta(description="text within names, descriptions and tags")] | None = None
    sort: Annotated[Sort, Meta(description="rows without the time come last; `-` turns the order round")] = Sort.NAME
    as_of: Annotated[datetime, Meta(tz=True, description="what was there then, told from the journal")] | None = None
    refresh: Annotated[bool, Meta(description="scan the registries first")] = False
    max_age: (
        Annotated[
            float, Meta(ge=0, le=MILLION_DAYS, description="scan registries whose last scan is older, in seconds")
        ]
        | None
    ) = None


async def list_models(request: web.Request, *, query: InventoryParameters) -> Inventory:
    return await _list_rows(request, query, versions=False)


async def list_versions(request: web.Request, *, query: InventoryParameters) -> Inventory:
    return await _list_rows(request, query, versions=True)


class FacetsQuery(Request, frozen=True, kw_only=True):
    """What to count; all given filters must hold."""

    registry: Annotated[tuple[str, ...], Meta(description="may be repeated")] = ()
    model: Annotated[str, Meta(description="a glob: team-*")] | None = None
    stage: str | None = None
    alias: str | None = None
    approval: str | None = None
    tag: Annotated[str, Meta(description="KEY=VALUE")] | None = None
    digest: str | None = None
    search: Annotated[str, Meta(description="text within names, descriptions and tags")] | None = None
    as_of: Annotated[datetime, Meta(tz=True, description="what was there then, told from the journal")] | None = None


async def list_facets(request: web.Request, *, query: FacetsQuery) -> Facets:
    registries = _visible(request, query.registry)
    if registries is None:
        return Facets(registries={}, stages={}, approvals={})
    return await catalog.list_facets(gateway_of(request), _filters(query, registries))


async def _list_rows(request: web.Request, query: InventoryParameters, *, versions: bool) -> Inventory:
    registries = _visible(request, query.registry)
    if registries is None:
        return Inventory(items=())
    wanted = replace(_filters(query, registries), sort=query.sort, limit=query.limit, cursor=query.cursor)
    max_age = None if query.max_age is None else timedelta(seconds=query.max_age)
    return await catalog.list_inventory(
        gateway_of(request), wanted, versions=versions, refresh=query.refresh, max_age=max_age
    )


def _filters(query: InventoryParameters | FacetsQuery, registries: tuple[str, ...]) -> InventoryQuery:
    return InventoryQuery(
        registries=registries,
        model=query.model,
        stage=query.stage,
        alias=query.alias,
        approval=query.approval,
        tag=_parse_tag(query.tag),
        digest=query.digest,
        search=query.search,
        as_of=query.as_of,
    )


def _visible(request: web.Request, asked: tuple[str, ...]) -> tuple[str, ...] | None:
    """The registries to look at, empty for all of them; None where the caller may see none."""
    gateway, principal = gateway_of(request), principal_of(request)
    principal.require(Role.READER, *asked)
    if asked or principal.registries is None:
        return asked
    return tuple(name for name in gateway.registries.names() if principal.sees(name)) or None


def _parse_tag(text: str | None) -> tuple[str, str] | None:
    if text is None:
        return None
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise InvalidRequest(f"query.tag: {text!r} is no KEY=VALUE", cure="write tag=team=churn")
    return key, value
