"""Whether the gateway lives, what it counts, and what it offers."""

from __future__ import annotations

import msgspec
from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from fedreg.api.context import STOPPING, gateway_of, principal_of
from fedreg.api.encoding import Reply, respond
from fedreg.settings.sections import Role
from fedreg.version import __version__

OPENAPI = web.AppKey("openapi", bytes)
DOCS = web.AppKey("docs", str)
COLLECTOR = web.AppKey("collector", CollectorRegistry)
_DOCS_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """`status` is `ok` or `stopping`."""

    status: str
    version: str


async def get_health(request: web.Request) -> Health:
    return Health(status="ok", version=__version__)


async def get_readiness(request: web.Request) -> Reply[Health]:
    """Ready when the store answers. No registry is asked: one that is down must not take the gateway down."""
    if request.app[STOPPING].is_set():
        return Reply(Health(status="stopping", version=__version__), status=503)
    await gateway_of(request).store.read(lambda conn: conn.exec_driver_sql("SELECT 1").scalar())
    return Reply(Health(status="ok", version=__version__))


async def get_metrics(request: web.Request) -> web.Response:
    principal_of(request).require_everywhere(Role.READER)
    body = generate_latest(request.app[COLLECTOR])
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})


async def get_openapi(request: web.Request) -> web.Response:
    return respond(request.app[OPENAPI], 200)


async def get_docs(request: web.Request) -> web.Response:
    headers = {"Content-Security-Policy": _DOCS_POLICY, "X-Content-Type-Options": "nosniff"}
    return web.Response(text=request.app[DOCS], content_type="text/html", headers=headers)
