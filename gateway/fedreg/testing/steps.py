"""Steps that conformance tests share: make a model, make a version, read all, page through."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator, Mapping
from random import Random
from typing import Any, TypeVar

from fedreg.domain.capabilities import Operation
from fedreg.domain.errors import FedregError
from fedreg.domain.manifest import Manifest, ManifestEntry, is_payload
from fedreg.domain.models import (
    Batch,
    FileEntry,
    FileSource,
    Model,
    ModelDraft,
    ModelQuery,
    Page,
    PageRequest,
    Pending,
    UploadState,
    Version,
    VersionDraft,
)
from fedreg.domain.port import RegistryAdapter
from fedreg.testing.backend import Backend

CHUNK = 256 * 1024
MAX_PAGES = 1000
FILES: Mapping[str, bytes] = {"model.bin": b"weights of a model", "conf/params.json": b'{"depth": 3}'}
Item = TypeVar("Item")


def new_key() -> str:
    """An idempotency key that was never used before, not by another run on the same registry either."""
    return uuid.uuid4().hex


def pattern_bytes(size: int) -> bytes:
    """Bytes without a period, the same each time: a shifted, doubled or missing part shows."""
    return Random(size).randbytes(size)


def file_source(path: str, data: bytes, *, size: int | None = None, sha256: str | None = "") -> FileSource:
    """A file to upload; `sha256` "" means the right one, None none at all."""

    async def open_at(offset: int) -> AsyncIterator[bytes]:
        for start in range(offset, len(data), CHUNK):
            yield data[start : start + CHUNK]

    digest = hashlib.sha256(data).hexdigest() if sha256 == "" else sha256
    return FileSource(path=path, size=len(data) if size is None else size, open_at=open_at, sha256=digest)


async def new_model(adapter: RegistryAdapter, backend: Backend, name: str | None = None) -> str:
    """A model of that name, or of a unique one. Where models are implicit an upload makes it later."""
    name = name or backend.unique_name()
    if adapter.capabilities.supports(Operation.CREATE_MODEL):
        await adapter.create_model(ModelDraft(name=name))
    return name


async def begin(
    adapter: RegistryAdapter, backend: Backend, model: str, files: Mapping[str, bytes], key: str, **fields: Any
) -> UploadState:
    """A begun upload that announces `files`."""
    sizes = {path: len(data) for path, data in files.items()}
    return await adapter.begin_upload(backend.draft(VersionDraft(model=model, files=sizes, **fields)), key)


async def put_all(adapter: RegistryAdapter, state: UploadState, files: Mapping[str, bytes]) -> None:
    """Upload files one after the other."""
    for path, data in files.items():
        await adapter.put_file(state, file_source(path, data))


async def uploaded(
    adapter: RegistryAdapter,
    backend: Backend,
    model: str,
    files: Mapping[str, bytes] = FILES,
    key: str | None = None,
    **fields: Any,
) -> UploadState:
    """An upload with all its files in place, not yet finished."""
    state = await begin(adapter, backend, model, files, key or new_key(), **fields)
    await put_all(adapter, state, files)
    return state


async def finish(adapter: RegistryAdapter, state: UploadState) -> Version:
    """Finish an upload and wait while it is pending."""
    result = await adapter.finish(state)
    for attempt in range(MAX_PAGES):
        if not isinstance(result, Pending):
            return result
        await asyncio.sleep(min(result.poll_after, 0.05 * 1.5 ** min(attempt, 20)))  # soon what the registry asks for
        result = await adapter.poll(result.state)
    raise AssertionError("poll never stopped saying Pending")


async def new_version(
    adapter: RegistryAdapter,
    backend: Backend,
    model: str | None = None,
    files: Mapping[str, bytes] = FILES,
    key: str | None = None,
    **fields: Any,
) -> Version:
    """A ready version with these files, in a model of its own where none is named."""
    model = model or await new_model(adapter, backend)
    if adapter.capabilities.supports(Operation.UPLOAD):
        return await finish(adapter, await uploaded(adapter, backend, model, files, key, **fields))
    draft = VersionDraft(model=model, source_uri=await backend.place(files), **fields)
    return await adapter.create_version(backend.draft(draft), key or new_key())


async def read(adapter: RegistryAdapter, version: Version, path: str, offset: int = 0) -> bytes:
    """A file's bytes from `offset`."""
    entry = next(file for file in await adapter.list_files(version.model, version.version) if file.path == path)
    return await gather(adapter.open_file(version.model, version.version, entry, offset))


async def gather(chunks: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in chunks])


async def payload(adapter: RegistryAdapter, version: Version) -> list[FileEntry]:
    """The files of a version that count: without those the registry adds by itself."""
    added = adapter.capabilities.registry_files
    return [f for f in await adapter.list_files(version.model, version.version) if is_payload(f.path, added)]


async def read_all(adapter: RegistryAdapter, version: Version) -> dict[str, bytes]:
    """All payload files with their bytes."""
    files = await payload(adapter, version)
    return {f.path: await gather(adapter.open_file(version.model, version.version, f)) for f in files}


async def read_manifest(adapter: RegistryAdapter, version: Version) -> Manifest:
    """The manifest of a version by reading every byte."""
    return manifest_of(await read_all(adapter, version))


def manifest_of(files: Mapping[str, bytes]) -> Manifest:
    """The manifest that these files must have."""
    return Manifest.of(ManifestEntry(path, len(data), hashlib.sha256(data).hexdigest()) for path, data in files.items())


async def differs(adapter: RegistryAdapter, version: Version, files: Mapping[str, bytes]) -> bool:
    """Whether reading a version back shows that its bytes are not those of `files`; a refusal to read counts."""
    try:
        return (await read_manifest(adapter, version)).digest() != manifest_of(files).digest()
    except FedregError:
        return True


async def all_models(adapter: RegistryAdapter, contains: str | None = None, limit: int = 100) -> list[Model]:
    """Every model, page by page."""
    found: list[Model] = []
    token = None
    for _ in range(MAX_PAGES):
        page = await adapter.list_models(ModelQuery(page=PageRequest(limit=limit, token=token), name_contains=contains))
        found.extend(check_page(page, limit))
        token = page.next_token
        if token is None:
            return found
    raise AssertionError("list_models never ended")


async def all_versions(adapter: RegistryAdapter, model: str, limit: int = 100) -> list[Version]:
    """Every version of a model, page by page."""
    found: list[Version] = []
    token = None
    for _ in range(MAX_PAGES):
        page = await adapter.list_versions(model, PageRequest(limit=limit, token=token))
        found.extend(check_page(page, limit))
        token = page.next_token
        if token is None:
            return found
    raise AssertionError("list_versions never ended")


def check_page(page: Page[Item], limit: int) -> tuple[Item, ...]:
    assert len(page.items) <= limit, "a page holds more than was asked for"
    return page.items


async def scan_all(adapter: RegistryAdapter, cursor: str | None = None) -> list[Batch]:
    """The batches of a scan, until the complete one."""
    batches: list[Batch] = []
    for _ in range(MAX_PAGES):
        batches.append(await adapter.scan(cursor))
        cursor = batches[-1].cursor
        if batches[-1].complete:
            return batches
        assert cursor is not None, "a batch that is not complete has no cursor"
    raise AssertionError("scan never completed")
