"""A kind's stand-in whose every answer is late: `KIND --delay SECONDS`."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.typedefs import Middleware

from fedreg.registries.manifests import load_attribute, load_manifest

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind")
    parser.add_argument("--delay", type=float, default=0.0)
    given = parser.parse_args()
    create_app = load_attribute(load_manifest(given.kind).standin or "")
    assert callable(create_app)
    await serve(create_app(), given.delay)


async def serve(app: web.Application, delay: float) -> None:
    """Say `listening URL` on stdout, and serve the application until killed; each answer `delay` seconds late."""
    app.middlewares.append(_late(delay))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    sys.stdout.write(f"listening http://127.0.0.1:{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


def _late(seconds: float) -> Middleware:
    @web.middleware
    async def wait(request: web.Request, handler: Handler) -> web.StreamResponse:
        await asyncio.sleep(seconds)
        return await handler(request)

    return wait


if __name__ == "__main__":
    asyncio.run(main())
