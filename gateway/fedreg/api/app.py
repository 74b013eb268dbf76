"""The application: routes, middleware, and an orderly end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import msgspec
from aiohttp import web
from aiohttp.typedefs import Middleware
from prometheus_client import CollectorRegistry

from fedreg.api.auth import Authenticator
from fedreg.api.context import EVENT_COUNTS, GATEWAY, REFRESHES, STOPPING
from fedreg.api.docs_page import render_docs
from fedreg.api.endpoints import Endpoint, Route, make_endpoint
from fedreg.api.event_loop import LoopLag
from fedreg.api.handlers.system import COLLECTOR, DOCS, OPENAPI
from fedreg.api.metrics import EventCounts, HttpMetrics
from fedreg.api.middleware import make_middleware
from fedreg.api.openapi import build_openapi
from fedreg.api.routes import ROUTES
from fedreg.services.gateway import Gateway
from fedreg.settings import Settings

# aiohttp keeps %2F in a segment apart from a slash, so a pattern of one segment takes any encoded name. Where a
# proxy has decoded it, a model may span segments, but for those that go on with something else.
SEGMENT = "[^/]+"
SEGMENTS = "(?:(?!/(?:versions|aliases|history)(?:/|$)).)+"


def create_app(
    gateway: Gateway,
    settings: Settings,
    *,
    collector: CollectorRegistry | None = None,
    around: Iterable[Middleware] = (),
) -> web.Application:
    """The HTTP API over an open gateway, which outlives it.

    `collector` gathers what /metrics shows: give the one of the gateway's CallMetrics to show both. `around` goes
    around the API's own middleware. The caller checks the address it binds with `auth.check_binding`.
    """
    metrics = HttpMetrics(collector if collector is not None else CollectorRegistry())
    max_body = settings.server.max_body
    app = web.Application(middlewares=[*around, make_middleware(metrics, max_body)], client_max_size=max_body)
    document = build_openapi(ROUTES)
    app[GATEWAY] = gateway
    app[STOPPING] = asyncio.Event()
    app[REFRESHES] = {}
    app[EVENT_COUNTS] = EventCounts(metrics.collector)
    app[COLLECTOR] = metrics.collector
    app[OPENAPI] = msgspec.json.encode(document)
    app[DOCS] = render_docs(document)
    authenticator = Authenticator(settings.auth)
    add_routes(app, [(route, make_endpoint(route, authenticator)) for route in ROUTES])
    app.cleanup_ctx.append(LoopLag(metrics.collector).watch)
    app.on_shutdown.append(_end_streams)
    app.on_cleanup.append(_stop_refreshes)
    return app


def add_routes(app: web.Application, endpoints: Iterable[tuple[Route, Endpoint]]) -> None:
    """Register every route, then the spellings with bare slashes, so that an encoded name always wins."""
    endpoints = list(endpoints)
    for route, endpoint in endpoints:
        _add(app, route, endpoint, SEGMENT)
    for route, endpoint in endpoints:
        if "{model}" in route.path:
            _add(app, route, endpoint, SEGMENTS)


def _add(app: web.Application, route: Route, endpoint: Endpoint, model: str) -> None:
    path = route.path
    for name, pattern in {"model": model, "path": ".+"}.items():
        path = path.replace(f"{{{name}}}", f"{{{name}:{pattern}}}")
    for name in ("registry", "version", "alias", "id"):
        path = path.replace(f"{{{name}}}", f"{{{name}:{SEGMENT}}}")
    app.router.add_route(route.method, path, endpoint)
    if route.method == "GET" and route.media != "text/event-stream":
        app.router.add_route("HEAD", path, endpoint)


async def _end_streams(app: web.Application) -> None:
    """Runs when no more connections are accepted: event streams end, other requests are waited for."""
    app[STOPPING].set()


async def _stop_refreshes(app: web.Application) -> None:
    """A scan that is cut off resumes at its page."""
    tasks = list(app[REFRESHES].values())
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
