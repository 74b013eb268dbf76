"""The inventory of a past time, and of what times the journal can tell."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from fedreg.domain.errors import InvalidRequest
from fedreg.domain.evidence import Coverage
from fedreg.domain.records import InventoryQuery
from fedreg.domain.reports import NOT_COVERED, Facets, Inventory
from fedreg.services.gateway import Gateway
from fedreg.store import index, scans


async def list_past(gateway: Gateway, query: InventoryQuery, registries: Collection[str], *, lines: str) -> Inventory:
    """A page of `versions` or `models` as they were at `query.as_of`; nothing is asked of a registry.

    One that was not covered then has one row that is unknown, and an entry in `partial`. Raises InvalidRequest for a
    time in the future or without a zone, another order than by name, and a bad cursor.
    """
    at = _check_time(gateway, query.as_of)

    def read(conn: Connection) -> Inventory:
        coverage = _list_coverage(conn, registries)
        since = {one.registry: one.since for one in coverage}
        rows, cursor = index.list_past_rows(conn, query, since, lines=lines)
        partial = tuple(_not_covered(one, at) for one in coverage if one.since is None or one.since > at)
        return Inventory(items=tuple(rows), next_cursor=cursor, partial=partial, as_of=at, coverage=coverage)

    return await gateway.store.read(read)


async def count_past(gateway: Gateway, query: InventoryQuery, registries: Collection[str]) -> Facets:
    """Counts of the versions that matched at `query.as_of`. Raises InvalidRequest, also where nothing was covered."""
    at = _check_time(gateway, query.as_of)

    def read(conn: Connection) -> Facets:
        since = {one.registry: one.since for one in _list_coverage(conn, registries)}
        if not any(start is not None and start <= at for start in since.values()):
            raise InvalidRequest(
                f"as_of {at.isoformat()}: unknown, for the journal covered no registry then",
                cure="`fedreg registries` says since when each is covered",
            )
        return index.count_past(conn, query, since)

    return await gateway.store.read(read)


async def list_coverage(gateway: Gateway, registries: Collection[str]) -> tuple[Coverage, ...]:
    """Of what times the journal can tell, by registry."""
    return await gateway.store.read(lambda conn: _list_coverage(conn, registries))


def _list_coverage(conn: Connection, registries: Collection[str]) -> tuple[Coverage, ...]:
    states = scans.list_states(conn)
    found = []
    for name in sorted(registries):
        state = states.get(name)
        found.append(
            Coverage(registry=name)
            if state is None
            else Coverage(registry=name, since=state.covered_since, until=state.swept_at)
        )
    return tuple(found)


def _check_time(gateway: Gateway, at: datetime | None) -> datetime:
    if at is None or at.tzinfo is None:
        raise InvalidRequest(f"as_of {at} has no time zone", cure="write it as 2026-01-31T12:00:00Z")
    if at > gateway.now():
        raise InvalidRequest(f"as_of {at.isoformat()} is in the future", cure="give a time that has been")
    return at


def _not_covered(coverage: Coverage, at: datetime) -> Mapping[str, Any]:
    known = "it was never scanned" if coverage.since is None else f"covered since {coverage.since.isoformat()}"
    message = f"what was there at {at.isoformat()} is unknown: {known}"
    error = {"code": NOT_COVERED, "message": message, "cure": "ask for a later time"}
    return {"registry": coverage.registry, "error": error}
