"""What a handler may ask of its request: the gateway, the caller, and the names in the path."""

from __future__ import annotations

import asyncio

from aiohttp import web

from fedreg.api.auth import Principal
from fedreg.api.metrics import EventCounts
from fedreg.domain.errors import InvalidRequest
from fedreg.domain.records import Actor
from fedreg.domain.refs import Ref, Selector, SelectorKind, parse_selector
from fedreg.domain.reports import RefreshReport
from fedreg.services.gateway import Gateway

GATEWAY = web.AppKey("gateway", Gateway)
STOPPING = web.AppKey("stopping", asyncio.Event)
EVENT_COUNTS = web.AppKey("event_counts", EventCounts)
REFRESHES = web.AppKey("refreshes", dict[str, asyncio.Task[RefreshReport]])

# Set by the middleware and the endpoint.
REQUEST_ID = web.RequestKey("request_id", str)
ROUTE_PATH = web.RequestKey("route", str)
PRINCIPAL = web.RequestKey("principal", Principal)
MODEL = web.RequestKey("model", str)


def gateway_of(request: web.Request) -> Gateway:
    """The gateway that serves this request."""
    return request.app[GATEWAY]


def principal_of(request: web.Request) -> Principal:
    """Who asks, and what it may do. Only within routes that require a role."""
    return request[PRINCIPAL]


def actor_of(request: web.Request) -> Actor:
    """Who asks, as the journal names it: the credential alone decides."""
    return principal_of(request).actor


def model_ref(request: web.Request) -> Ref:
    """The model named by the path."""
    return Ref(request.match_info["registry"], request[MODEL])


def version_ref(request: web.Request) -> Ref:
    """The version named by the path: its id, or a selector after an `@` (`@alias:champion`, `@stage:production`)."""
    text = request.match_info["version"]
    if not text.startswith("@"):
        selector = Selector(SelectorKind.VERSION, text)
    elif len(text) > 1:
        selector = parse_selector(text[1:])
    else:
        raise InvalidRequest(
            "version '@' is no selector", cure="write @version:1, @alias:champion or @stage:production"
        )
    return Ref(request.match_info["registry"], request[MODEL], selector)
