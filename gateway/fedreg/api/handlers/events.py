"""Events that registries push. No caller of ours sends them: each registry proves itself by its own means."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from aiohttp import web

from fedreg.api.context import EVENT_COUNTS, gateway_of
from fedreg.api.encoding import Reply, Request
from fedreg.api.problems import RequestTooLarge
from fedreg.domain.errors import FedregError, InvalidRequest, Unauthenticated
from fedreg.domain.models import Handshake
from fedreg.domain.reports import EventsTaken
from fedreg.services.events import take_events

LARGEST = 1 << 20  # more than any of these services puts into one message


class EventQuery(Request, frozen=True, kw_only=True):
    """What a service that can't send headers puts into the address."""

    secret: Annotated[str, msgspec.Meta(description="the registry's event secret, where it can't be a header")] = ""


async def take(request: web.Request, *, query: EventQuery) -> Reply[EventsTaken | dict[str, Any] | None]:
    """What is pushed is taken at once and looked at later; a service's question is answered."""
    registry, counts = request.match_info["registry"], request.app[EVENT_COUNTS]
    headers = {name.lower(): value for name, value in request.headers.items()}
    given = {"secret": query.secret} if query.secret else {}
    try:
        taken = await take_events(gateway_of(request), registry, headers, await _read(request), given)
    except Unauthenticated:
        counts.add(None, "refused")
        raise
    except InvalidRequest:
        counts.add(registry, "malformed")
        raise
    except FedregError:
        counts.add(registry, "failed")
        raise
    if isinstance(taken, Handshake):
        counts.add(registry, "handshake")
        return Reply(None if taken.body is None else dict(taken.body), status=200, headers=taken.headers)
    counts.add(registry, "fresh" if taken.fresh else "known" if taken.events else "ignored")
    return Reply(taken)


async def ask(request: web.Request, *, query: EventQuery) -> Reply[EventsTaken | dict[str, Any] | None]:
    """The question by OPTIONS that CloudEvents has senders ask first; any other is refused."""
    return await take(request, query=query)


async def _read(request: web.Request) -> bytes:
    """The body, as long as it is no longer than an event can be: whoever sends it is not known yet."""
    body = bytearray()
    async for chunk in request.content.iter_chunked(64 << 10):
        body += chunk
        if len(body) > LARGEST:
            raise RequestTooLarge(f"the message is larger than {LARGEST} bytes", cure="push fewer events at once")
    return bytes(body)
