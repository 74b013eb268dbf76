"""Steps the tests share: files in memory, one upload from begin to finish, all bytes of a version."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping
from itertools import count
from typing import Any

from fedreg.domain.models import FileSource, ModelDraft, Version, VersionDraft
from fedreg.domain.port import RegistryAdapter

FILES: Mapping[str, bytes] = {"MLmodel": b"flavors: {}\n", "data/weights.bin": b"\x00\x01weights"}
_serial = count(1)


def unique(hint: str = "model") -> str:
    return f"{hint}-{next(_serial)}"


def source(path: str, data: bytes) -> FileSource:
    async def open_at(offset: int) -> AsyncIterator[bytes]:
        for start in range(offset, len(data), 65536):
            yield data[start : start + 65536]

    return FileSource(path=path, size=len(data), open_at=open_at, sha256=hashlib.sha256(data).hexdigest())


async def upload(
    adapter: RegistryAdapter,
    model: str | None = None,
    files: Mapping[str, bytes] = FILES,
    key: str | None = None,
    **fields: Any,
) -> Version:
    """A version with these files; its model is made where none is named."""
    if model is None:
        model = unique()
        await adapter.create_model(ModelDraft(name=model))
    sizes = {path: len(data) for path, data in files.items()}
    draft = VersionDraft(model=model, files=sizes, **fields)
    state = await adapter.begin_upload(draft, key or unique("key"))
    for path, data in files.items():
        await adapter.put_file(state, source(path, data))
    version = await adapter.finish(state)
    assert isinstance(version, Version)
    return version


async def read_all(adapter: RegistryAdapter, version: Version) -> dict[str, bytes]:
    found = {}
    for entry in await adapter.list_files(version.model, version.version):
        chunks = [chunk async for chunk in adapter.open_file(version.model, version.version, entry)]
        found[entry.path] = b"".join(chunks)
    return found
