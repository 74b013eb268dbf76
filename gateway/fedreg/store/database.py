"""The store's door: functions that take a connection go in, their results come out.

Both databases are driven synchronously: one writer thread (see `writer`) and a few readers (see `readers`).
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import URL, Connection
from sqlalchemy.exc import DatabaseError, DataError, IntegrityError, OperationalError, ProgrammingError

from fedreg.domain.errors import ConfigError, InvalidRequest, StoreBusy, StoreError
from fedreg.store import connections, health
from fedreg.store.connections import SqliteSession
from fedreg.store.keyed import KeyedReads
from fedreg.store.ownership import Owner, Ownership, busy, read_owner
from fedreg.store.place import Place, describe, parse_url
from fedreg.store.readers import Readers
from fedreg.store.upgrade import Upgrade, check_revision, upgrade
from fedreg.store.writer import Writer

if TYPE_CHECKING:
    from fedreg.store.postgresql import PostgresqlSession

T = TypeVar("T")
_FILE_READERS = 2  # threads


class Store:
    """An open store. Make it with `open`, end it with `aclose`; usable from any event loop."""

    def __init__(
        self,
        place: Place,
        readers: Readers | None,
        writer: Writer | None,
        ownership: Ownership | None = None,
        upgraded: Upgrade | None = None,
        session: PostgresqlSession | None = None,
    ) -> None:
        """`upgraded` is what opening did to the store, None for a reader."""
        self.place = place
        self.upgraded = upgraded
        self._writer = writer
        self._ownership = ownership
        self._session = session
        self._closed = False
        self._keyed: KeyedReads | None = None
        self._readers = readers

    @classmethod
    async def open(cls, url: str, *, read_only: bool = False, address: str | None = None) -> Store:
        """Open `sqlite:///path`, the in-memory `sqlite://` or `postgresql://…`, creating or upgrading it.

        SQLite: for the one process that owns it; `address` is recorded for others (see `owner`). PostgreSQL: for any
        number of processes. Raises StoreBusy where another process owns the store and `read_only` is False;
        ConfigError for another kind of URL, a server that can't be reached, a store that a newer release made, and,
        read-only, one that is missing or of an older release.
        """
        place = parse_url(url)
        if isinstance(place, URL):
            return await asyncio.to_thread(_open_server, place, read_only)
        if read_only:
            return await asyncio.to_thread(_open_reading, place)
        return await asyncio.to_thread(_open_owning, place, address)

    @property
    def read_only(self) -> bool:
        return self._writer is None

    @property
    def is_sole(self) -> bool:
        """Whether nobody but this process can write to the store."""
        return self._writer is not None and self._session is None

    @property
    def owner(self) -> Owner | None:
        """The process that owns the store and, where it serves, its address; None where unknown, or several may."""
        return read_owner(self.place) if isinstance(self.place, Path) else None

    async def set_address(self, address: str | None) -> None:
        """Record where this owner serves, once that is known."""
        if self._ownership is not None:
            await asyncio.to_thread(self._ownership.set_address, address)

    @property
    def schema(self) -> str | None:
        """The PostgreSQL schema that the store's tables are in."""
        return None if self._session is None else self._session.schema

    def act_as(self, replica_id: str) -> None:
        """Write as this replica from now on: LeaseLost once it is given up. Of a shared store only."""
        assert self._session is not None
        self._session.replica = replica_id

    async def read(self, fn: Callable[[Connection], T]) -> T:
        """Run `fn` in one snapshot on a reader thread."""
        if self._readers is None:
            return await self._submit(fn, durable=False)
        if self._closed:
            raise StoreError("the store is closed", cure="open it again")
        with _translated():
            return await asyncio.wrap_future(self._readers.submit(fn))

    async def read_row(self, fn: Callable[[Connection], T]) -> T:
        """As `read`, for single rows by their key: of a SQLite file on the calling thread, the event loop's.

        To hand such a read to a thread and back takes ten times as long as the read.
        """
        keyed = self.keyed
        if keyed is None or self._closed:
            return await self.read(fn)
        with _translated():
            return keyed.read(fn)

    @property
    def keyed(self) -> KeyedReads | None:
        """Reads by key, for the event loop's thread alone; of a SQLite file only, for a server is too far away."""
        if self._keyed is None and isinstance(self.place, Path):
            self._keyed = KeyedReads(connections.open_reader(self.place, read_only=self.read_only), self._writer)
        return self._keyed

    async def write(self, fn: Callable[[Connection], T]) -> T:
        """Run `fn` on the writer thread; returns once it is committed and on disk.

        `fn` has no effect but on its connection: it may run again. An error of `fn` undoes `fn` alone. A caller
        cancelled while `fn` waits takes it back; once it runs, it is committed all the same. Raises StoreBusy where
        the store is read-only, StoreUnavailable where its server stays away.
        """
        return await self._submit(fn, durable=True)

    async def write_index(self, fn: Callable[[Connection], T]) -> T:
        """As `write`, for what a scan can read again: a power cut may lose the last of it, a crash does not."""
        return await self._submit(fn, durable=False)

    async def check(self) -> list[str]:
        """What is wrong with the store, one line each; empty where all is well."""
        return await self.read(health.check)

    async def backup(self, path: Path) -> None:
        """Copy the store, as it is at one moment, to a new file. Raises AlreadyExists, StoreError."""
        await self.read(lambda conn: health.backup(conn, path))

    async def aclose(self) -> None:
        """Finish queued writes, close, and let the next owner in. Safe to repeat."""
        await asyncio.to_thread(self._close)

    def submit(self, fn: Callable[[Connection], T], *, durable: bool = True) -> Future[T]:
        """As `write`, for who waits on a thread; errors are the database's own."""
        if self._writer is None:
            raise _refuse(self.place)
        return self._writer.submit(fn, durable=durable)

    async def _submit(self, fn: Callable[[Connection], T], *, durable: bool) -> T:
        future = self.submit(fn, durable=durable)
        with _translated():
            return await asyncio.wrap_future(future)

    def _close(self) -> None:
        self._closed = True
        keyed, self._keyed = self._keyed, None
        if keyed is not None:
            keyed.close()
        if self._readers is not None:
            self._readers.close()
        if self._writer is not None:
            self._writer.close()
        ownership, self._ownership = self._ownership, None
        if ownership is not None:
            ownership.release()


def _open_owning(path: Path | None, address: str | None) -> Store:
    if path is None:
        connection = connections.open_writer(None)
        return Store(None, None, Writer(SqliteSession(connection)), None, upgrade(connection, None))
    ownership = Ownership.take(path, address)
    try:
        connection = connections.open_writer(path)
        upgraded = upgrade(connection, path)
    except (DatabaseError, sqlite3.Error) as error:
        ownership.release()
        raise _unusable(path, error) from error
    except BaseException:
        ownership.release()
        raise
    return Store(path, _read_file(path, read_only=False), Writer(SqliteSession(connection)), ownership, upgraded)


def _open_reading(path: Path | None) -> Store:
    if path is None:
        raise ConfigError("store.url: an in-memory store can't be read by a second process", cure="name a file")
    if not path.exists():
        raise ConfigError(f"store.url: there is no store at {str(path)!r}", cure="run a command that writes first")
    try:
        with connections.open_reader(path, read_only=True) as connection, connection.begin():
            check_revision(connection, path)
    except (DatabaseError, sqlite3.Error) as error:
        raise _unusable(path, error) from error
    return Store(path, _read_file(path, read_only=True), None)


def _read_file(path: Path, *, read_only: bool) -> Readers:
    return Readers(_FILE_READERS, partial(connections.open_reader, path, read_only=read_only))


def _open_server(url: URL, read_only: bool) -> Store:
    from fedreg.store import postgresql  # a quarter of a second, which only this store pays

    try:
        if read_only:
            with postgresql.open_reader(url) as connection, connection.begin():
                check_revision(connection, url)
            return Store(url, postgresql.ServerReaders(url), None)
        connection = postgresql.open_writer(url)
        try:
            upgraded = upgrade(connection, url)
        except BaseException:
            connection.close()
            raise
    except DatabaseError as error:
        raise _unusable(url, error) from error
    session = postgresql.PostgresqlSession(url, connection)
    return Store(url, postgresql.ServerReaders(url), Writer(session), None, upgraded, session)


def _refuse(place: Place) -> StoreBusy:
    if isinstance(place, Path):
        return busy(place)
    return StoreBusy(f"store {describe(place)!r} is open for reading only", cure="open it for writing")


def _unusable(place: Path | URL, error: DatabaseError | sqlite3.Error) -> ConfigError:
    reason = str(getattr(error, "orig", error)).strip()
    if isinstance(place, URL):
        cure = "look whether the server runs, and whether this user may create tables in that database"
    else:
        cure = "name a SQLite file of fedreg's, or one that does not exist yet in a folder you may write to"
    return ConfigError(f"store.url: {describe(place)!r} can't be used as a store: {reason}", cure=cure)


@contextmanager
def _translated() -> Iterator[None]:
    """The troubles of disk, file and server as StoreError; a broken constraint, a mistake of the caller's, stays."""
    try:
        yield
    except (OperationalError, sqlite3.OperationalError) as error:
        reason = getattr(error, "orig", error)
        raise StoreError(
            f"the store could not do its work: {reason}", cure="look at the disk's space and the database"
        ) from error
    except DataError as error:
        raise InvalidRequest(
            f"the store can't hold a value: {error.orig}", cure="leave out characters that no text has, as NUL"
        ) from error
    except (IntegrityError, ProgrammingError):
        raise
    except DatabaseError as error:
        raise StoreError(f"the store is damaged: {error.orig}", cure="run `fedreg store check`") from error
