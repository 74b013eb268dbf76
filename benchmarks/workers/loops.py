"""The event loop that `fedreg serve` uses: uvloop's where it is installed. The bare reference gets the same."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from importlib.util import find_spec
from typing import Any


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run to the end."""
    factory = None
    if find_spec("uvloop") is not None:
        from uvloop import new_event_loop as factory
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main)
