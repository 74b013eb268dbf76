"""The one writer: a thread that commits many callers' functions at once.

Each function runs in a savepoint of its own inside one BEGIN IMMEDIATE transaction, so that one's error does
not undo another's work, and is acknowledged after the commit. Durable functions commit with synchronous=FULL;
index functions, which lose nothing that can't be read again, with NORMAL. The two kinds take turns, so that
neither a scan nor a flood of promotions starves the other.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy import Connection

from fedreg.domain.errors import StoreError
from fedreg.store.connections import in_transaction, set_synchronous

Result = TypeVar("Result")
_LARGEST_GROUP = {True: 256, False: 8}  # durable: small functions, one fsync; index: whole pages of a scan


@dataclass(slots=True)
class _Job:
    run: Callable[[Connection], Any]
    future: Future[Any] = field(default_factory=Future)
    result: Any = None
    error: Exception | None = None


class Writer:
    """Owns the writing connection from `start` to `close`."""

    def __init__(self, connection: Connection) -> None:
        self.commits = 0  # tells readers in this process whether what they keep still holds
        self._connection = connection
        self._waiting: dict[bool, deque[_Job]] = {True: deque(), False: deque()}
        self._last_turn = False
        self._closed = False
        self._wake = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="fedreg-store-writer", daemon=True)
        self._thread.start()

    def submit(self, run: Callable[[Connection], Result], *, durable: bool) -> Future[Result]:
        """Queue a function. A future cancelled before its turn never runs. Raises StoreError once closed."""
        job = _Job(run)
        with self._wake:
            if self._closed:
                raise StoreError("the store is closed", cure="open it again")
            self._waiting[durable].append(job)
            self._wake.notify()
        return job.future

    def close(self) -> None:
        """Finish what is queued, then stop the thread and close its connection."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        self._thread.join()
        self._connection.close()

    def _work(self) -> None:
        while group := self._take():
            durable, jobs = group
            if jobs:
                self._commit(jobs, durable=durable)

    def _take(self) -> tuple[bool, list[_Job]] | None:
        with self._wake:
            self._wake.wait_for(lambda: self._closed or any(self._waiting.values()))
            if not any(self._waiting.values()):
                return None
            turn = not self._last_turn if self._waiting[not self._last_turn] else self._last_turn
            self._last_turn = turn
            queue = self._waiting[turn]
            jobs = [queue.popleft() for _ in range(min(len(queue), _LARGEST_GROUP[turn]))]
        return turn, [job for job in jobs if job.future.set_running_or_notify_cancel()]

    def _commit(self, jobs: list[_Job], *, durable: bool) -> None:
        try:
            set_synchronous(self._connection, full=durable)
            with self._connection.begin():
                for job in jobs:
                    self._attempt(job)
            self.commits += 1
        except Exception as error:  # noqa: BLE001  handed to every caller whose work went with the transaction
            for job in jobs:
                job.future.set_exception(job.error or error)
            return
        for job in jobs:
            if job.error is None:
                job.future.set_result(job.result)
            else:
                job.future.set_exception(job.error)

    def _attempt(self, job: _Job) -> None:
        try:
            with self._connection.begin_nested():
                job.result = job.run(self._connection)
        except Exception as error:
            job.error = error
            # A full disk makes SQLite roll back everything: then nobody of this group may be told "done".
            if not in_transaction(self._connection):
                raise
