"""Pages: `limit` and `cursor` in, `items` and `next_cursor` out.

Handlers deal in positions: a name, a sequence, a registry's own token. Callers get them signed against their query, as
the index signs its own, so that a forged cursor or one of another list is refused before anybody reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

import msgspec
from aiohttp import web
from msgspec import Meta

from fedreg.api.context import gateway_of
from fedreg.api.encoding import Listing, Request
from fedreg.domain.errors import InvalidRequest
from fedreg.domain.models import PageRequest
from fedreg.store.cursors import read_cursor, write_cursor

T = TypeVar("T")
MAX_LIMIT = 1000
Limit = Annotated[int, Meta(ge=1, le=MAX_LIMIT, description="items of a page")]
Cursor = Annotated[str, Meta(description="next_cursor of the page before")]


class PageQuery(Request, frozen=True, kw_only=True):
    """Which page."""

    limit: Limit = 100
    cursor: Cursor | None = None

    def to_page_request(self) -> PageRequest:
        return PageRequest(limit=self.limit, token=self.cursor)


Q = TypeVar("Q", bound=PageQuery)


async def open_cursor(request: web.Request, query: Q) -> Q:
    """The query with the position in place of the cursor. InvalidRequest for a cursor of no, or another, query."""
    cursor, scope = query.cursor, _scope(request)
    if cursor is None:
        return query
    [position] = await gateway_of(request).store.read(lambda conn: read_cursor(conn, scope, cursor))
    return msgspec.structs.replace(query, cursor=position)


async def seal_cursor(request: web.Request, listing: Listing[Any]) -> Listing[Any]:
    """The page with a cursor in place of the position of the next one."""
    position, scope = listing.next_cursor, _scope(request)
    if position is None:
        return listing
    sealed = await gateway_of(request).store.read(lambda conn: write_cursor(conn, scope, [position]))
    return msgspec.structs.replace(listing, next_cursor=sealed)


def _scope(request: web.Request) -> str:
    """What a cursor is good for: the path and the filters, whatever the size of a page."""
    filters = sorted((name, value) for name, value in request.query.items() if name not in ("cursor", "limit"))
    return repr((request.path, filters))


def cut_page(items: Sequence[T], query: PageQuery, key: Callable[[T], str]) -> Listing[T]:
    """A page of a whole list. The position is the key of the last item seen; InvalidRequest where that is gone."""
    start = 0
    if query.cursor is not None:
        keys = [key(item) for item in items]
        if query.cursor not in keys:
            raise InvalidRequest(
                f"cursor: {query.cursor!r}, where it goes on, is gone", cure="start again without a cursor"
            )
        start = keys.index(query.cursor) + 1
    return end_page(items[start : start + query.limit + 1], query.limit, key)


def end_page(found: Sequence[T], limit: int, key: Callable[[T], str]) -> Listing[T]:
    """A page of up to `limit` items, where one more was asked for to know whether another page follows."""
    items = tuple(found[:limit])
    return Listing(items=items, next_cursor=key(items[-1]) if len(found) > limit else None)


def parse_sequence(position: str | None) -> int | None:
    """A position that is a journal sequence."""
    return None if position is None else int(position)
