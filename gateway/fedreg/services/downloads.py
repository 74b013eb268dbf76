"""Files of a version, one as a stream or all into a directory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from fedreg.domain.errors import AlreadyExists, NotFound
from fedreg.domain.manifest import Basis, Manifest, ManifestEntry, check_path
from fedreg.domain.models import FileEntry
from fedreg.domain.refs import Ref
from fedreg.domain.reports import DownloadReport
from fedreg.services.copy_plan import list_payload
from fedreg.services.gateway import Gateway
from fedreg.services.selectors import resolve
from fedreg.services.transfer import HashedSource, expect_size


async def open_download(
    gateway: Gateway, ref: Ref, path: str, offset: int = 0
) -> tuple[FileEntry, AsyncIterator[bytes]]:
    """A file's entry and its bytes from `offset`. Raises NotFound."""
    version = await resolve(gateway, ref)
    adapter = await gateway.registries.get(ref.registry)
    for entry in await adapter.list_files(version.model, version.version):
        if entry.path == path:
            return entry, adapter.open_file(version.model, version.version, entry, offset)
    raise NotFound(
        f"file {path!r} of '{ref}' does not exist", registry=ref.registry, cure=f"`fedreg show '{ref}'` lists them"
    )


async def download_version(gateway: Gateway, ref: Ref, directory: Path) -> DownloadReport:
    """Write a version's payload under a new or empty directory. A file appears whole or not at all."""
    if await asyncio.to_thread(_is_occupied, directory):
        raise AlreadyExists(f"directory '{directory}' is not empty", cure="name a new directory")
    version = await resolve(gateway, ref)
    adapter = await gateway.registries.get(ref.registry)
    entries = []
    for entry in await list_payload(adapter, version):
        target = directory / check_path(entry.path)
        await asyncio.to_thread(target.parent.mkdir, parents=True, exist_ok=True)

        def open_at(offset: int, entry: FileEntry = entry) -> AsyncIterator[bytes]:
            return adapter.open_file(version.model, version.version, entry, offset)

        source = HashedSource(open_at, entry.size, lambda _: None)
        size = await _write(target, source.open_at(0))
        expect_size(entry, size, f"registry {ref.registry!r}")
        entries.append(ManifestEntry(path=entry.path, size=size, sha256=source.sha256 or ""))
    manifest = Manifest.of(entries)
    return DownloadReport(
        ref=str(Ref(version.registry, version.model).at_version(version.version)),
        directory=str(directory),
        files=len(entries),
        bytes=manifest.size,
        digest=manifest.digest(Basis.READ).value,
    )


def _is_occupied(directory: Path) -> bool:
    return directory.exists() and any(directory.iterdir())


async def _write(target: Path, chunks: AsyncIterator[bytes]) -> int:
    partial = target.with_name(f".{target.name}.part")
    size = 0
    file = await asyncio.to_thread(partial.open, "wb")
    try:
        async for chunk in chunks:
            size += len(chunk)
            await asyncio.to_thread(file.write, chunk)
    finally:
        await asyncio.to_thread(file.close)
    await asyncio.to_thread(partial.replace, target)
    return size
