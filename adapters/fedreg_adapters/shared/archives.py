"""tar.gz archives: made deterministically as a stream, and read without trusting them.

`pack` gives the same bytes for the same members. `unpack` decompresses a stream into a local file within
limits and lists its members; `read_member` then reads any of them from any offset.
"""

from __future__ import annotations

import asyncio
import struct
import tarfile
import zlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

from fedreg.domain.errors import IntegrityError, InvalidRequest
from fedreg.domain.manifest import check_path
from fedreg.domain.models import FileSource
from fedreg_adapters.shared.object_stores import CHUNK, checked

_GZIP_HEADER = b"\x1f\x8b\x08\x00" + b"\0" * 4 + b"\x00\xff"  # no name, no time, unknown system
_LEVEL = 1  # model weights hardly compress: a higher level costs time and saves nothing
_STEP = 4 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveLimits:
    """What an archive may cost. `ratio` (bytes out per byte in) counts from `ratio_from` bytes out on."""

    members: int = 100_000
    total_bytes: int = 50 << 30
    ratio: int = 200
    ratio_from: int = 64 << 20


@dataclass(frozen=True, slots=True)
class Member:
    """A regular file of an archive: its bytes stand at `offset` of the decompressed file."""

    path: str
    size: int
    offset: int


def packed_at_most(members: Sequence[FileSource]) -> int:
    """An upper bound of the packed size in bytes: incompressible members, long names."""
    plain = sum(2560 + len(member.path) * 4 + member.size for member in members) + tarfile.RECORDSIZE
    return plain + plain // 1000 + 1024


async def pack(members: Sequence[FileSource]) -> AsyncIterator[bytes]:
    """A tar.gz of the members, sorted by path bytes: owner and time 0, mode 0644.

    Raises IntegrityError where a member's size or sha256 is not as announced, InvalidRequest for a path that
    leaves the archive or comes twice. Bounded memory; compresses in a thread.
    """
    ordered = sorted(members, key=lambda member: member.path.encode("utf-8", "surrogateescape"))
    for before, after in pairwise(ordered):
        if before.path == after.path:
            raise InvalidRequest(f"file {after.path!r} is given twice")
    deflate, crc, size = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS), 0, 0
    yield _GZIP_HEADER
    async for block in _tar(ordered):
        crc, size = zlib.crc32(block, crc), size + len(block)
        if packed := await asyncio.to_thread(deflate.compress, block):
            yield packed
    yield deflate.flush() + struct.pack("<LL", crc, size & 0xFFFFFFFF)


async def _tar(members: Sequence[FileSource]) -> AsyncIterator[bytes]:
    written = 0
    for member in members:
        header = _header(member)
        yield header
        async for chunk in checked(member):
            yield chunk
        padding = -member.size % tarfile.BLOCKSIZE
        yield b"\0" * padding
        written += len(header) + member.size + padding
    end = 2 * tarfile.BLOCKSIZE
    yield b"\0" * (end + -(written + end) % tarfile.RECORDSIZE)


def _header(member: FileSource) -> bytes:
    entry = tarfile.TarInfo(check_path(member.path))
    entry.size, entry.mode, entry.mtime = member.size, 0o644, 0
    return entry.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


async def unpack(chunks: AsyncIterator[bytes], target: Path, limits: ArchiveLimits | None = None) -> list[Member]:
    """Decompress a tar.gz into the file `target` and list its regular files, sorted by path.

    Raises IntegrityError for anything a model archive must not be: truncated or damaged, past a limit, a
    member outside, a link or device, a path that comes twice. `target` is removed then.
    """
    limits = limits or ArchiveLimits()
    try:
        with target.open("wb") as plain:
            await _decompress(chunks, plain, limits)
        return await asyncio.to_thread(_list_members, target, limits)
    except BaseException:
        await asyncio.to_thread(target.unlink, missing_ok=True)
        raise


async def _decompress(chunks: AsyncIterator[bytes], plain: BinaryIO, limits: ArchiveLimits) -> None:
    gunzip = _Gunzip(plain, limits)
    async for chunk in chunks:
        await asyncio.to_thread(gunzip.feed, chunk)
    gunzip.finish()


class _Gunzip:
    """Writes what a gzip stream holds, one or more gzip members, while counting."""

    def __init__(self, plain: BinaryIO, limits: ArchiveLimits) -> None:
        self._plain, self._limits = plain, limits
        self._inflate = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        self._taken = self._written = 0
        self._started = False

    def feed(self, chunk: bytes) -> None:
        self._taken += len(chunk)
        while chunk:
            if self._inflate.eof:
                chunk = chunk.lstrip(b"\0")  # padding between and after gzip members
                if not chunk:
                    return
                self._inflate = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
            self._started = True
            chunk = self._inflate_some(chunk)

    def _inflate_some(self, chunk: bytes) -> bytes:
        """Inflate a bounded piece; returns what is left of the chunk."""
        try:
            plain = self._inflate.decompress(chunk, _STEP)
        except zlib.error as error:
            raise IntegrityError(f"archive is damaged: {error}") from error
        self._written += len(plain)
        self._check()
        self._plain.write(plain)
        return self._inflate.unused_data if self._inflate.eof else self._inflate.unconsumed_tail

    def _check(self) -> None:
        limits = self._limits
        if self._written > limits.total_bytes:
            raise IntegrityError(f"archive holds more than {limits.total_bytes} bytes")
        if self._written > limits.ratio_from and self._written > limits.ratio * self._taken:
            raise IntegrityError(f"archive is a bomb: more than {limits.ratio} bytes out of each byte")

    def finish(self) -> None:
        if not self._started or not self._inflate.eof:
            raise IntegrityError("archive is truncated: it ends in the middle")


def _list_members(target: Path, limits: ArchiveLimits) -> list[Member]:
    length = target.stat().st_size
    found: dict[str, Member] = {}
    entries = 0
    try:
        with tarfile.open(target, mode="r:", errorlevel=2) as archive:
            for entry in archive:
                archive.members.clear()  # type: ignore[attr-defined]  # tarfile would keep every entry
                entries += 1
                if entries > limits.members:
                    raise IntegrityError(f"archive has more than {limits.members} members")
                member = _member(entry, length)
                if member is None:
                    continue
                if member.path in found:
                    raise IntegrityError(f"archive member {member.path!r} comes twice")
                found[member.path] = member
    except tarfile.TarError as error:
        raise IntegrityError(f"archive is no tar or damaged: {error}") from error
    return sorted(found.values(), key=lambda member: member.path.encode("utf-8", "surrogateescape"))


def _member(entry: tarfile.TarInfo, length: int) -> Member | None:
    """The file of an entry; None for a directory, and for the root that `tar .` writes."""
    path = entry.name
    while path.startswith("./"):
        path = path[2:].lstrip("/") if path != "./" else ""
    if entry.isdir() and path in ("", "."):
        return None
    try:
        check_path(path)
    except InvalidRequest as error:
        raise IntegrityError(f"archive member {entry.name!r} leads outside") from error
    if entry.isdir():
        return None
    if not entry.isreg() or entry.issparse():
        raise IntegrityError(f"archive member {entry.name!r} is no plain file but a link, device or sparse file")
    if entry.offset_data + entry.size > length:
        raise IntegrityError(f"archive member {entry.name!r} is cut off")
    return Member(path, entry.size, entry.offset_data)


async def read_member(plain: Path, member: Member, offset: int = 0) -> AsyncIterator[bytes]:
    """A member's bytes from `offset`, in chunks of 1 MiB. InvalidRequest past its end."""
    if not 0 <= offset <= member.size:
        raise InvalidRequest(f"offset {offset} is past the end of {member.path!r} ({member.size} bytes)")
    position, end = member.offset + offset, member.offset + member.size
    with plain.open("rb") as file:
        file.seek(position)
        while position < end:
            chunk = await asyncio.to_thread(file.read, min(CHUNK, end - position))
            if not chunk:
                raise IntegrityError(f"archive member {member.path!r} ended at byte {position} of {end}")
            position += len(chunk)
            yield chunk
