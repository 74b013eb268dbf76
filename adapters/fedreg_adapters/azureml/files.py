"""Bytes out: the files that a version points to, a directory or one file."""

from __future__ import annotations

from collections.abc import AsyncIterator

from fedreg.domain.errors import IntegrityError, InvalidRequest, NotFound
from fedreg.domain.manifest import check_path
from fedreg.domain.models import FileEntry
from fedreg_adapters.azureml.client import JSON, Client
from fedreg_adapters.azureml.datastores import Datastores, Located
from fedreg_adapters.azureml.mapping import properties_of
from fedreg_adapters.azureml.references import References


class Files:
    """Reads versions' files."""

    def __init__(self, client: Client, datastores: Datastores, references: References) -> None:
        self._client, self._stored, self._references = client, datastores, references

    async def list_files(self, version: JSON) -> list[FileEntry]:
        """All files, sorted by path. IntegrityError for a path that leaves the version."""
        located = await self._locate(version)
        found = await self.under(located) or [await self._single(located)]
        return sorted(found, key=lambda entry: entry.path.encode("utf-8", "surrogateescape"))

    async def open_file(self, version: JSON, file: FileEntry, offset: int) -> AsyncIterator[bytes]:
        """A file's bytes. NotFound where the version has no such file, IntegrityError where it has changed."""
        if not 0 <= offset <= file.size:
            raise InvalidRequest(f"offset {offset} is past the end of {file.path!r} ({file.size} bytes)")
        located = await self._locate(version)
        key = f"{located.key}/{check_path(file.path)}".lstrip("/")
        if file.path == located.key.rpartition("/")[2] and not await self.under(located):
            key = located.key
        source = located.store.open_at(key, etag=file.etag, size=file.size)
        async for chunk in self._client.calls.stream("blob_get", source, offset=offset):
            yield chunk

    async def exists(self, uri: str) -> bool:
        """Whether there is anything at an address in a datastore."""
        located = await self._stored.locate(uri)
        if await self.under(located):
            return True
        try:
            await self._single(located)
        except NotFound:
            return False
        return True

    async def under(self, located: Located) -> list[FileEntry]:
        """The files of a directory."""
        start = f"{located.key.rstrip('/')}/" if located.key else ""

        async def request() -> list[FileEntry]:
            return [
                FileEntry(path=self._inside(found.key.removeprefix(start)), size=found.size, etag=found.etag)
                async for found in located.store.list(start)
            ]

        return await self._stored.blob("list", request, size=0)

    async def _single(self, located: Located) -> FileEntry:
        if not located.key:
            raise NotFound("the version points to an empty place", registry=self._client.registry)
        found = await self._stored.blob("head", lambda: located.store.head(located.key))
        return FileEntry(path=located.key.rpartition("/")[2], size=found.size, etag=found.etag)

    async def _locate(self, version: JSON) -> Located:
        if self._client.is_registry:
            return await self._references.download(version)
        return await self._stored.locate(str(properties_of(version).get("modelUri") or ""))

    def _inside(self, path: str) -> str:
        try:
            return check_path(path)
        except InvalidRequest as error:
            raise IntegrityError(
                f"the datastore holds a file whose path {path!r} does not stay inside the version",
                registry=self._client.registry,
            ) from error
