"""Operations: listed, followed and cancelled."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from aiohttp import web

from fedreg.api.auth import Principal
from fedreg.api.context import REQUEST_ID, STOPPING, gateway_of, principal_of
from fedreg.api.encoding import Listing, encode
from fedreg.api.middleware import REQUEST_ID_HEADER
from fedreg.api.paging import PageQuery, end_page
from fedreg.domain.errors import Forbidden, NotFound
from fedreg.domain.records import ENDED, IntentKind, IntentState
from fedreg.domain.reports import OperationView
from fedreg.services import operations
from fedreg.settings.sections import Role

POLL_SECONDS = 0.25
KEEPALIVE_POLLS = 60  # a comment every 15 s keeps proxies from closing a quiet stream


class OperationsQuery(PageQuery, frozen=True, kw_only=True):
    """Which operations; both may be repeated."""

    kind: tuple[IntentKind, ...] = ()
    state: tuple[IntentState, ...] = ()


async def list_operations(request: web.Request, *, query: OperationsQuery) -> Listing[OperationView]:
    return await list_visible(request, query, query.kind, query.state)


async def get_operation(request: web.Request) -> OperationView:
    return await find_visible(request)


async def cancel_operation(request: web.Request) -> OperationView:
    return await cancel_visible(request)


async def cancel_visible(request: web.Request, kind: IntentKind | None = None) -> OperationView:
    """Stop the operation of the path. Raises what `find_visible` raises, Forbidden for somebody else's."""
    operation, principal = await find_visible(request, kind), principal_of(request)
    if operation.actor != principal.actor.subject and principal.role is not Role.ADMIN:
        raise Forbidden(f"operation {operation.id!r} is {operation.actor!r}'s", cure="ask an admin to cancel it")
    return await operations.cancel_operation(gateway_of(request), operation.id)


async def stream_events(request: web.Request) -> web.StreamResponse:
    """Server-sent events: `progress` with the whole operation whenever it changes, `end` with its last state."""
    operation = await find_visible(request)
    headers = {
        "Content-Type": "text/event-stream",
        "Cache-Control": "no-store",
        "X-Accel-Buffering": "no",
        REQUEST_ID_HEADER: request[REQUEST_ID],
    }
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    stopping, sent, quiet = request.app[STOPPING], b"", 0
    with suppress(ConnectionError):  # the client has gone
        while True:
            body, ended = encode(operation), operation.state in ENDED
            quiet = 0 if body != sent else quiet + 1
            if quiet == 0 or ended:
                await response.write(b"event: %b\ndata: %b\n\n" % (b"end" if ended else b"progress", body))
            elif quiet % KEEPALIVE_POLLS == 0:
                await response.write(b": still here\n\n")
            sent = body
            if ended or await _is_set(stopping, POLL_SECONDS):
                break
            operation = await operations.get_operation(gateway_of(request), operation.id)
        await response.write_eof()
    return response


async def list_visible(
    request: web.Request, query: PageQuery, kinds: tuple[IntentKind, ...], states: tuple[IntentState, ...]
) -> Listing[OperationView]:
    """A page of operations. A caller limited to some registries sees its own ones only."""
    found = await operations.list_operations(
        gateway_of(request), kinds=kinds, states=states, limit=query.limit + 1, cursor=query.cursor
    )
    page = end_page(found, query.limit, lambda operation: operation.id)
    principal = principal_of(request)
    visible = tuple(operation for operation in page.items if _sees(principal, operation))
    return Listing(items=visible, next_cursor=page.next_cursor)


async def find_visible(request: web.Request, kind: IntentKind | None = None) -> OperationView:
    """The operation of the path. Raises NotFound, also where it is of another kind or not for the caller to see."""
    operation_id = request.match_info["id"]
    operation = await operations.get_operation(gateway_of(request), operation_id)
    if not _sees(principal_of(request), operation) or kind not in (None, operation.kind):
        raise NotFound(f"operation {operation_id!r} does not exist", cure="/v1/operations lists what there is")
    return operation


def _sees(principal: Principal, operation: OperationView) -> bool:
    return principal.registries is None or operation.actor == principal.actor.subject


async def _is_set(event: asyncio.Event, seconds: float) -> bool:
    """Whether the event is set within that time."""
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
    return event.is_set()
