"""The least that aiohttp can answer: the reference of every HTTP row."""

from __future__ import annotations

import asyncio
import sys

from aiohttp import web

from benchmarks.workers.loops import run


async def main() -> None:
    """Serve until killed."""
    app = web.Application()
    app.router.add_get("/", hello)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    sys.stdout.write(f"listening http://127.0.0.1:{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


async def hello(_: web.Request) -> web.Response:
    """Hello."""
    return web.Response(text="hello")


if __name__ == "__main__":
    run(main())
