"""A version's files: through the server's artifact proxy, or straight from the object store behind it."""

from __future__ import annotations

import asyncio
import posixpath
import re
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Protocol
from urllib.parse import unquote, urlsplit

import aiohttp

from fedreg.domain.calls import Effect
from fedreg.domain.errors import (
    FedregError,
    IntegrityError,
    InvalidRequest,
    NotFound,
    RegistryError,
)
from fedreg.domain.models import FileEntry, FileReceipt, FileSource, OpenAt
from fedreg_adapters.mlflow.client import Client, Json, error_of, read_json
from fedreg_adapters.mlflow.manifest import MlflowOptions
from fedreg_adapters.mlflow.multipart import Multipart
from fedreg_adapters.mlflow.paths import to_stored
from fedreg_adapters.shared.object_stores import ObjectStore, StoreOptions, checked, open_store
from fedreg_adapters.shared.sessions import CHUNK, encode_path

PROXY = "api/2.0/mlflow-artifacts/artifacts"
_SLOWEST = 256 * 1024  # bytes a second below which an upload is given up
_ABSOLUTE = re.compile(r"https?://")


class Files(Protocol):
    """The files under one artifact URI. Paths are relative, as they are stored."""

    async def entries(self) -> list[FileEntry]: ...

    async def put(self, file: FileSource) -> FileReceipt: ...

    def open_at(self, entry: FileEntry) -> OpenAt: ...

    async def delete(self) -> None: ...

    def stored(self, path: str) -> str:
        """The spelling a file put under this path has."""
        ...


@dataclass(frozen=True, slots=True)
class ProxyFiles:
    """Files under `root` of the artifact proxy, listed directory by directory."""

    client: Client
    root: str
    multipart: Multipart

    def stored(self, path: str) -> str:
        return to_stored(path)

    async def entries(self) -> list[FileEntry]:
        return await self._walk("")

    async def _walk(self, directory: str) -> list[FileEntry]:
        path = posixpath.join(self.root, directory).rstrip("/")
        answer = await self.client.send("list_files", "GET", PROXY, query={"path": path})
        files, directories = [], []
        for item in answer.get("files", []):
            name = str(item["path"])
            if not name or "/" in name or name in (".", ".."):
                raise IntegrityError(f"{path}: the artifact proxy lists {name!r}", registry=self.client.registry)
            inner = posixpath.join(directory, name)
            if item.get("is_dir"):
                directories.append(inner)
            else:  # the size of an empty file is left out
                files.append(FileEntry(path=inner, size=int(item.get("file_size") or 0)))
        for found in await asyncio.gather(*(self._walk(inner) for inner in directories)):
            files += found
        return files

    async def put(self, file: FileSource) -> FileReceipt:
        stored = to_stored(file.path)
        if await self.multipart.put(f"{self.root}/{stored}", file):
            return FileReceipt(path=file.path, size=file.size)

        async def request() -> FileReceipt:
            body = _Body(file)
            headers = {"Content-Type": "application/octet-stream", "Content-Length": str(file.size)}
            try:
                async with self._request("PUT", stored, headers=headers, data=body.chunks()) as answer:
                    if not 200 <= answer.status < 300:
                        text = await answer.text(errors="replace")
                        raise error_of(answer.status, answer.headers, text, self.client.registry, "put_file")
            except FedregError:
                if body.failure is not None:
                    raise body.failure from None
                raise
            return FileReceipt(path=file.path, size=file.size)

        deadline = 60 + file.size / _SLOWEST
        return await self.client.calls.run("put_file", request, effect=Effect.IDEMPOTENT, deadline=deadline)

    def open_at(self, entry: FileEntry) -> OpenAt:
        etags: list[str] = [entry.etag] if entry.etag else []
        return lambda offset: self._read(entry, offset, etags)

    async def delete(self) -> None:
        async def request() -> None:
            async with self._request("DELETE", "") as answer:
                await read_json(answer, self.client.registry, "abort")

        try:
            await self.client.calls.run("abort", request, effect=Effect.IDEMPOTENT)
        except NotFound:
            return

    async def _read(self, entry: FileEntry, offset: int, etags: list[str]) -> AsyncIterator[bytes]:
        """The bytes from `offset`. A server before an object store ignores Range: the start is read and dropped."""
        headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={offset}-"} if offset else {})}
        async with self._request("GET", entry.path, headers=headers) as answer:
            if answer.status not in (200, 206):
                text = await answer.text(errors="replace")
                raise error_of(answer.status, answer.headers, text, self.client.registry, "open_file")
            self._check_unchanged(entry, answer, etags)
            position = offset if answer.status == 206 else 0
            async for chunk in answer.content.iter_chunked(CHUNK):
                fresh = chunk[max(0, offset - position) :]
                position += len(chunk)
                if fresh:
                    yield fresh
        if position != entry.size:
            raise IntegrityError(
                f"file {entry.path!r} ended at byte {position} of {entry.size}", registry=self.client.registry
            )

    def _check_unchanged(self, entry: FileEntry, answer: aiohttp.ClientResponse, etags: list[str]) -> None:
        """IntegrityError where the size is not the listed one, or the ETag not that of the first part."""
        total = answer.headers.get("Content-Range", "").rpartition("/")[2] or answer.headers.get("Content-Length", "")
        etag = answer.headers.get("ETag")
        changed = bool(etag and etags and etag != etags[0])
        if etag and not etags:
            etags.append(etag)
        if changed or (total.isdigit() and int(total) != entry.size):
            raise IntegrityError(
                f"file {entry.path!r} has changed since it was listed ({entry.size} bytes then)",
                registry=self.client.registry,
            )

    def _request(
        self,
        method: str,
        stored: str,
        *,
        headers: dict[str, str] | None = None,
        data: AsyncIterator[bytes] | None = None,
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        path = encode_path(f"{PROXY}/{self.root}/{stored}".rstrip("/"))
        return self.client.session.request(method, path, headers=headers, data=data)


class _Body:
    """A file on its way into a request: the last chunk is held back until size and sha256 have been checked."""

    def __init__(self, file: FileSource) -> None:
        self._file = file
        self.failure: FedregError | None = None

    async def chunks(self) -> AsyncIterator[bytes]:
        held: bytes | None = None
        try:
            async for chunk in checked(self._file):
                if held is not None:
                    yield held
                held = chunk
        except FedregError as error:
            self.failure = error
            raise
        if held is not None:
            yield held


@dataclass(frozen=True, slots=True)
class StoreFiles:
    """Files under a prefix of an object store."""

    client: Client
    store: ObjectStore
    prefix: str

    def stored(self, path: str) -> str:
        return path

    async def entries(self) -> list[FileEntry]:
        async def request() -> list[FileEntry]:
            start = len(self.prefix) + 1 if self.prefix else 0
            return [
                FileEntry(path=found.key[start:], size=found.size, etag=found.etag)
                async for found in self.store.list(self.prefix)
            ]

        return await self.client.calls.run("list_files", request)

    async def put(self, file: FileSource) -> FileReceipt:
        async def request() -> FileReceipt:
            done = await self.store.put(self._key(file.path), file)
            return FileReceipt(path=file.path, size=done.size, etag=done.etag)

        deadline = 60 + file.size / _SLOWEST
        return await self.client.calls.run("put_file", request, effect=Effect.IDEMPOTENT, deadline=deadline)

    def open_at(self, entry: FileEntry) -> OpenAt:
        return self.store.open_at(self._key(entry.path), etag=entry.etag, size=entry.size)

    async def delete(self) -> None:
        async def request() -> None:
            await self.store.delete_prefix(self.prefix)

        await self.client.calls.run("abort", request, effect=Effect.IDEMPOTENT)

    def _key(self, path: str) -> str:
        return f"{self.prefix}/{path}" if self.prefix else path


class Artifacts:
    """From artifact URIs to files, as a registry's options say."""

    def __init__(self, client: Client, options: MlflowOptions) -> None:
        self._client = client
        self._options = options
        self._stores: dict[str, ObjectStore] = {}
        self._multipart = Multipart(client)

    async def aclose(self) -> None:
        await self._multipart.aclose()

    async def of_version(self, item: Json) -> Files:
        """The files of a ModelVersion, wherever its source leads. Raises NotFound."""
        uri = str(item.get("source", ""))
        if uri.startswith("models:/"):
            query = {"name": item["name"], "version": str(item["version"])}
            answer = await self._client.get("list_files", "model-versions/get-download-uri", query)
            uri = str(answer.get("artifact_uri", ""))
        if uri.startswith("runs:/"):
            uri = await self._run_uri(uri)
        return self.at(uri)

    def at(self, uri: str) -> Files:
        """The files under an artifact URI. Raises RegistryError or InvalidRequest for one that is out of reach."""
        proxied = self._proxied(uri)
        if proxied is not None and self._options.artifact_access != "direct":
            return ProxyFiles(self._client, proxied, self._multipart)
        if proxied is not None:
            if not self._options.artifact_root:
                raise self._refusal(uri, "set artifact_root to the store behind the proxy, or artifact_access to proxy")
            return self._in_store(f"{self._options.artifact_root.rstrip('/')}/{proxied}")
        if self._options.artifact_access == "proxy":
            raise self._refusal(uri, "it is not served by the artifact proxy: set artifact_access to auto or direct")
        return self._in_store(uri)

    async def _run_uri(self, uri: str) -> str:
        run_id, _, path = uri.removeprefix("runs:/").lstrip("/").partition("/")
        answer = await self._client.get("list_files", "runs/get", {"run_id": run_id})
        return f"{answer['run']['info']['artifact_uri'].rstrip('/')}/{path}".rstrip("/")

    def _proxied(self, uri: str) -> str | None:
        """The path below the artifact proxy; None for a URI that the proxy does not serve."""
        if uri.startswith("mlflow-artifacts:"):
            rest = uri.removeprefix("mlflow-artifacts:")
            return (rest[2:].partition("/")[2] if rest.startswith("//") else rest).strip("/")
        if not _ABSOLUTE.match(uri):
            return None
        base = f"{str(self._client.session.base).rstrip('/')}/{PROXY}/"
        if uri.startswith(base):
            return uri.removeprefix(base).strip("/")
        raise self._refusal(uri, "its files are at another server: configure that one as a registry")

    def _in_store(self, uri: str) -> StoreFiles:
        base, prefix = _split_store(uri)
        if base == "file://":
            base, prefix = self._local_root(prefix)
        if base not in self._stores:
            self._stores[base] = open_store(base, _store_options(self._options), registry=self._client.registry)
        return StoreFiles(self._client, self._stores[base], prefix)

    def _local_root(self, path: str) -> tuple[str, str]:
        """A local path as root and rest. Only below the configured root: a server must not name any file of ours."""
        root_base, root = _split_store(self._options.artifact_root or "")
        below = PurePosixPath(f"/{path}")
        if root_base != "file://" or ".." in below.parts or not below.is_relative_to(f"/{root}") or not root:
            raise self._refusal(f"file:///{path}", "set artifact_root to a local directory that contains it")
        return f"file:///{root}", str(below.relative_to(f"/{root}"))

    def _refusal(self, uri: str, cure: str) -> FedregError:
        scheme = uri.partition(":")[0] or "empty"
        kind = RegistryError if _ABSOLUTE.match(uri) else InvalidRequest
        return kind(f"the {scheme} artifact URI can't be reached", registry=self._client.registry, cure=cure)


def _split_store(uri: str) -> tuple[str, str]:
    """An object store's address and the prefix in it; local paths have the address `file://`."""
    if uri.startswith("/"):
        return "file://", uri.strip("/")
    parts = urlsplit(uri)
    if parts.scheme == "file":
        return "file://", unquote(parts.path).strip("/")
    path = uri.partition("://")[2].partition("/")[2].strip("/")
    if parts.scheme == "az":
        container, _, path = path.partition("/")
        return f"az://{parts.netloc}/{container}", path
    return f"{parts.scheme}://{parts.netloc}", path


def _store_options(options: MlflowOptions) -> StoreOptions:
    return StoreOptions(
        endpoint_url=options.store_endpoint_url,
        region=options.store_region,
        access_key_id=options.store_access_key_id,
        secret_access_key=options.store_secret_access_key,
        session_token=options.store_session_token,
        account_key=options.store_account_key,
        sas_token=options.store_sas_token,
    )
