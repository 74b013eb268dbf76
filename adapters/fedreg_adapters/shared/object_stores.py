"""Object stores: S3, GCS, Azure Blob and local directories, through obstore.

A thin, typed face: streams in and out with bounded memory, the domain's errors, and no retry of its own
(`Calls` retries). Keys are relative to the URL a store was opened with. Run each method through `Calls.run`
and each `open_at` through `Calls.stream`.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import obstore

from fedreg.domain.errors import FedregError, IntegrityError, InvalidRequest, NotFound, PreconditionFailed
from fedreg.domain.models import FileSource, OpenAt
from fedreg_adapters.shared.object_store_backends import StoreOptions, open_backend, without_secrets
from fedreg_adapters.shared.object_store_errors import is_past_end, to_domain_error

__all__ = ["CHUNK", "PART", "ObjectStore", "StoreOptions", "StoredObject", "checked", "open_store"]

CHUNK = 1 << 20
PART = 8 << 20
MAX_PARTS = 10_000  # of one S3 multipart upload; GCS's XML API and Azure's block lists allow as many or more
_DELETE_BATCH = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """One object. `etag` as the store spells it, quotes included; `size` in bytes."""

    key: str
    size: int
    etag: str | None = None
    modified_at: datetime | None = None


class ObjectStore:
    """A bucket, container or directory, under the prefix of its URL.

    Errors of every method: RateLimited, RegistryAuthError, RegistryError, RegistryUnavailable,
    RegistryTimeout, InvalidRequest for a key the store can't spell.
    """

    def __init__(self, url: str, backend: Any, *, registry: str | None = None, root: Path | None = None) -> None:
        self.url = url.rstrip("/")
        self._backend = backend
        self._registry = registry
        self._root = root

    def __repr__(self) -> str:
        return f"ObjectStore({without_secrets(self.url)!r})"

    def uri(self, key: str = "") -> str:
        """The address of a key, as other tools write it."""
        return f"{self.url}/{key}" if key else self.url

    async def put(self, key: str, source: FileSource, *, part_size: int = PART, parallel: int = 2) -> StoredObject:
        """Stream a file in, atomically: in one request up to `part_size` bytes, else in parts, `parallel` at once.

        Memory: about (parallel + 1) parts. Raises IntegrityError where size or sha256 are not as announced;
        nothing is visible then.
        """
        chunks = checked(source)
        if source.size <= part_size:
            return await self.put_bytes(key, b"".join([chunk async for chunk in chunks]))
        return await self.put_chunks(key, chunks, at_most=source.size, part_size=part_size, parallel=parallel)

    async def put_bytes(self, key: str, data: bytes, *, create: bool = False) -> StoredObject:
        """Write a small object in one request. With `create` only where there is none yet, else Conflict."""
        await self._guard(key)
        try:
            done = await obstore.put_async(
                self._backend, key, data, use_multipart=False, mode="create" if create else "overwrite"
            )
        except Exception as error:  # obstore raises its own family and builtins alike
            raise self._error(error, "put", key) from error
        return StoredObject(key=key, size=len(data), etag=done["e_tag"])

    async def put_chunks(
        self, key: str, chunks: AsyncIterator[bytes], *, at_most: int, part_size: int = PART, parallel: int = 2
    ) -> StoredObject:
        """Stream in what `chunks` yields, in parts. `at_most` bytes are expected: it sets the size of a part.

        What `chunks` raises is raised again as it is; the upload is abandoned and nothing is visible.
        """
        await self._guard(key)
        counted = _Counted(chunks)
        part = max(part_size, -(-at_most // MAX_PARTS))
        try:
            done = await obstore.put_async(
                self._backend, key, counted, use_multipart=True, chunk_size=part, max_concurrency=parallel
            )
        except Exception as error:
            if error is counted.failure:
                raise
            raise self._error(error, "put", key) from error
        finally:
            await counted.aclose()
        return StoredObject(key=key, size=counted.size, etag=done["e_tag"])

    def open_at(self, key: str, *, etag: str | None = None, size: int | None = None) -> OpenAt:
        """Open an object's bytes from any offset, in chunks of about 1 MiB.

        With `etag` or `size` a changed object is an IntegrityError, and so is a body that ends short. An
        offset past the end is InvalidRequest.
        """

        def open_from(offset: int) -> AsyncIterator[bytes]:
            return self._read(key, offset, etag, size)

        return open_from

    async def get_bytes(self, key: str, *, limit: int) -> bytes:
        """A small object whole. IntegrityError where it has more than `limit` bytes."""
        found = await self.head(key)
        if found.size > limit:
            raise IntegrityError(f"{self.uri(key)} has {found.size} bytes, more than {limit} expected")
        return b"".join([chunk async for chunk in self._read(key, 0, found.etag, found.size)])

    async def head(self, key: str) -> StoredObject:
        """Raises NotFound."""
        await self._guard(key)
        try:
            return _stored(await obstore.head_async(self._backend, key))
        except Exception as error:
            raise self._error(error, "head", key) from error

    async def list(self, prefix: str = "") -> AsyncIterator[StoredObject]:
        """All objects under a prefix of whole path parts, page by page, in the store's order.

        Markers of empty folders are left out. Raises IntegrityError where a key has `..`, `.` or an empty part.
        """
        try:
            async for page in obstore.list(self._backend, prefix=prefix or None):
                for meta in page:
                    await self._guard(meta["path"])
                    if meta["size"] or not await self._is_folder(meta["path"]):
                        yield _stored(meta)
        except obstore.exceptions.InvalidPathError as error:
            where = without_secrets(self.uri(prefix))
            raise IntegrityError(
                f"{where} holds an object whose key leads outside ('..', '.' or an empty part)", registry=self._registry
            ) from error
        except Exception as error:
            raise self._error(error, "list", prefix) from error

    async def _is_folder(self, path: str) -> bool:
        """Whether a listed empty object is the marker `path/` that consoles make: obstore drops its slash."""
        try:
            await self.head(path)
        except NotFound:
            return True
        return False

    async def delete(self, keys: Sequence[str]) -> None:
        """Remove objects; absent ones are fine."""
        for start in range(0, len(keys), _DELETE_BATCH):
            batch = list(keys[start : start + _DELETE_BATCH])
            for key in batch:
                await self._guard(key)
            await self._delete_batch(batch)

    async def delete_prefix(self, prefix: str) -> int:
        """Remove everything under a prefix and say how many objects. InvalidRequest for the empty prefix."""
        if not prefix.strip("/"):
            raise InvalidRequest("prefix '' would remove the whole store", cure="name a prefix under it")
        keys = [found.key async for found in self.list(prefix)]
        await self.delete(keys)
        return len(keys)

    async def _delete_batch(self, batch: Sequence[str]) -> None:
        try:
            await obstore.delete_async(self._backend, batch)
        except FileNotFoundError:  # GCS, Azure and directories complain of an absent one and leave the rest
            if len(batch) > 1:
                for key in batch:
                    await self._delete_batch([key])
        except Exception as error:
            raise self._error(error, "delete", batch[0]) from error

    async def _read(self, key: str, offset: int, etag: str | None, size: int | None) -> AsyncIterator[bytes]:
        await self._guard(key)
        if offset and offset == size:
            return
        try:
            found = await self._get(key, offset, etag)
            if found is None:
                return
            if size is not None and found.meta["size"] != size:
                raise IntegrityError(f"{self.uri(key)} has {found.meta['size']} bytes, {size} expected")
            start, stop = found.range
            async for chunk in found.stream(min_chunk_size=CHUNK):
                start += len(chunk)
                yield bytes(chunk)
        except PreconditionFailed as error:
            raise IntegrityError(f"{self.uri(key)} has changed since it was listed", registry=self._registry) from error
        except Exception as error:
            raise self._error(error, "get", key) from error
        if start != stop:
            raise IntegrityError(f"{self.uri(key)} ended at byte {start} of {stop}", registry=self._registry)

    async def _get(self, key: str, offset: int, etag: str | None) -> Any:
        """The answer to a get; None where the offset is exactly the end."""
        options: dict[str, Any] = {"range": {"offset": offset}} if offset else {}
        try:
            return await obstore.get_async(self._backend, key, options=options | ({"if_match": etag} if etag else {}))  # type: ignore[arg-type]
        except Exception as error:
            if not offset or not is_past_end(error):
                raise self._error(error, "get", key) from error
        end = (await self.head(key)).size
        if offset > end:
            raise InvalidRequest(f"offset {offset} is past the end of {self.uri(key)} ({end} bytes)")
        return None

    async def _guard(self, key: str) -> None:
        """A local key must not leave the root through a symbolic link: obstore follows them."""
        if self._root is None:
            return
        root, target = self._root, self._root / key
        inside = await asyncio.to_thread(lambda: target.resolve().is_relative_to(root.resolve()))
        if not inside:
            raise IntegrityError(f"{target} leads out of {root}", registry=self._registry)

    def _error(self, error: Exception, operation: str, key: str) -> Exception:
        if isinstance(error, FedregError):
            return error
        return to_domain_error(error, f"{operation} {without_secrets(self.uri(key))}", self._registry)


def open_store(url: str, options: StoreOptions | None = None, *, registry: str | None = None) -> ObjectStore:
    """The store of an `s3://`, `gs://`, `az://account/container`, `abfss://`, `wasbs://` or `file://` URL.

    Nothing is requested yet. Raises ConfigError for a URL or options that can't be used.
    """
    backend, root = open_backend(url, options or StoreOptions())
    return ObjectStore(url, backend, registry=registry, root=root)


async def checked(source: FileSource) -> AsyncIterator[bytes]:
    """A file's bytes; IntegrityError at the end where size or sha256 are not as announced. Hashes in a thread."""
    seen, digest = 0, hashlib.sha256()
    async for chunk in source.open_at(0):
        seen += len(chunk)
        if seen > source.size:
            break
        if source.sha256:
            await asyncio.to_thread(digest.update, chunk)
        yield chunk
    if seen != source.size:
        more = "more than " if seen > source.size else f"{seen} of "
        raise IntegrityError(f"file {source.path!r} brought {more}{source.size} bytes")
    if source.sha256 and digest.hexdigest() != source.sha256.lower():
        raise IntegrityError(f"file {source.path!r} has sha256 {digest.hexdigest()}, {source.sha256} was announced")


class _Counted:
    """Chunks on their way: counted, and the source's own failure told from the store's.

    Each chunk is asked for in a task of its own, and nobody closes the source of an upload that is given up.
    """

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self._reading: asyncio.Task[Any] | None = None
        self._closed = False
        self.size = 0
        self.failure: Exception | None = None

    def __aiter__(self) -> _Counted:
        return self

    async def __anext__(self) -> bytes:
        if self._closed:
            raise asyncio.CancelledError  # an end would make a whole object of what was sent
        self._reading = asyncio.current_task()
        try:
            chunk = await self._chunks.__anext__()
        except Exception as error:
            self.failure = error
            raise
        finally:
            self._reading = None
        self.size += len(chunk)
        return chunk

    async def aclose(self) -> None:
        """Close the source; a read under way is cut off first."""
        self._closed = True
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait({self._reading})
        if isinstance(self._chunks, AsyncGenerator):
            await self._chunks.aclose()


def _stored(meta: Any) -> StoredObject:
    return StoredObject(key=meta["path"], size=meta["size"], etag=meta["e_tag"], modified_at=meta["last_modified"])
