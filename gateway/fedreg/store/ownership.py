"""One owner per store: a lock the system releases when the process dies, and who holds it beside it."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path

import msgspec
from filelock import FileLock, Timeout

from fedreg.domain.errors import ConfigError, StoreBusy


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """The process that may write. `address` is where it serves the API, None where it serves none."""

    pid: int
    host: str
    address: str | None = None


class Ownership:
    """The held lock of a store file."""

    def __init__(self, path: Path, lock: FileLock) -> None:
        self._path = path
        self._lock = lock

    @classmethod
    def take(cls, path: Path, address: str | None) -> Ownership:
        """Become the owner. Raises StoreBusy with the owner's pid and address, ConfigError for an unusable folder."""
        if not path.absolute().parent.is_dir():  # the lock would make it, and hide a mistyped path
            raise ConfigError(
                f"store.url: the folder of {str(path)!r} does not exist", cure="create the folder or correct the path"
            )
        lock = FileLock(f"{path}.lock", timeout=0, thread_local=False)
        try:
            lock.acquire()
        except Timeout:
            raise busy(path) from None
        except OSError as error:
            raise ConfigError(
                f"store.url: {str(path)!r} can't be locked: {error.strerror or error}",
                cure="use a folder that you may write to",
            ) from error
        ownership = cls(path, lock)
        ownership.set_address(address)
        return ownership

    def set_address(self, address: str | None) -> None:
        """Record where this process can be reached for writes."""
        owner = Owner(pid=os.getpid(), host=socket.gethostname(), address=address)
        record = _record(self._path)
        draft = record.with_name(f"{record.name}.{owner.pid}")
        draft.write_bytes(msgspec.json.encode(owner))
        draft.replace(record)

    def release(self) -> None:
        """Let the next process in. The record goes first: whoever locks next writes its own."""
        _record(self._path).unlink(missing_ok=True)
        self._lock.release()


def read_owner(path: Path) -> Owner | None:
    """Who owns a store now, as far as recorded; the record of a killed owner stays until the next one."""
    try:
        return msgspec.json.decode(_record(path).read_bytes(), type=Owner)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def busy(path: Path) -> StoreBusy:
    """The error for a second process that wants to write."""
    owner = read_owner(path)
    who = "another process" if owner is None else f"process {owner.pid} on {owner.host}"
    address = None if owner is None else owner.address
    cure = f"use `--url {address}`" if address else "wait until it ends, stop it, or open the store for reading only"
    return StoreBusy(
        f"store {str(path)!r} is owned by {who}",
        cure=cure,
        details={"pid": None if owner is None else owner.pid, "address": address},
    )


def _record(path: Path) -> Path:
    return path.with_name(f"{path.name}.owner.json")
