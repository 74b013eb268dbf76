"""Connections to PostgreSQL, and what makes its transactions behave as the store promises.

One transaction writes at a time, over all gateways, as with SQLite: each takes the same advisory lock first. So
whatever a function reads in its transaction nobody changes before it commits, the journal's head included, and two
of them can neither conflict nor deadlock. A connection that breaks is opened again and the work repeated; where it
broke while committing, the server is asked first what became of the transaction.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import Any, TypeVar

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import URL, Connection, NullPool, create_engine, event, text
from sqlalchemy.exc import DBAPIError, OperationalError
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_delay, wait_exponential

from fedreg.domain.errors import LeaseLost, StoreUnavailable
from fedreg.store import replicas
from fedreg.store.dialects import WRITING
from fedreg.store.place import describe
from fedreg.store.readers import Readers

T = TypeVar("T")
log = logging.getLogger(__name__)

PATIENCE = 30.0
"""Seconds that a write or read waits for a server that is away, before it fails."""

# A server that vanished without a word is noticed after some 15 seconds, not the system's hours.
_LINK: dict[str, Any] = {
    "connect_timeout": 10,
    "keepalives_idle": 5,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": 15_000,
}
_MAY_PASS = ("40001", "40P01", "55P03")  # a conflict, a deadlock, a lock that somebody kept too long
_SETTINGS = {
    # A process that is stopped in the middle of a transaction must not stop all others.
    "idle_in_transaction_session_timeout": "10s",
    "lock_timeout": "60s",
    "client_min_messages": "warning",
}
# While it writes a session has its replica's name, by which others end it where the replica is given up.
_BEGIN = text(
    "SELECT set_config('application_name', :name, true), pg_advisory_xact_lock(:writing), "
    "set_config('synchronous_commit', :commit, true), "
    "CAST(pg_current_xact_id() AS TEXT) AS id"
)
_KEPT = text("SELECT current_setting('synchronous_commit'), current_schema()")
_BECAME = text("SELECT pg_xact_status(CAST(:id AS xid8))")
_READERS = 4  # threads: they wait more than they work


def session_name(replica_id: str) -> str:
    """What the server calls the sessions of a replica."""
    return f"fedreg {replica_id}"


class Lost(Exception):
    """The connection broke, or another one was in the way; nothing of the transaction is known to be committed."""


def open_connection(url: URL, *, name: str = "fedreg", **options: Any) -> Connection:
    """A connection of its own, outside any pool. `options` are SQLAlchemy's execution options.

    Raises sqlalchemy's OperationalError where the server can't be reached or refuses.
    """
    arguments = {key: value for key, value in {**_LINK, "application_name": name}.items() if key not in url.query}
    engine = create_engine(url, poolclass=NullPool, connect_args=arguments, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def set_up(connection: psycopg.Connection[Any], _record: Any) -> None:
        for setting, value in _SETTINGS.items():
            connection.execute("SELECT set_config(%s, %s, false)", (setting, value))
        connection.commit()

    return engine.connect().execution_options(**options)


def open_writer(url: URL) -> Connection:
    """A connection whose every statement sees what was committed before it: its first one waits for the lock."""
    return open_connection(url, isolation_level="READ COMMITTED")


def open_reader(url: URL) -> Connection:
    """A connection whose transactions are snapshots and can't write."""
    return open_connection(url, isolation_level="REPEATABLE READ", postgresql_readonly=True)


def is_lost(connection: Connection) -> bool:
    """Whether the server is gone, or has ended the session."""
    return connection.closed or connection.invalidated


def persist(work: Callable[[], T], url: URL) -> T:
    """Repeat work that raises `Lost` until it succeeds. StoreUnavailable when patience ends."""
    retrying = Retrying(
        stop=stop_after_delay(PATIENCE),
        wait=wait_exponential(multiplier=0.05, max=1.0),
        retry=retry_if_exception_type(Lost),
        before_sleep=lambda state: _warn(state, url),
        reraise=True,
    )
    try:
        return retrying(work)
    except Lost as error:
        raise StoreUnavailable(
            f"the store at {describe(url)!r} can't be reached: {error}", cure="look whether the server runs"
        ) from error


class ServerReaders(Readers):
    """Reads over connections that are opened again where they break: what was read then is read once more."""

    def __init__(self, url: URL) -> None:
        super().__init__(_READERS, lambda: open_reader(url))
        self._url = url

    def _read(self, fn: Callable[[Connection], T]) -> T:
        return persist(lambda: self._attempt(fn), self._url)

    def _attempt(self, fn: Callable[[Connection], T]) -> T:
        try:
            connection = self._connected()
        except OperationalError as error:
            raise Lost(str(error.orig)) from error
        try:
            with connection.begin():
                return fn(connection)
        except Exception as error:
            if not is_lost(connection):
                raise
            self._drop(connection)
            raise Lost(str(getattr(error, "orig", error))) from error


class PostgresqlSession:
    """The writing connection of one gateway: `writer.Session` over PostgreSQL."""

    def __init__(self, url: URL, connection: Connection) -> None:
        self.replica: str | None = None
        """Who writes; refused once it is given up."""
        self._url = url
        self._connection: Connection | None = connection
        with connection.begin():
            self._commit, self.schema = connection.execute(_KEPT).one()
        self._in_doubt: str | None = None

    def run(self, work: Callable[[Connection], None], *, durable: bool) -> None:
        """Run `work` in one transaction and commit it, again from its start where the connection broke."""
        self._in_doubt = None
        persist(lambda: self._attempt(work, durable), self._url)

    def isolate(self, connection: Connection) -> AbstractContextManager[object]:
        """Undo what is done within, and no more, where it raises."""
        return connection.begin_nested()

    def is_open(self, connection: Connection) -> bool:
        """Whether the transaction is still open; a broken connection has none."""
        if is_lost(connection):
            return False
        lower = connection.connection.dbapi_connection
        assert isinstance(lower, psycopg.Connection)
        return lower.info.transaction_status is TransactionStatus.INTRANS  # not one that can only be rolled back

    def close(self) -> None:
        if self._connection is not None:
            with suppress(DBAPIError):
                self._connection.close()
            self._connection = None

    def _attempt(self, work: Callable[[Connection], None], durable: bool) -> None:
        connection = self._connected()
        try:
            with connection.begin():
                name = "fedreg" if self.replica is None else session_name(self.replica)
                commit = self._commit if durable else "off"
                row = connection.execute(_BEGIN, {"name": name, "writing": WRITING, "commit": commit}).one()
                if self._was_committed(connection):
                    return
                if self.replica is not None and not replicas.is_alive(connection, self.replica):
                    raise LeaseLost("this gateway was not seen for longer than its lease; another one has taken over")
                work(connection)
                self._in_doubt = str(row.id)
        except Exception as error:
            if is_lost(connection):
                self.close()
                raise Lost(str(getattr(error, "orig", error))) from error
            self._in_doubt = None
            if getattr(getattr(error, "orig", None), "sqlstate", None) in _MAY_PASS:
                raise Lost(str(error)) from error
            raise

    def _connected(self) -> Connection:
        if self._connection is None:
            try:
                self._connection = open_writer(self._url)
            except OperationalError as error:
                raise Lost(str(error.orig)) from error
        return self._connection

    def _was_committed(self, connection: Connection) -> bool:
        """Whether the attempt before, which broke while committing, was; it has ended, since we have its lock."""
        transaction, self._in_doubt = self._in_doubt, None
        if transaction is None:
            return False
        found: str | None = connection.scalar(_BECAME, {"id": transaction})
        return found == "committed"


def _warn(state: RetryCallState, url: URL) -> None:
    if state.attempt_number == 1:
        error = state.outcome.exception() if state.outcome else None
        log.warning("the connection to the store at %s broke, trying again: %s", describe(url), error)
