"""`fedreg serve`."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from importlib.util import find_spec

import click

from fedreg.cli.session import find_config_option


@click.command()
@click.option("--host", metavar="ADDRESS", help="Default: server.host of the configuration, else 127.0.0.1.")
@click.option("--port", type=click.IntRange(0, 65535), help="Default: server.port, else 8080; 0 picks a free one.")
@click.pass_context
def serve(ctx: click.Context, host: str | None, port: int | None) -> None:
    """Run the gateway until SIGTERM or Ctrl-C. Without auth.tokens it listens on loopback only.

    Logs go to stderr, a JSON object a line; the one with the event `listening` has the URL.
    """
    import structlog

    from fedreg.bootstrap import serve_gateway
    from fedreg.settings import find_config, load_settings

    settings = load_settings(find_config(find_config_option(ctx)))
    log = structlog.get_logger("fedreg")
    serving = serve_gateway(settings, host=host, port=port, ready=lambda url: log.info("listening", url=url))
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(serving)
    log.info("stopped")
    _leave_hung_threads()


def _leave_hung_threads() -> None:
    """Exit past threads that hang in a vendor's SDK: all is closed, and they would hold the process for nothing."""
    if any(not thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread()):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's, where the extra is installed."""
    if find_spec("uvloop") is None:
        return None
    from uvloop import new_event_loop

    return new_event_loop
