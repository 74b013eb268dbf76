"""Listening, and stopping without dropping a request."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from fedreg.api.auth import check_binding
from fedreg.domain.errors import ConfigError
from fedreg.settings import Settings


@asynccontextmanager
async def open_server(
    app: web.Application, settings: Settings, *, host: str | None = None, port: int | None = None
) -> AsyncIterator[str]:
    """Serve until the block ends; yields the URL. `host` and `port` replace those of the settings, port 0 is any.

    At the end no connection is accepted any more, event streams end, and requests under way get
    `server.shutdown_timeout` seconds. Raises ConfigError for an address beyond loopback without tokens, or in use.
    """
    host = settings.server.host if host is None else host
    port = settings.server.port if port is None else port
    check_binding(host, settings)
    # The middleware writes the access log; a client that leaves must not cut a write in half.
    runner = web.AppRunner(
        app, access_log=None, handler_cancellation=False, shutdown_timeout=settings.server.shutdown_timeout
    )
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise ConfigError(
                f"server: can't listen on {host}:{port} ({error.strerror})", cure="choose another host or port"
            ) from error
        bound = runner.addresses[0]
        yield f"http://{f'[{bound[0]}]' if ':' in bound[0] else bound[0]}:{bound[1]}"
    finally:
        await runner.cleanup()
