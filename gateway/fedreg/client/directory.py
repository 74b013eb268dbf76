"""Writing a version's files into a directory: each appears whole or not at all, and a cut download is gone on with.

While it is unfinished the directory holds `.fedreg-download.json`, which says of which version, and a file that has
begun to arrive is `.fedreg-part-NAME`.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path

from fedreg.client.interface import Progress
from fedreg.domain.errors import AlreadyExists, IntegrityError, Unsupported
from fedreg.domain.manifest import Basis, Manifest, ManifestEntry, check_path
from fedreg.domain.models import FileEntry, Version
from fedreg.domain.reports import DownloadReport

# Opens a file's bytes from an offset.
OpenFile = Callable[[FileEntry, int], AsyncIterator[bytes]]

OURS = ".fedreg-"
MARKER, PART = f"{OURS}download.json", f"{OURS}part-"
PARALLEL = 4
CHUNK = 1 << 20


async def write_directory(
    directory: Path, version: Version, entries: Sequence[FileEntry], open_file: OpenFile, progress: Progress | None
) -> DownloadReport:
    """Write all files under a new or empty directory, or finish what an earlier call for this version has begun.

    Raises AlreadyExists for another directory, Unsupported for a file whose name is one of ours, IntegrityError
    for bytes that are not what the listing says.
    """
    for entry in entries:
        if check_path(entry.path).rpartition("/")[2].startswith(OURS):
            raise Unsupported(f"file {entry.path!r} has a name that downloads use themselves", cure="rename it")
    await asyncio.to_thread(_claim, directory, version)
    written = await _Download(directory, entries, open_file, progress).run()
    await asyncio.to_thread((directory / MARKER).unlink)
    manifest = Manifest.of(written)
    return DownloadReport(
        ref=str(version.ref),
        directory=str(directory),
        files=len(written),
        bytes=manifest.size,
        digest=manifest.digest(Basis.READ).value,
    )


def _claim(directory: Path, version: Version) -> None:
    marker = directory / MARKER
    claim = json.dumps({"ref": str(version.ref), "identity": version.identity})
    if marker.is_file() and marker.read_text(encoding="utf-8") == claim:
        return
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise AlreadyExists(f"directory '{directory}' is not empty", cure="name a new directory")
    directory.mkdir(parents=True, exist_ok=True)
    marker.write_text(claim, encoding="utf-8")


class _Download:
    """Several files at once, and what has been counted so far."""

    def __init__(
        self, directory: Path, entries: Sequence[FileEntry], open_file: OpenFile, progress: Progress | None
    ) -> None:
        self._directory, self._entries = directory, entries
        self._open_file, self._progress = open_file, progress
        self._bytes_done = self._files_done = 0
        self._written: list[ManifestEntry] = []

    async def run(self) -> list[ManifestEntry]:
        waiting = iter(self._entries)
        workers = [asyncio.create_task(self._work(waiting)) for _ in range(min(PARALLEL, len(self._entries)))]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        return self._written

    async def _work(self, waiting: Iterator[FileEntry]) -> None:
        for entry in waiting:
            target = self._directory / entry.path
            await asyncio.to_thread(target.parent.mkdir, parents=True, exist_ok=True)
            if await asyncio.to_thread(target.is_file):
                digest, size = await asyncio.to_thread(_hash_file, target)
                self._count(size)
                _expect(entry, digest, size)
            else:
                digest, size = await self._fetch(entry, target)
            self._files_done += 1
            self._count(0)
            self._written.append(ManifestEntry(path=entry.path, size=size, sha256=digest.hexdigest()))

    async def _fetch(self, entry: FileEntry, target: Path) -> tuple[hashlib._Hash, int]:
        """Write one file from where an earlier attempt stopped. What is not as listed is thrown away."""
        part = target.with_name(f"{PART}{target.name}")
        digest, size = await asyncio.to_thread(_hash_file, part)
        self._count(size)
        file = await asyncio.to_thread(part.open, "ab")
        try:
            chunks = self._open_file(entry, size) if size < entry.size else _nothing()
            try:
                async for chunk in chunks:
                    await asyncio.to_thread(_absorb, file.write, digest, chunk)
                    size += len(chunk)
                    self._count(len(chunk))
            finally:
                await asyncio.to_thread(file.close)
                if isinstance(chunks, AsyncGenerator):
                    await chunks.aclose()
            _expect(entry, digest, size)
        except IntegrityError:
            await asyncio.to_thread(part.unlink, missing_ok=True)
            raise
        await asyncio.to_thread(part.replace, target)
        return digest, size

    def _count(self, more: int) -> None:
        self._bytes_done += more
        if self._progress is not None:
            self._progress(
                {
                    "files": len(self._entries),
                    "files_done": self._files_done,
                    "bytes": sum(entry.size for entry in self._entries),
                    "bytes_done": self._bytes_done,
                }
            )


async def _nothing() -> AsyncIterator[bytes]:
    chunks: tuple[bytes, ...] = ()
    for chunk in chunks:
        yield chunk


def _absorb(write: Callable[[bytes], int], digest: hashlib._Hash, chunk: bytes) -> None:
    digest.update(chunk)
    write(chunk)


def _hash_file(path: Path) -> tuple[hashlib._Hash, int]:
    """The running sha256 and the size of a file; of nothing where it does not exist."""
    digest, size = hashlib.sha256(), 0
    if path.is_file():
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
                size += len(chunk)
    return digest, size


def _expect(entry: FileEntry, digest: hashlib._Hash, size: int) -> None:
    """IntegrityError where the bytes are not what the registry listed."""
    cure = "run the download again, into a new directory if it happens twice"
    if size != entry.size:
        raise IntegrityError(f"file {entry.path!r} has {size} bytes, {entry.size} are listed", cure=cure)
    if entry.sha256 is not None and digest.hexdigest() != entry.sha256:
        raise IntegrityError(f"file {entry.path!r} has other bytes than its registry's sha256 says", cure=cure)
