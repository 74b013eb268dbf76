"""The bounded pool of threads."""

from __future__ import annotations

import asyncio
import contextvars
import threading

import pytest

from fedreg_adapters.shared.threads import MAX_THREADS, Threads

ACTOR: contextvars.ContextVar[str] = contextvars.ContextVar("actor", default="nobody")


async def test_calls_keep_their_context_and_run_elsewhere() -> None:
    threads = Threads(2, name="sdk")
    ACTOR.set("ann")
    assert await threads.run(ACTOR.get) == "ann"
    assert (await threads.run(threading.current_thread)).name.startswith("sdk")
    with pytest.raises(ValueError, match="invalid literal"):
        await threads.run(int, "x")
    await threads.aclose()
    await threads.aclose()


async def test_no_more_at_once_than_the_size() -> None:
    threads = Threads(2, name="sdk")
    started, release = threading.Semaphore(0), threading.Event()

    def work() -> bool:
        started.release()
        return release.wait(10)

    calls = [asyncio.create_task(threads.run(work)) for _ in range(3)]
    assert all([await asyncio.to_thread(started.acquire, timeout=10) for _ in range(2)])
    assert not started.acquire(blocking=False), "the third waits for a thread"
    release.set()
    assert await asyncio.gather(*calls) == [True] * 3
    await threads.aclose()


@pytest.mark.parametrize(("asked", "given"), [(0, 1), (1, 1), (8, MAX_THREADS), (99, MAX_THREADS)])
def test_the_size_is_bounded(asked: int, given: int) -> None:
    assert Threads(asked, name="sdk").size == given
