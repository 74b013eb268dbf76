"""Two small servers: one that answers as it is told, and a door before MLflow that checks who knocks."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """A server on a free loopback port; its address."""
    runner = web.ServerRunner(web.Server(handler, access_log=None), shutdown_timeout=0.2)  # type: ignore[arg-type]
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    try:
        yield f"http{'s' if tls else ''}://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def guarded(
    upstream: str, allowed: Callable[[web.Request], bool], tls: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    """A reverse proxy that answers 401 to whoever is not allowed."""
    async with aiohttp.ClientSession(auto_decompress=False) as session:

        async def forward(request: web.Request) -> web.StreamResponse:
            if not allowed(request):
                return web.json_response({"error_code": "UNAUTHENTICATED", "message": "who are you?"}, status=401)
            url = upstream + request.raw_path
            headers = {key: value for key, value in request.headers.items() if key not in ("Host", "Authorization")}
            async with session.request(request.method, url, data=await request.read(), headers=headers) as answer:
                kept = {key: value for key, value in answer.headers.items() if key in ("Content-Type", "ETag")}
                return web.Response(status=answer.status, body=await answer.read(), headers=kept)

        async with serving(forward, tls) as url:
            yield url
