"""The one writer: a thread that commits many callers' functions at once.

Each function runs in a savepoint of its own inside one transaction, so that one's error does not undo another's
work, and is acknowledged after the commit. Durable functions are on disk then; index functions, which lose nothing
that can't be read again, commit without waiting for it. The two kinds take turns, so that neither a scan nor a flood
of promotions starves the other. Where a connection breaks, all functions of a transaction run again: they have no
effect but on the connection they are given.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection

from fedreg.domain.errors import LeaseLost, StoreError, StoreUnavailable

Result = TypeVar("Result")
_LARGEST_GROUP = {True: 256, False: 8}  # durable: small functions, one fsync; index: whole pages of a scan


@dataclass(slots=True)
class _Job:
    run: Callable[[Connection], Any]
    future: Future[Any] = field(default_factory=Future)
    result: Any = None
    error: Exception | None = None


class Session(Protocol):
    """The writing connection, and how a transaction on it begins and commits."""

    def run(self, work: Callable[[Connection], None], *, durable: bool) -> None:
        """Run `work` in one transaction and commit it; once more, from its start, where that is safe."""
        ...

    def isolate(self, connection: Connection) -> AbstractContextManager[object]:
        """Undo what is done within, and no more of the transaction, where it raises."""
        ...

    def is_open(self, connection: Connection) -> bool:
        """Whether the transaction that `work` was given is still open."""
        ...

    def close(self) -> None: ...


class Writer:
    """Owns the writing session until `close`."""

    def __init__(self, session: Session) -> None:
        self.commits = 0  # tells readers in this process whether what they keep still holds
        self._session = session
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
        """Finish what is queued, then stop the thread and close its session."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        self._thread.join()
        self._session.close()

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
            self._session.run(lambda connection: self._attempt_all(connection, jobs), durable=durable)
            self.commits += 1
        except Exception as error:  # noqa: BLE001  handed to every caller whose work went with the transaction
            for job in jobs:
                gone = isinstance(error, StoreUnavailable | LeaseLost)
                job.future.set_exception(error if gone else job.error or error)
            return
        for job in jobs:
            if job.error is None:
                job.future.set_result(job.result)
            else:
                job.future.set_exception(job.error)

    def _attempt_all(self, connection: Connection, jobs: list[_Job]) -> None:
        for job in jobs:
            job.error = None
            try:
                with self._session.isolate(connection):
                    job.result = job.run(connection)
            except Exception as error:
                job.error = error
                # A full disk makes SQLite roll back everything: then nobody of this group may be told "done".
                if not self._session.is_open(connection):
                    raise
