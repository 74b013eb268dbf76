"""The store's door: functions that take a connection go in, their results come out.

SQLite is driven synchronously: one writer thread (see `writer`) and two readers, each with a connection of its own.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DatabaseError, IntegrityError, OperationalError, ProgrammingError

from fedreg.domain.errors import ConfigError, StoreError
from fedreg.store import health
from fedreg.store.connections import open_reader, open_writer, parse_url
from fedreg.store.keyed import KeyedReads
from fedreg.store.ownership import Owner, Ownership, busy, read_owner
from fedreg.store.upgrade import Upgrade, check_revision, upgrade
from fedreg.store.writer import Writer

T = TypeVar("T")
_READERS = 2


class Store:
    """An open store. Make it with `open`, end it with `aclose`; usable from any event loop."""

    def __init__(
        self,
        path: Path | None,
        writer: Writer | None,
        ownership: Ownership | None,
        upgraded: Upgrade | None = None,
    ) -> None:
        """`upgraded` is what opening did to the store, None for a reader."""
        self.upgraded = upgraded
        self._path = path
        self._writer = writer
        self._ownership = ownership
        self._closed = False
        self._local = threading.local()
        self._keyed: KeyedReads | None = None
        self._connections: list[Connection] = []
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="fedreg-store-reader")

    @classmethod
    async def open(cls, url: str, *, read_only: bool = False, address: str | None = None) -> Store:
        """Open `sqlite:///path` or the in-memory `sqlite://`, creating or upgrading it where this process owns it.

        `address` is recorded for other processes (see `owner`). Raises StoreBusy where another process owns the
        store and `read_only` is False; ConfigError for another kind of URL, a store that a newer release made,
        and, read-only, one that is missing or of an older release.
        """
        path = parse_url(url)
        return await asyncio.to_thread(_open_reading if read_only else _open_owning, path, address)

    @property
    def read_only(self) -> bool:
        return self._writer is None

    @property
    def owner(self) -> Owner | None:
        """The process that owns the store and, where it serves, its address; None in memory or where unknown."""
        return None if self._path is None else read_owner(self._path)

    async def set_address(self, address: str | None) -> None:
        """Record where this owner serves, once that is known."""
        if self._ownership is not None:
            await asyncio.to_thread(self._ownership.set_address, address)

    async def read(self, fn: Callable[[Connection], T]) -> T:
        """Run `fn` in one snapshot on a reader thread."""
        if self._path is None:
            return await self._submit(fn, durable=False)
        if self._closed:
            raise StoreError("the store is closed", cure="open it again")
        with _translated():
            return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, fn)

    @property
    def keyed(self) -> KeyedReads | None:
        """Reads by key, for the event loop's thread alone; None in memory, where the writer has the connection."""
        if self._keyed is None and self._path is not None:
            self._keyed = KeyedReads(open_reader(self._path, read_only=self.read_only), self._writer)
        return self._keyed

    async def write(self, fn: Callable[[Connection], T]) -> T:
        """Run `fn` on the writer thread; returns once it is committed and on disk.

        An error of `fn` undoes `fn` alone. A caller cancelled while `fn` waits takes it back; once it runs, it
        is committed all the same. Raises StoreBusy where the store is read-only.
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

    async def _submit(self, fn: Callable[[Connection], T], *, durable: bool) -> T:
        if self._writer is None:
            assert self._path is not None
            raise busy(self._path)
        future: Future[T] = self._writer.submit(fn, durable=durable)
        with _translated():
            return await asyncio.wrap_future(future)

    def _read(self, fn: Callable[[Connection], T]) -> T:
        connection: Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            assert self._path is not None
            connection = self._local.connection = open_reader(self._path, read_only=self.read_only)
            self._connections.append(connection)
        with connection.begin():
            return fn(connection)

    def _close(self) -> None:
        self._closed = True
        self._readers.shutdown()
        keyed, self._keyed = self._keyed, None
        if keyed is not None:
            keyed.close()
        while self._connections:
            self._connections.pop().close()
        if self._writer is not None:
            self._writer.close()
        ownership, self._ownership = self._ownership, None
        if ownership is not None:
            ownership.release()


def _open_owning(path: Path | None, address: str | None) -> Store:
    if path is None:
        connection = open_writer(None)
        return Store(None, Writer(connection), None, upgrade(connection, None))
    ownership = Ownership.take(path, address)
    try:
        connection = open_writer(path)
        upgraded = upgrade(connection, path)
    except (DatabaseError, sqlite3.Error) as error:
        ownership.release()
        raise _unusable(path, error) from error
    except BaseException:
        ownership.release()
        raise
    return Store(path, Writer(connection), ownership, upgraded)


def _open_reading(path: Path | None, address: str | None) -> Store:
    if path is None:
        raise ConfigError("store.url: an in-memory store can't be read by a second process", cure="name a file")
    if not path.exists():
        raise ConfigError(f"store.url: there is no store at {str(path)!r}", cure="run a command that writes first")
    try:
        with open_reader(path, read_only=True) as connection, connection.begin():
            check_revision(connection, path)
    except (DatabaseError, sqlite3.Error) as error:
        raise _unusable(path, error) from error
    return Store(path, None, None)


def _unusable(path: Path, error: DatabaseError | sqlite3.Error) -> ConfigError:
    return ConfigError(
        f"store.url: {str(path)!r} can't be used as a store: {getattr(error, 'orig', error)}",
        cure="name a SQLite file of fedreg's, or one that does not exist yet in a folder you may write to",
    )


@contextmanager
def _translated() -> Iterator[None]:
    """The disk's and the file's troubles as StoreError; a broken constraint, a mistake of the caller's, stays."""
    try:
        yield
    except OperationalError as error:
        raise StoreError(
            f"the store could not do its work: {error.orig}", cure="look at the disk's space and the file"
        ) from error
    except (IntegrityError, ProgrammingError):
        raise
    except DatabaseError as error:
        raise StoreError(f"the store is damaged: {error.orig}", cure="run `fedreg store check`") from error
