"""Links, and the drift of their members."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import msgspec
from aiohttp import web

from fedreg.api.context import actor_of, gateway_of, principal_of
from fedreg.api.edits import Reason
from fedreg.api.encoding import Listing, Reply, Request
from fedreg.api.paging import PageQuery, cut_page
from fedreg.domain.drift import DriftReport, RepairReport
from fedreg.domain.errors import InvalidRequest
from fedreg.domain.links import Link
from fedreg.domain.refs import Ref
from fedreg.domain.reports import LinkView
from fedreg.registries.manifests import nearest
from fedreg.services import links
from fedreg.services.drift import list_drift
from fedreg.services.repair import repair_drift
from fedreg.settings.sections import Role


class NewLink(Request, frozen=True, kw_only=True):
    """A link, as the configuration writes it, and why it is set."""

    link: Link
    reason: str | None = None


class DriftQuery(Request, frozen=True, kw_only=True):
    """Of which links (all of them where none is named); `refresh` scans their registries first."""

    link: tuple[str, ...] = ()
    refresh: bool = False


class Repair(Request, frozen=True, kw_only=True):
    """What to repair: `links` (all of them where none is named), within `max_changes` of each link."""

    links: tuple[str, ...] = ()
    reason: str | None = None
    max_changes: Annotated[int, msgspec.Meta(ge=1)] | None = None
    dry_run: bool = False


async def list_links(request: web.Request, *, query: PageQuery) -> Listing[LinkView]:
    principal = principal_of(request)
    found = await links.list_links(gateway_of(request))
    visible = [one for one in found if all(principal.sees(member.registry) for member in one.link.expanded)]
    return cut_page(visible, query, lambda view: view.name)


async def get_link(request: web.Request) -> LinkView:
    found = await links.get_link(gateway_of(request), request.match_info["link"])
    principal_of(request).require(Role.READER, *(member.registry for member in found.link.expanded))
    return found


async def set_link(request: web.Request, *, body: NewLink) -> LinkView:
    _refuse_unknown("body.link", (await request.json())["link"], msgspec.to_builtins(body.link))
    principal_of(request).require_everywhere(Role.ADMIN)
    return await links.set_link(
        gateway_of(request), request.match_info["link"], body.link, actor=actor_of(request), reason=body.reason
    )


async def delete_link(request: web.Request, *, query: Reason) -> Reply[None]:
    principal_of(request).require_everywhere(Role.ADMIN)
    await links.delete_link(
        gateway_of(request), request.match_info["link"], actor=actor_of(request), reason=query.reason
    )
    return Reply(None)


async def get_drift(request: web.Request, *, query: DriftQuery) -> DriftReport:
    principal = principal_of(request)
    found = await list_drift(gateway_of(request), query.link, refresh=query.refresh)
    visible = tuple(row for row in found.rows if principal.sees(Ref.parse(row.ref).registry))
    return replace(found, rows=visible)


async def repair(request: web.Request, *, body: Repair) -> RepairReport:
    principal_of(request).require_everywhere(Role.OPERATOR)
    return await repair_drift(
        gateway_of(request),
        body.links,
        actor=actor_of(request),
        reason=body.reason,
        dry_run=body.dry_run,
        max_changes=body.max_changes,
        wait=False,
    )


def _refuse_unknown(where: str, given: Any, known: Any) -> None:
    """InvalidRequest for a key that nothing reads: a link with a word misspelt would do something else."""
    if isinstance(given, list) and isinstance(known, list | tuple):
        for at, (one, other) in enumerate(zip(given, known, strict=False)):
            _refuse_unknown(f"{where}[{at}]", one, other)
    elif isinstance(given, dict) and isinstance(known, dict):
        for name, value in given.items():
            if name not in known:
                raise InvalidRequest(f"{where}: field {name!r} is unknown", cure=nearest(name, tuple(known)))
            _refuse_unknown(f"{where}.{name}", value, known[name])
