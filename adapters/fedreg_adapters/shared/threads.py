"""A bounded pool of threads for a blocking SDK: one per registry, never the event loop's own."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

Params = ParamSpec("Params")
Result = TypeVar("Result")

MAX_THREADS = 8  # past this the interpreter lock, not the network, is what calls wait for


class Threads:
    """Runs blocking calls, `size` at once (1 to 8); further ones queue. Threads start when first needed."""

    def __init__(self, size: int, *, name: str) -> None:
        self.size = max(1, min(size, MAX_THREADS))
        self._executor = ThreadPoolExecutor(self.size, thread_name_prefix=name)

    async def run(self, function: Callable[Params, Result], /, *args: Params.args, **kwargs: Params.kwargs) -> Result:
        """Call `function` in a thread, with the caller's context variables.

        A cancelled caller does not stop the thread: the SDK's own time limits must be shorter than any deadline.
        """
        context = contextvars.copy_context()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, lambda: context.run(function, *args, **kwargs))

    async def aclose(self) -> None:
        """Drop what is queued and let running calls end. Safe to call twice; does not wait for a hung call."""
        self._executor.shutdown(wait=False, cancel_futures=True)
