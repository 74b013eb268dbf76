"""Bytes on their way: hashed as they pass, counted, never held as a whole."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from fedreg.domain.errors import IntegrityError
from fedreg.domain.models import FileEntry, OpenAt

Report = Callable[[int], None]

_HASHERS = ThreadPoolExecutor(2, thread_name_prefix="fedreg-hash")


class HashedSource:
    """Opens a source as often as the target needs; a pass from the first byte to the last leaves its sha256.

    A pass that starts later (a resumed part) leaves none, and the caller reads the source once more.
    """

    def __init__(self, open_at: OpenAt, size: int, report: Report) -> None:
        self._open_at = open_at
        self._size = size
        self._report = report
        self.sha256: str | None = None

    async def open_at(self, offset: int) -> AsyncIterator[bytes]:
        """The source's bytes from `offset`, hashed on the way where that is the whole."""
        digest = hashlib.sha256() if offset == 0 else None
        seen = offset
        pending: asyncio.Future[None] | None = None
        async with _closing(self._open_at(offset)) as chunks:
            async for chunk in chunks:
                seen += len(chunk)
                if digest is not None:
                    if pending is not None:
                        await pending
                    pending = _update(digest, chunk)
                self._report(len(chunk))
                yield chunk
        if pending is not None:
            await pending
        if digest is not None and seen == self._size:
            self.sha256 = digest.hexdigest()


async def hash_stream(chunks: AsyncIterator[bytes], report: Report | None = None) -> tuple[str, int]:
    """sha256 as hex digits, and the number of bytes read."""
    digest = hashlib.sha256()
    size = 0
    pending: asyncio.Future[None] | None = None
    async with _closing(chunks) as stream:
        async for chunk in stream:
            size += len(chunk)
            if pending is not None:
                await pending
            pending = _update(digest, chunk)
            if report is not None:
                report(len(chunk))
    if pending is not None:
        await pending
    return digest.hexdigest(), size


def expect_same(path: str, *, sha256: str, size: int, found_sha256: str, found_size: int, where: str) -> None:
    """IntegrityError naming the file and what differs."""
    if found_size != size:
        raise IntegrityError(f"file {path!r} has {found_size} bytes at {where}, {size} were sent", cure=_CURE)
    if found_sha256 != sha256:
        raise IntegrityError(f"file {path!r} has other bytes at {where} than were sent", cure=_CURE)


def expect_size(entry: FileEntry, size: int, where: str) -> None:
    """IntegrityError where a source gave fewer or more bytes than it listed."""
    if entry.size != size:
        raise IntegrityError(f"file {entry.path!r} has {size} bytes at {where}, which lists {entry.size}", cure=_CURE)


_CURE = "nothing was registered; run the copy again, and check the storage if it happens twice"


def _update(digest: hashlib._Hash, chunk: bytes) -> asyncio.Future[None]:
    """Hash beside the loop: hashlib lets go of the interpreter for large chunks."""
    return asyncio.get_running_loop().run_in_executor(_HASHERS, digest.update, chunk)


@asynccontextmanager
async def _closing(chunks: AsyncIterator[bytes]) -> AsyncIterator[AsyncIterator[bytes]]:
    """Close a stream that can be closed, however the reading ends: it holds a connection."""
    try:
        yield chunks
    finally:
        if isinstance(chunks, AsyncGenerator):
            await chunks.aclose()
