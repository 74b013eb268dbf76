"""Requests that nobody waits for: several at a time, paced, whatever the answer is, until told to stop."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Any

import aiohttp

from benchmarks.workers.tasks import answer_tasks

_tasks: list[asyncio.Task[None]] = []
_session: list[aiohttp.ClientSession] = []
_answers: Counter[str] = Counter()


async def obey(task: dict[str, Any]) -> dict[str, Any]:
    """Carry out `{urls, token, connections, pause}`, answered once every connection has sent a request, or `{}`.

    `connections` of each URL; `pause` in seconds between two requests of one. The answer to `{}` ends them, and
    holds how many a second were answered, by URL and status.
    """
    if not task:
        return await _stop()
    session = aiohttp.ClientSession(
        headers={"Authorization": f"Bearer {task['token']}"},
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(total=None),
    )
    _session.append(session)
    _answers.clear()
    begun = [asyncio.Event() for _ in task["urls"] * task["connections"]]
    for number, event in enumerate(begun):
        url = task["urls"][number % len(task["urls"])]
        _tasks.append(asyncio.create_task(_send_for_ever(session, url, task["pause"], event)))
    for event in begun:
        await event.wait()
    _answers["since"] = time.perf_counter_ns()
    return {}


async def _send_for_ever(session: aiohttp.ClientSession, url: str, pause: float, begun: asyncio.Event) -> None:
    while True:
        begun.set()
        async with session.get(url) as answer:
            await answer.read()
        _answers[f"{url} {answer.status}"] += 1
        await asyncio.sleep(pause)


async def _stop() -> dict[str, Any]:
    seconds = (time.perf_counter_ns() - _answers.pop("since")) / 1e9
    failed = [task.exception() for task in _tasks if task.done()]
    for task in _tasks:
        task.cancel()
    await asyncio.gather(*_tasks, return_exceptions=True)
    _tasks.clear()
    await _session.pop().close()
    if failed:
        raise RuntimeError(f"{len(failed)} connections failed: {failed[0]!r}")
    return {"rates": {key: count / seconds for key, count in _answers.items()}}


if __name__ == "__main__":
    asyncio.run(answer_tasks(obey))
