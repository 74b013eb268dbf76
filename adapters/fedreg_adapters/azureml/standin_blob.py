"""Blob storage in memory: block blobs, lists, batches of deletes, and signatures that permit only so much."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from itertools import count
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree as Xml
from xml.sax.saxutils import escape

from aiohttp import web

from fedreg_adapters.azureml.standin_errors import BlobError
from fedreg_adapters.azureml.standin_state import State

_RANGE = re.compile(r"bytes=(\d+)-(\d*)")
_PAGE = 1000
_serial = count(1)


@dataclass
class Blob:
    """A committed blob."""

    data: bytes
    metadata: dict[str, str] = field(default_factory=dict)
    etag: str = ""
    made: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))

    def __post_init__(self) -> None:
        self.etag = f'"0x8DD{next(_serial):012X}"'

    def headers(self) -> dict[str, str]:
        return {
            "ETag": self.etag,
            "Last-Modified": format_datetime(self.made, usegmt=True),
            "Accept-Ranges": "bytes",
            "Content-MD5": base64.b64encode(hashlib.md5(self.data, usedforsecurity=False).digest()).decode(),
            "x-ms-blob-type": "BlockBlob",
            "x-ms-creation-time": format_datetime(self.made, usegmt=True),
            "x-ms-server-encrypted": "true",
            "x-ms-version": "2021-08-06",
            **{f"x-ms-meta-{name}": value for name, value in self.metadata.items()},
        }


def add_routes(app: web.Application, state: State) -> None:
    """The paths of the blob service: `/account/container/blob`, as an emulator's."""
    service = Service(state)
    app.router.add_route("*", "/{account:standin[a-z0-9]+}/{container}", service.container)
    app.router.add_route("*", "/{account:standin[a-z0-9]+}/{container}/{blob:.+}", service.blob)


class Service:
    """The handlers of all accounts."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.blocks: dict[tuple[str, str, str], dict[str, bytes]] = {}

    async def container(self, request: web.Request) -> web.StreamResponse:
        self._permit(request, "l" if request.method in ("GET", "HEAD") else "d")
        held = self._held(request)
        if request.method == "GET" and request.query.get("comp") == "list":
            return self._list(request, held)
        if request.method == "POST" and request.query.get("comp") == "batch":
            return await self._batch(request, held)
        if request.method in ("GET", "HEAD"):
            return web.Response(
                headers={"ETag": '"0x1"', "Last-Modified": format_datetime(datetime.now(UTC), usegmt=True)}
            )
        raise BlobError(400, "UnsupportedOperation")

    async def blob(self, request: web.Request) -> web.StreamResponse:
        name, held = name_of(request), self._held(request)
        if request.method in ("GET", "HEAD"):
            self._permit(request, "r")
            return self._get(request, held, name)
        if request.method == "PUT":
            self._permit(request, "w")
            return await self._put(request, held, name)
        if request.method == "DELETE":
            self._permit(request, "d")
            if held.pop(name, None) is None:
                raise BlobError(404, "BlobNotFound")
            return web.Response(status=202)
        raise BlobError(400, "UnsupportedOperation")

    def _permit(self, request: web.Request, right: str) -> None:
        """A signature that allows it, an account's key, or a token."""
        scheme = request.headers.get("Authorization", "").partition(" ")[0]
        if request.query.get("sig") is None and scheme in ("SharedKey", "Bearer"):
            return
        if request.query.get("sig") != self.state.signature:
            raise BlobError(403, "AuthenticationFailed")
        if right not in request.query.get("sp", ""):
            raise BlobError(403, "AuthorizationPermissionMismatch")

    def _held(self, request: web.Request) -> dict[str, Blob]:
        place = request.match_info["account"], request.match_info["container"]
        if place not in self.state.blobs:
            raise BlobError(404, "ContainerNotFound")
        return self.state.blobs[place]

    def _get(self, request: web.Request, held: dict[str, Blob], name: str) -> web.Response:
        found = held.get(name)
        if found is None:
            raise BlobError(404, "BlobNotFound")
        if (wanted := request.headers.get("If-Match")) not in (None, "*", found.etag):
            raise BlobError(412, "ConditionNotMet")
        asked = _RANGE.fullmatch(request.headers.get("x-ms-range") or request.headers.get("Range") or "")
        headers = {**found.headers(), "Content-Type": "application/octet-stream"}
        if request.method == "HEAD":
            return web.Response(headers={**headers, "Content-Length": str(len(found.data))})
        if asked is None:
            return web.Response(headers=headers, body=found.data)
        start, stop = int(asked[1]), int(asked[2] or len(found.data)) + 1
        if start >= len(found.data):
            raise BlobError(416, "InvalidRange")
        del headers["Content-MD5"], wanted
        part = found.data[start:stop]
        headers["Content-Range"] = f"bytes {start}-{start + len(part) - 1}/{len(found.data)}"
        return web.Response(status=206, headers=headers, body=part)

    async def _put(self, request: web.Request, held: dict[str, Blob], name: str) -> web.Response:
        place = (request.match_info["account"], request.match_info["container"], name)
        comp, data = request.query.get("comp"), await request.read()
        if comp == "metadata":
            if name not in held:
                raise BlobError(404, "BlobNotFound")
            held[name].metadata = metadata_of(request)
            return web.Response(headers=held[name].headers())
        if comp == "block":
            self.blocks.setdefault(place, {})[request.query["blockid"]] = data
            return web.Response(status=201)
        if request.headers.get("If-None-Match") == "*" and name in held:
            raise BlobError(409, "BlobAlreadyExists")
        if comp == "blocklist":
            kept = self.blocks.pop(place, {})
            wanted = [str(block.text).strip() for block in Xml.fromstring(data)]  # noqa: S314 - our own tests write it
            if any(block not in kept for block in wanted):
                raise BlobError(400, "InvalidBlockList")
            data = b"".join(kept[block] for block in wanted)
        elif request.headers.get("x-ms-blob-type") != "BlockBlob":
            raise BlobError(400, "InvalidHeaderValue")
        sent = request.headers.get("Content-MD5")
        if (
            sent
            and comp is None
            and sent != base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
        ):
            raise BlobError(400, "Md5Mismatch")
        held[name] = Blob(data, metadata_of(request))
        return web.Response(status=201, headers=held[name].headers())

    def _list(self, request: web.Request, held: dict[str, Blob]) -> web.Response:
        prefix, marker = request.query.get("prefix", ""), request.query.get("marker", "")
        size = min(int(request.query.get("maxresults", _PAGE)), _PAGE)
        names = [name for name in sorted(held) if name.startswith(prefix) and name >= marker]
        shown = "".join(list_entry(name, held[name]) for name in names[:size])
        following = escape(names[size]) if len(names) > size else ""
        body = (
            '<?xml version="1.0" encoding="utf-8"?>'
            f'<EnumerationResults ServiceEndpoint="http://local/" ContainerName="{request.match_info["container"]}">'
            f"<Prefix>{escape(prefix)}</Prefix><MaxResults>{size}</MaxResults><Blobs>{shown}</Blobs><NextMarker>{following}</NextMarker>"
            "</EnumerationResults>"
        )
        return web.Response(body=body.encode(), content_type="application/xml")

    async def _batch(self, request: web.Request, held: dict[str, Blob]) -> web.Response:
        """Deletes, each in a part of its own."""
        text = (await request.read()).decode()
        parts = re.findall(r"Content-ID: ?(\S+).*?DELETE (\S+) HTTP", text, re.DOTALL | re.IGNORECASE)
        answers = []
        for number, target in parts:
            name = unquote(urlsplit(target).path).split(f"/{request.match_info['container']}/", 1)[1]
            gone = held.pop(name, None) is not None
            status = "202 Accepted" if gone else "404 The specified blob does not exist."
            code = "" if gone else "x-ms-error-code: BlobNotFound\r\n"
            answers.append(
                f"--batch\r\nContent-Type: application/http\r\nContent-ID: {number}\r\n\r\n"
                f"HTTP/1.1 {status}\r\n{code}x-ms-request-id: {number}\r\nx-ms-version: 2021-08-06\r\n\r\n"
            )
        body = "".join(answers) + "--batch--\r\n"
        return web.Response(status=202, body=body.encode(), headers={"Content-Type": "multipart/mixed; boundary=batch"})


def name_of(request: web.Request) -> str:
    """The blob's name, decoded once from the raw path: it may hold anything."""
    return unquote(request.raw_path.partition("?")[0]).split("/", 3)[3]


def metadata_of(request: web.Request) -> dict[str, str]:
    found = {name.lower(): value for name, value in request.headers.items()}
    return {name.removeprefix("x-ms-meta-"): value for name, value in found.items() if name.startswith("x-ms-meta-")}


def list_entry(name: str, blob: Blob) -> str:
    made = format_datetime(blob.made, usegmt=True)
    return (
        f"<Blob><Name>{escape(name)}</Name><Properties><Creation-Time>{made}</Creation-Time>"
        f"<Last-Modified>{made}</Last-Modified><Etag>{escape(blob.etag)}</Etag>"
        f"<Content-Length>{len(blob.data)}</Content-Length><Content-Type>application/octet-stream</Content-Type>"
        "<BlobType>BlockBlob</BlobType><LeaseStatus>unlocked</LeaseStatus></Properties></Blob>"
    )
