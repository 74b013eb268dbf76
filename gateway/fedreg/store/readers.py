"""Reading: a few threads, each with a connection of its own, each read in one snapshot."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy import Connection

T = TypeVar("T")


class Readers:
    """Threads that read over connections that `connect` opens."""

    def __init__(self, threads: int, connect: Callable[[], Connection]) -> None:
        self._connect = connect
        self._local = threading.local()
        self._open: list[Connection] = []
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="fedreg-store-reader")

    def submit(self, fn: Callable[[Connection], T]) -> Future[T]:
        """Run `fn` on a thread."""
        return self._threads.submit(self._read, fn)

    def close(self) -> None:
        """Finish what is under way and close the connections."""
        self._threads.shutdown()
        while self._open:
            self._open.pop().close()

    def _read(self, fn: Callable[[Connection], T]) -> T:
        connection = self._connected()
        with connection.begin():
            return fn(connection)

    def _connected(self) -> Connection:
        connection: Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._connect()
            self._open.append(connection)
        return connection

    def _drop(self, connection: Connection) -> None:
        """Forget a connection of this thread's: its next read opens another."""
        self._local.connection = None
        self._open.remove(connection)
        connection.close()
