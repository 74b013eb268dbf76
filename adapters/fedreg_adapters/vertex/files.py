"""Bytes out: the objects under a version's artifact_uri, which is a directory in GCS."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from fedreg.domain.errors import IntegrityError, InvalidRequest
from fedreg.domain.manifest import check_path
from fedreg.domain.models import FileEntry
from fedreg_adapters.shared.object_stores import StoredObject
from fedreg_adapters.vertex.client import Client


class Files:
    """Reads the files of versions."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def list_files(self, message: Any) -> list[FileEntry]:
        """All files, sorted by path; none of a version without bytes. IntegrityError for a path that leads outside."""
        if not message.artifact_uri:
            return []
        found = [
            FileEntry(path=_inside(each.key), size=each.size, etag=each.etag)
            for each in await self.list_prefix(message.artifact_uri)
        ]
        return sorted(found, key=lambda entry: entry.path.encode("utf-8", "surrogateescape"))

    async def open_file(self, message: Any, file: FileEntry, offset: int) -> AsyncIterator[bytes]:
        """A file's bytes. NotFound where the version has no such file, IntegrityError where it has changed."""
        if not 0 <= offset <= file.size:
            raise InvalidRequest(f"offset {offset} is past the end of {file.path!r} ({file.size} bytes)")
        store, prefix = self._client.object(_directory(message.artifact_uri))
        opened = store.open_at(prefix + check_path(file.path), etag=file.etag, size=file.size)
        async for chunk in self._client.calls.stream("gcs_get", opened, offset=offset):
            yield chunk

    async def list_prefix(self, uri: str) -> list[StoredObject]:
        """Every object under a directory, keys relative to it."""
        store, prefix = self._client.object(_directory(uri))

        async def request() -> list[StoredObject]:
            return [found async for found in store.list(prefix)]

        return [
            StoredObject(key=found.key.removeprefix(prefix), size=found.size, etag=found.etag)
            for found in await self._client.gcs("list", request, size=0)
            if found.key.rstrip("/") != prefix.rstrip("/")
        ]


def _directory(uri: str) -> str:
    return uri.rstrip("/") + "/"


def _inside(path: str) -> str:
    try:
        return check_path(path)
    except InvalidRequest as error:
        raise IntegrityError(f"GCS holds a file whose path {path!r} does not stay inside the version") from error
