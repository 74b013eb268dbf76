"""Bytes out: the files of a package, from S3 prefixes, single objects and archives."""

from __future__ import annotations

import asyncio
import tempfile
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from itertools import count, pairwise
from pathlib import Path
from weakref import WeakValueDictionary

from fedreg.domain.errors import IntegrityError, InvalidRequest, NotFound, RegistryError
from fedreg.domain.manifest import check_path
from fedreg.domain.models import FileEntry
from fedreg_adapters.sagemaker.client import JSON, Client
from fedreg_adapters.shared.archives import ArchiveLimits, Member, read_member, unpack
from fedreg_adapters.shared.object_stores import StoredObject

_ARCHIVES = (".tar.gz", ".tgz")
_KEPT = 16


@dataclass(frozen=True, slots=True)
class DataSource:
    """Where a container's bytes are: `prefix`, `object` or `archive`. `folder` goes before their paths."""

    kind: str
    uri: str
    folder: str = ""


@dataclass(frozen=True, slots=True)
class Unpacked:
    """An archive that was read through, decompressed and found sound."""

    plain: Path
    members: tuple[Member, ...]


class Files:
    """Reads packages' files. Archives are unpacked once into temporary files, a few kept at a time."""

    def __init__(self, client: Client, limits: ArchiveLimits | None = None) -> None:
        self._client = client
        self._limits = limits or ArchiveLimits()
        self._directory: tempfile.TemporaryDirectory[str] | None = None
        self._unpacked: OrderedDict[tuple[str, str | None], Unpacked] = OrderedDict()
        self._serial = count()
        self._unpacking: WeakValueDictionary[tuple[str, str | None], asyncio.Lock] = WeakValueDictionary()

    async def list_files(self, package: JSON) -> list[FileEntry]:
        """All files, sorted by path. IntegrityError for a path that leaves the version or comes twice."""
        found: list[FileEntry] = []
        for source in data_sources(package):
            found += await self._list_source(source)
        ordered = sorted(found, key=lambda entry: entry.path.encode("utf-8", "surrogateescape"))
        for before, after in pairwise(ordered):
            if before.path == after.path:
                raise IntegrityError(f"file {after.path!r} comes twice", registry=self._client.registry)
        return ordered

    async def open_file(self, package: JSON, file: FileEntry, offset: int) -> AsyncIterator[bytes]:
        """A file's bytes. NotFound where the version has no such file, IntegrityError where it has changed."""
        if not 0 <= offset <= file.size:
            raise InvalidRequest(f"offset {offset} is past the end of {file.path!r} ({file.size} bytes)")
        source = _holder(data_sources(package), file.path)
        inner = file.path.removeprefix(source.folder)
        if source.kind == "archive":
            unpacked = await self._unpack(source.uri, file.etag)
            async for chunk in read_member(unpacked.plain, _find(unpacked.members, inner, file), offset):
                yield chunk
            return
        uri = f"{source.uri}{inner}" if source.kind == "prefix" else source.uri
        store, key = self._client.object(uri)
        opened = store.open_at(key, etag=file.etag, size=file.size)
        async for chunk in self._client.calls.stream("s3_get", opened, offset=offset):
            yield chunk

    async def head(self, uri: str) -> StoredObject:
        """One object's size and etag. Raises NotFound."""
        store, key = self._client.object(uri)
        return await self._client.s3("head", lambda: store.head(key))

    async def list_prefix(self, uri: str) -> list[StoredObject]:
        """Every object under a prefix, keys relative to it."""
        store, prefix = self._client.object(uri if uri.endswith("/") else f"{uri}/")

        async def request() -> list[StoredObject]:
            return [found async for found in store.list(prefix)]

        return [
            StoredObject(key=found.key.removeprefix(prefix), size=found.size, etag=found.etag)
            for found in await self._client.s3("list", request, size=0)
            if found.key.rstrip("/") != prefix.rstrip("/")
        ]

    async def aclose(self) -> None:
        """Remove the temporary files."""
        self._unpacked.clear()
        if self._directory is not None:
            directory, self._directory = self._directory, None
            await asyncio.to_thread(directory.cleanup)

    async def _list_source(self, source: DataSource) -> list[FileEntry]:
        if source.kind == "prefix":
            return [
                FileEntry(path=source.folder + _inside(found.key), size=found.size, etag=found.etag)
                for found in await self.list_prefix(source.uri)
            ]
        found = await self.head(source.uri)
        if source.kind == "object":
            name = source.uri.rpartition("/")[2]
            return [FileEntry(path=source.folder + _inside(name), size=found.size, etag=found.etag)]
        unpacked = await self._unpack(source.uri, found.etag)
        return [
            FileEntry(path=source.folder + member.path, size=member.size, etag=found.etag)
            for member in unpacked.members
        ]

    async def _unpack(self, uri: str, etag: str | None) -> Unpacked:
        """The archive at an address, as it was with this etag; unpacked once, however many ask."""
        place = (uri, etag)
        lock = self._unpacking.setdefault(place, asyncio.Lock())
        async with lock:
            if place not in self._unpacked:
                self._unpacked[place] = await self._download(uri, etag)
            self._unpacked.move_to_end(place)
            found = self._unpacked[place]
        while len(self._unpacked) > _KEPT:
            _, oldest = self._unpacked.popitem(last=False)
            oldest.plain.unlink(missing_ok=True)
        return found

    async def _download(self, uri: str, etag: str | None) -> Unpacked:
        store, key = self._client.object(uri)
        chunks = self._client.calls.stream("s3_get", store.open_at(key, etag=etag))
        plain = await self._temporary()
        try:
            return Unpacked(plain, tuple(await unpack(chunks, plain, self._limits)))
        except OSError as error:
            raise RegistryError(
                f"{uri} can't be unpacked: {error.strerror}",
                registry=self._client.registry,
                cure=f"make room in {plain.parent.parent}, or set TMPDIR",
            ) from error

    async def _temporary(self) -> Path:
        if self._directory is None:
            self._directory = await asyncio.to_thread(tempfile.TemporaryDirectory, prefix="fedreg-sagemaker-")
        return Path(self._directory.name) / f"{next(self._serial)}.tar"


def data_sources(package: JSON) -> list[DataSource]:
    """Where the bytes of a package's containers are; each under a folder of its own where there are several.

    Raises RegistryError for bytes that are not in S3.
    """
    found: list[DataSource] = []
    for container in package.get("InferenceSpecification", {}).get("Containers", ()):
        source = _source_of(container)
        if source is not None and source not in found:
            found.append(source)
    if len(found) < 2:
        return found
    return [DataSource(source.kind, source.uri, f"container-{number}/") for number, source in enumerate(found)]


def _source_of(container: JSON) -> DataSource | None:
    place = container.get("ModelDataSource", {}).get("S3DataSource", {})
    uri = str(place.get("S3Uri") or container.get("ModelDataUrl") or "")
    if not uri:
        return None
    if not uri.startswith("s3://"):
        raise RegistryError(f"the bytes at {uri!r} are not addressed as s3://bucket/key")
    if place.get("S3DataType") == "S3Prefix":
        return DataSource("prefix", uri.rstrip("/") + "/")
    packed = place.get("CompressionType") == "Gzip" or uri.endswith(_ARCHIVES)
    return DataSource("archive" if packed else "object", uri)


def _holder(sources: Sequence[DataSource], path: str) -> DataSource:
    for source in sources:
        if path.startswith(source.folder):
            return source
    raise NotFound(f"file {path!r} does not exist in this version")


def _find(members: Sequence[Member], path: str, file: FileEntry) -> Member:
    member = next((member for member in members if member.path == path), None)
    if member is None:
        raise NotFound(f"file {file.path!r} does not exist in this version")
    if member.size != file.size:
        raise IntegrityError(f"file {file.path!r} has {member.size} bytes, {file.size} expected")
    return member


def _inside(path: str) -> str:
    try:
        return check_path(path)
    except InvalidRequest as error:
        raise IntegrityError(f"S3 holds a file whose path {path!r} does not stay inside the version") from error
