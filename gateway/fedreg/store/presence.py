"""A replica's own session at a shared store: its signs of life, and locks that end with it.

Blocking, for one thread. Apart from the store's writer, behind whose queue a sign of life would come too late.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import TypeVar

from sqlalchemy import URL, Connection, text
from sqlalchemy.exc import DBAPIError

from fedreg.store import replicas
from fedreg.store.dialects import WRITING
from fedreg.store.postgresql import is_lost, open_connection, session_name

T = TypeVar("T")
_TRY = text("SELECT pg_try_advisory_lock(:key)")
_UNLOCK = text("SELECT pg_advisory_unlock(:key)")
_WRITING = text("SELECT pg_advisory_xact_lock(:key)")
# A writer that is stopped, and not late yet, holds that lock; signs of life wait behind who waits for it.
_WAIT_NO_LONGER = text("SELECT set_config('lock_timeout', :time, true)")
_WAITS = 4  # in the time of a lease
_END_SESSIONS = text(
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
    "WHERE application_name = :name AND datname = current_database() AND usename = current_user"
)


class Presence:
    """The session of one replica. Any method raises DBAPIError where the server is away; the next one connects again.

    Locks that are held are taken again then: what was cut was the connection, not the replica.
    """

    def __init__(self, url: URL, replica_id: str) -> None:
        self.replica_id = replica_id
        self._url = url
        self._connection: Connection | None = None
        self._held: set[int] = set()

    def join(self, address: str | None) -> None:
        """Make the replica known."""
        self._transact(lambda tx: replicas.add(tx, self.replica_id, address))

    def set_address(self, address: str | None) -> None:
        self._transact(lambda tx: replicas.set_address(tx, self.replica_id, address))

    def renew(self) -> bool:
        """Give a sign of life; False where the replica was given up."""
        return self._transact(lambda tx: replicas.set_seen(tx, self.replica_id))

    def give_up(self, lease: timedelta) -> list[str]:
        """Give up replicas whose lease has ended: they write no more, and hold no lock. The ids to be taken over."""

        def run(tx: Connection) -> list[str]:
            tx.execute(_WAIT_NO_LONGER, {"time": f"{round(lease.total_seconds() * 1000 / _WAITS)}ms"})
            # With the writers' lock: a transaction of theirs is either committed by now, or refused.
            tx.execute(_WRITING, {"key": WRITING})
            return replicas.give_up(tx, lease, self.replica_id)

        given_up = self._transact(run)
        for replica_id in given_up:
            self._end_sessions(session_name(replica_id))
        return given_up

    def end_late_sessions(self, lease: timedelta) -> list[str]:
        """End the sessions of replicas whose lease has ended, which are returned: with them end their locks.

        One that was stopped in the middle of its work may hold what others need to give it up.
        """
        late = self._transact(lambda tx: replicas.list_late(tx, lease, self.replica_id))
        for replica_id in late:
            self._end_sessions(session_name(replica_id))
        return late

    def remove(self, replica_id: str) -> None:
        """Forget a replica, when what it left is taken over."""
        self._transact(lambda tx: replicas.remove(tx, replica_id))

    def leave(self) -> None:
        """The last sign: others take over at once what is not finished."""
        self._transact(lambda tx: replicas.leave(tx, self.replica_id))

    def try_lock(self, name: str) -> bool:
        """Take a lock over all replicas; False while another one holds it."""
        key = _key(name)
        taken = self._transact(lambda tx: bool(tx.scalar(_TRY, {"key": key})))
        if taken:
            self._held.add(key)
        return taken

    def unlock(self, name: str) -> None:
        key = _key(name)
        self._held.discard(key)
        self._transact(lambda tx: tx.execute(_UNLOCK, {"key": key}))

    def close(self) -> None:
        """End the session, and with it its locks."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(DBAPIError):
                connection.close()

    def _end_sessions(self, name: str) -> None:
        self._transact(lambda tx: tx.execute(_END_SESSIONS, {"name": name}))

    def _transact(self, work: Callable[[Connection], T]) -> T:
        connection = self._connected()
        try:
            with connection.begin():
                return work(connection)
        except Exception:
            if is_lost(connection):
                self.close()
            raise

    def _connected(self) -> Connection:
        if self._connection is None:
            name = session_name(self.replica_id)
            opened = open_connection(self._url, name=name, isolation_level="READ COMMITTED")
            with opened.begin():
                for key in self._held:
                    opened.execute(_TRY, {"key": key})
            self._connection = opened
        return self._connection


def _key(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[:8], signed=True)
