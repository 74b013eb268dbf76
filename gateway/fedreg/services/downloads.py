"""Files of a version, opened one by one or listed to be written elsewhere."""

from __future__ import annotations

from collections.abc import AsyncIterator

from fedreg.domain.errors import NotFound
from fedreg.domain.models import FileEntry, Version
from fedreg.domain.refs import Ref
from fedreg.services.copy_plan import list_payload
from fedreg.services.gateway import Gateway
from fedreg.services.selectors import resolve


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


async def list_download(gateway: Gateway, ref: Ref) -> tuple[Version, list[FileEntry]]:
    """The version, pinned, and the files that count. Raises NotFound, Unsupported for a version without files."""
    version = await resolve(gateway, ref)
    adapter = await gateway.registries.get(ref.registry)
    return version, await list_payload(adapter, version)
