"""A load generator: HTTP/1.1 keep-alive over bare sockets, a request after each answer, every answer timed."""

from __future__ import annotations

import asyncio
import time
from typing import Any
from urllib.parse import urlsplit

from benchmarks.sizes import percentile
from benchmarks.workers.tasks import answer_tasks


class Unexpected(Exception):
    """An answer that is none of 200, or a connection that ended."""


class Client(asyncio.Protocol):
    """One connection. `times` in seconds, of the answers since `start`."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._buffer = b""
        self._until = 0.0
        self._sent = 0.0
        self.times: list[float] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def start(self, until: float) -> None:
        """Send the first request; the last is sent before `until`."""
        self._until = until
        self._send()

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        head = self._buffer.find(b"\r\n\r\n")
        if head < 0 or len(self._buffer) < head + 4 + _length(self._buffer[:head]):
            return
        now = time.perf_counter()
        if not self._buffer.startswith(b"HTTP/1.1 200 "):
            self._fail(self._buffer[:500].decode("latin-1"))
            return
        self._buffer = b""
        self.times.append(now - self._sent)
        if now < self._until:
            self._send()
        elif not self.done.done():
            self.done.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail("the connection ended")

    def close(self) -> None:
        self._transport.close()

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(self._request)

    def _fail(self, why: str) -> None:
        if not self.done.done():
            self.done.set_exception(Unexpected(why))


async def measure(task: dict[str, Any]) -> dict[str, Any]:
    """Carry out `{url, token, connections, seconds}`: how many, how many a second, and
    milliseconds at p50 and p99."""
    place = urlsplit(task["url"])
    target = f"{place.path or '/'}{'?' + place.query if place.query else ''}"
    token = f"Authorization: Bearer {task['token']}\r\n" if task.get("token") else ""
    request = f"GET {target} HTTP/1.1\r\nHost: {place.netloc}\r\n{token}\r\n".encode()
    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(lambda: Client(request), place.hostname, place.port)
        for _ in range(task["connections"])
    ]
    clients = [client for _, client in made]
    started = time.perf_counter()
    for client in clients:
        client.start(started + task["seconds"])
    try:
        await asyncio.gather(*(client.done for client in clients))
    except Unexpected as error:
        return {"error": str(error)}
    finally:
        for client in clients:
            client.close()
    seconds = time.perf_counter() - started
    times = [one * 1000 for client in clients for one in client.times]
    return {
        "count": len(times),
        "rate": len(times) / seconds,
        "p50": percentile(times, 0.5),
        "p99": percentile(times, 0.99),
    }


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line[15:])
    return 0


if __name__ == "__main__":
    asyncio.run(answer_tasks(measure))
