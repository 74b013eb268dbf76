"""Pages: `limit` and `cursor` in, `items` and `next_cursor` out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar

from msgspec import Meta

from fedreg.api.encoding import Listing, Request
from fedreg.domain.errors import InvalidRequest
from fedreg.domain.models import PageRequest

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


def cut_page(items: Sequence[T], query: PageQuery, key: Callable[[T], str]) -> Listing[T]:
    """A page of a whole list. The cursor is the key of the last item seen; InvalidRequest where that is gone."""
    start = 0
    if query.cursor is not None:
        keys = [key(item) for item in items]
        if query.cursor not in keys:
            raise InvalidRequest(f"cursor {query.cursor!r} is not of this list", cure="start again without a cursor")
        start = keys.index(query.cursor) + 1
    return end_page(items[start : start + query.limit + 1], query.limit, key)


def end_page(found: Sequence[T], limit: int, key: Callable[[T], str]) -> Listing[T]:
    """A page of up to `limit` items, where one more was asked for to know whether another page follows."""
    items = tuple(found[:limit])
    return Listing(items=items, next_cursor=key(items[-1]) if len(found) > limit else None)


def parse_sequence(cursor: str | None) -> int | None:
    """A cursor that is a journal sequence."""
    if cursor is None:
        return None
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
        raise InvalidRequest(f"cursor {cursor!r} is not of this list", cure="start again without a cursor")
    return int(cursor)
