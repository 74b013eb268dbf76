"""Serves the stand-in of a kind in a process of its own: `python -m fedreg.sandbox.standin KIND --port N`.

Which application that is its manifest says. It ends with SIGTERM or Ctrl-C.
"""

from __future__ import annotations

import asyncio
import json
import signal
import ssl

import click
from aiohttp import web

from fedreg.registries.manifests import load_attribute, load_manifest


@click.command()
@click.argument("kind")
@click.option("--port", type=int, required=True, help="Where it answers plain HTTP.")
@click.option("--tls-port", type=int, help="Where it answers HTTPS as well.")
@click.option("--certificate", help="PEM file of the certificate for that, with its private key.")
@click.option("--options", default="{}", help="What the application is made with, as JSON.")
def main(kind: str, port: int, tls_port: int | None, certificate: str | None, options: str) -> None:
    """Serve until the end of the process."""
    create_app = load_attribute(load_manifest(kind).standin or "")
    if not callable(create_app):
        raise click.UsageError(f"kind {kind!r} has no stand-in")
    asyncio.run(serve(create_app(**json.loads(options)), port, tls_port, certificate))


async def serve(app: web.Application, port: int, tls_port: int | None, certificate: str | None) -> None:
    """Listen on loopback until SIGTERM or SIGINT. The plain port opens last: what answers there is up as a whole."""
    stop = asyncio.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(sign, stop.set)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        if tls_port is not None and certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            await web.TCPSite(runner, "127.0.0.1", tls_port, ssl_context=context).start()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        await stop.wait()
    finally:
        await runner.cleanup()


if __name__ == "__main__":
    main()
