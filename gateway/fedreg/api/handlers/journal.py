"""What happened: lineage, history and the audit."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from aiohttp import web
from msgspec import Meta

from fedreg.api.auth import Principal
from fedreg.api.context import gateway_of, model_ref, principal_of, version_ref
from fedreg.api.encoding import Listing, Request
from fedreg.api.paging import PageQuery, end_page, parse_sequence
from fedreg.domain.errors import Forbidden
from fedreg.domain.evidence import AuditKey
from fedreg.domain.lineage import Node
from fedreg.domain.records import JournalEntry
from fedreg.domain.refs import Ref
from fedreg.domain.reports import LineageGraph, Verification
from fedreg.services import anchors, audit, past
from fedreg.services.lineage import DEFAULT_DEPTH
from fedreg.services.lineage import get_lineage as read_lineage
from fedreg.settings.sections import Role

WHOLE_HISTORY = 1_000_000


class Direction(StrEnum):
    """Which way to walk: to the origins, to the uses, or both."""

    UP = "up"
    DOWN = "down"
    BOTH = "both"


class LineageQuery(Request, frozen=True, kw_only=True):
    """How far to look."""

    direction: Direction = Direction.BOTH
    depth: Annotated[int, Meta(ge=1, le=100)] = DEFAULT_DEPTH


class AuditQuery(PageQuery, frozen=True, kw_only=True):
    """Filters of the journal. `since` is inclusive, `until` is not; ISO 8601 with an offset."""

    since: Annotated[datetime, Meta(tz=True)] | None = None
    until: Annotated[datetime, Meta(tz=True)] | None = None
    actor: str | None = None
    model: str | None = None


async def get_lineage(request: web.Request, *, query: LineageQuery) -> LineageGraph:
    graph = await read_lineage(
        gateway_of(request),
        version_ref(request),
        upstream=query.direction is not Direction.DOWN,
        downstream=query.direction is not Direction.UP,
        depth=query.depth,
    )
    return _visible_part(graph, principal_of(request))


class HistoryPage(Listing[JournalEntry], frozen=True, kw_only=True):
    """A page of a history; from `covered_since` on the journal tells all of it, null where there was no scan yet."""

    covered_since: datetime | None = None


async def list_model_history(request: web.Request, *, query: PageQuery) -> HistoryPage:
    return await _list_history(request, model_ref(request), query)


async def list_version_history(request: web.Request, *, query: PageQuery) -> HistoryPage:
    return await _list_history(request, version_ref(request), query)


async def list_audit(request: web.Request, *, query: AuditQuery) -> Listing[JournalEntry]:
    principal_of(request).require_everywhere(Role.ADMIN)
    entries = await audit.list_audit(
        gateway_of(request),
        since=query.since,
        until=query.until,
        actor=query.actor,
        model=query.model,
        after_sequence=parse_sequence(query.cursor),
        limit=query.limit + 1,
    )
    return end_page(entries, query.limit, _sequence)


async def verify_audit(request: web.Request) -> Verification:
    principal_of(request).require_everywhere(Role.ADMIN)
    return await audit.verify_audit(gateway_of(request))


class Evidence(Request, frozen=True, kw_only=True):
    """What to hold the journal against, instead of the configured anchors and key."""

    anchors: Annotated[str, Meta(description="the lines of an anchor file")] | None = None
    public_key: Annotated[str, Meta(description="one or several Ed25519 public keys as PEM")] | None = None


async def verify_against(request: web.Request, *, body: Evidence) -> Verification:
    principal_of(request).require_everywhere(Role.ADMIN)
    return await audit.verify_audit(gateway_of(request), anchors=body.anchors, public_key=body.public_key)


async def get_audit_key(request: web.Request) -> AuditKey:
    principal_of(request).require_everywhere(Role.ADMIN)
    return await anchors.get_audit_key(gateway_of(request))


async def _list_history(request: web.Request, ref: Ref, query: PageQuery) -> HistoryPage:
    after = parse_sequence(query.cursor)
    # All of it: entries of a namesake that is gone are taken out after the limit was applied.
    entries = await audit.list_history(gateway_of(request), ref, limit=WHOLE_HISTORY, after_sequence=after)
    page = end_page(entries, query.limit, _sequence)
    [coverage] = await past.list_coverage(gateway_of(request), [ref.registry])
    return HistoryPage(items=page.items, next_cursor=page.next_cursor, covered_since=coverage.since)


def _sequence(entry: JournalEntry) -> str:
    return str(entry.sequence)


def _visible_part(graph: LineageGraph, principal: Principal) -> LineageGraph:
    """The graph without versions of registries that the caller may not see; `partial` says that there are some."""

    def hidden(node: Node) -> bool:
        registry = node.attributes.get("registry")
        return registry is not None and not principal.sees(registry)

    if not any(hidden(node) for node in graph.nodes):
        return graph
    error = Forbidden("parts of the graph are in registries that are not yours to see").to_dict()
    return replace(
        graph,
        nodes=tuple(node for node in graph.nodes if not hidden(node)),
        edges=tuple(edge for edge in graph.edges if not hidden(edge.source) and not hidden(edge.target)),
        partial=(*(part for part in graph.partial if principal.sees(str(part["registry"]))), {"error": error}),
    )
