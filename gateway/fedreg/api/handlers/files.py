"""Files of a version, listed and streamed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Annotated
from urllib.parse import quote

import structlog
from aiohttp import web
from msgspec import Meta

from fedreg.api.context import REQUEST_ID, gateway_of, version_ref
from fedreg.api.encoding import Listing
from fedreg.api.middleware import REQUEST_ID_HEADER
from fedreg.api.paging import PageQuery, cut_page
from fedreg.api.ranges import ByteRange, parse_range
from fedreg.domain.capabilities import Operation
from fedreg.domain.errors import IntegrityError
from fedreg.domain.models import FileEntry
from fedreg.services import catalog
from fedreg.services.copy_plan import list_payload
from fedreg.services.downloads import open_download

log = structlog.get_logger("fedreg.api")


class FilesQuery(PageQuery, frozen=True, kw_only=True):
    """Which files of a version."""

    payload: Annotated[bool, Meta(description="only what its digest covers, without files its registry adds")] = False


async def list_files(request: web.Request, *, query: FilesQuery) -> Listing[FileEntry]:
    gateway, ref = gateway_of(request), version_ref(request)
    adapter = await gateway.registries.get(ref.registry)
    adapter.capabilities.require(Operation.LIST_FILES, registry=ref.registry)
    version = await catalog.get_version(gateway, ref)
    files: Sequence[FileEntry]
    if query.payload:
        files = await list_payload(adapter, version)
    else:
        files = await adapter.list_files(version.model, version.version)
    return cut_page(files, query, lambda entry: entry.path)


async def get_file(request: web.Request) -> web.StreamResponse:
    """A file, whole or one range of it. What fails before the first byte is a problem; later the connection breaks."""
    gateway, ref, path = gateway_of(request), version_ref(request), request.match_info["path"]
    entry, chunks = await open_download(gateway, ref, path)
    try:
        wanted = parse_range(_range_header(request, entry), entry.size)
        whole = wanted is None
        wanted = wanted or ByteRange(0, entry.size)
        if wanted.start:
            await _close(chunks)
            entry, chunks = await open_download(gateway, ref, path, wanted.start)
        if request.method == "HEAD":
            return _head(request, entry, wanted, whole=whole)
        first = await anext(chunks, b"") if wanted.length else b""
        response = _head(request, entry, wanted, whole=whole)
        await response.prepare(request)
        await _send(request, response, first, chunks, wanted.length)
        return response
    finally:
        await _close(chunks)


async def _send(
    request: web.Request, response: web.StreamResponse, first: bytes, chunks: AsyncIterator[bytes], left: int
) -> None:
    """Send exactly `left` bytes, or break the connection so that nobody takes a part for the whole."""
    try:
        chunk = first
        while left > 0:
            if not chunk:
                raise IntegrityError(f"the registry sent {left} bytes less than it said")
            piece = chunk[:left]
            await response.write(piece)
            left -= len(piece)
            chunk = await anext(chunks, b"") if left else b""
    except ConnectionError:  # the client has gone
        raise
    except Exception as error:
        log.warning("download broke off", path=request.rel_url.raw_path, left=left, exc_info=error)
        if request.transport is not None:
            request.transport.abort()
        return
    await response.write_eof()


def _head(request: web.Request, entry: FileEntry, wanted: ByteRange, *, whole: bool) -> web.StreamResponse:
    headers = {
        "Accept-Ranges": "bytes",
        "Content-Type": "application/octet-stream",
        "Content-Length": str(wanted.length),
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(entry.path.rpartition('/')[2], safe='')}",
        "X-Content-Type-Options": "nosniff",
        REQUEST_ID_HEADER: request[REQUEST_ID],
    }
    if (tag := _etag(entry)) is not None:
        headers["ETag"] = tag
    if not whole:
        headers["Content-Range"] = f"bytes {wanted.start}-{wanted.stop - 1}/{entry.size}"
    return web.StreamResponse(status=200 if whole else 206, headers=headers)


def _etag(entry: FileEntry) -> str | None:
    known = entry.sha256 or entry.etag
    return None if known is None else f'"{quote(known.strip(chr(34)), safe=":/+=-._")}"'


def _range_header(request: web.Request, entry: FileEntry) -> str | None:
    """The Range header; None where If-Range names another state of the file."""
    condition = request.headers.get("If-Range")
    return request.headers.get("Range") if condition is None or condition == _etag(entry) else None


async def _close(chunks: AsyncIterator[bytes]) -> None:
    close = getattr(chunks, "aclose", None)
    if close is not None:
        await close()
