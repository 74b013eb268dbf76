"""Faults and byte counts of a `FaultProxy` from another process, on a port of its own.

    POST   /_faults          arm a fault: the fields of `Fault` as JSON
    GET    /_faults          {"fired": 1, "counters": [{"method", "path", "requests", "received", "sent"}, …]}
    DELETE /_faults          disarm all
    POST   /_faults/release  forward what `late_apply` holds: {"released": 1}

`python -m fedreg.testing.fault_control URL` prints the proxy's and the control's address as JSON, then serves.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from dataclasses import asdict

import msgspec
from aiohttp import web

from fedreg.testing.backend import Fault
from fedreg.testing.faults import FaultProxy

PROXY = web.AppKey("proxy", FaultProxy)


def control_app(proxy: FaultProxy) -> web.Application:
    """The control surface of one proxy."""
    app = web.Application()
    app[PROXY] = proxy
    app.router.add_post("/_faults", post_fault)
    app.router.add_get("/_faults", get_faults)
    app.router.add_delete("/_faults", delete_faults)
    app.router.add_post("/_faults/release", post_release)
    return app


async def start_control(proxy: FaultProxy, *, port: int = 0) -> tuple[web.AppRunner, str]:
    """Serve the control surface on loopback; returns its runner (to clean up) and its address."""
    runner = web.AppRunner(control_app(proxy), access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}"


async def post_fault(request: web.Request) -> web.Response:
    try:
        fault = msgspec.json.decode(await request.read(), type=Fault)
    except msgspec.ValidationError as error:
        return web.json_response({"error": str(error)}, status=400)
    request.app[PROXY].inject(fault)
    return web.json_response({}, status=201)


async def get_faults(request: web.Request) -> web.Response:
    proxy = request.app[PROXY]
    counters = [
        {"method": method, "path": path, **asdict(counter)} for (method, path), counter in proxy.counters.items()
    ]
    return web.json_response({"fired": proxy.fired, "counters": counters})


async def delete_faults(request: web.Request) -> web.Response:
    request.app[PROXY].clear()
    return web.json_response({})


async def post_release(request: web.Request) -> web.Response:
    return web.json_response({"released": await request.app[PROXY].release()})


async def serve(upstream: str, port: int, control_port: int) -> None:
    """Run proxy and control until cancelled."""
    async with FaultProxy(upstream, port=port) as proxy:
        runner, control = await start_control(proxy, port=control_port)
        sys.stdout.write(json.dumps({"url": proxy.url, "control": control}) + "\n")
        sys.stdout.flush()
        try:
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()


def main() -> None:
    parser = argparse.ArgumentParser(description="A proxy that injects faults in front of an HTTP server.")
    parser.add_argument("upstream", help="address to forward to, for example http://127.0.0.1:5000")
    parser.add_argument("--port", type=int, default=0, help="port of the proxy (0: any free one)")
    parser.add_argument("--control-port", type=int, default=0, help="port of the control surface (0: any free one)")
    options = parser.parse_args()
    try:
        asyncio.run(serve(options.upstream, options.port, options.control_port))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
