"""Blob storage in memory: block blobs, lists, batches of deletes, and signatures that permit only so much."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import format_datetime
from itertools import count
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree as Xml
from xml.sax.saxutils import escape

from aiohttp import web
from yarl import URL

from fedreg_adapters.azureml.standin_errors import BlobError
from fedreg_adapters.azureml.standin_state import State

_RANGE = re.compile(r"bytes=(\d+)-(\d*)")
_PART = re.compile(r"Content-ID: ?(\S+).*?DELETE (\S+) HTTP(.*?)(?=\r\n--)", re.DOTALL | re.IGNORECASE)
_SCHEME = re.compile(r"^Authorization: (\w+)", re.MULTILINE)
_PAGE = 1000
VERSION = "2021-08-06"
_serial = count(1)


@dataclass
class Blob:
    """A committed blob."""

    data: bytes
    metadata: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/octet-stream"
    md5: str | None = None  # of a blob that came in one request; nobody adds up blocks
    etag: str = field(default_factory=lambda: new_etag())
    made: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))

    def written(self) -> dict[str, str]:
        """What the answer to a write says."""
        return {
            "ETag": self.etag,
            "Last-Modified": format_datetime(self.made, usegmt=True),
            "x-ms-request-server-encrypted": "true",
            "x-ms-version": VERSION,
        }

    def headers(self) -> dict[str, str]:
        """What the answer to a read says."""
        return {
            "ETag": self.etag,
            "Last-Modified": format_datetime(self.made, usegmt=True),
            "Accept-Ranges": "bytes",
            "Content-Type": self.content_type,
            **({"Content-MD5": self.md5} if self.md5 else {}),
            "x-ms-blob-type": "BlockBlob",
            "x-ms-creation-time": format_datetime(self.made, usegmt=True),
            "x-ms-server-encrypted": "true",
            "x-ms-version": VERSION,
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
        place, comp = (request.match_info["account"], request.match_info["container"]), request.query.get("comp")
        if request.method == "PUT" and comp is None:
            self._permit(request.query, scheme_of(request), None)
            if place in self.state.blobs:
                raise BlobError(409, "ContainerAlreadyExists")
            self.state.blobs[place] = {}
            return web.Response(status=201, headers=container_headers())
        # A batch may be sent with any right: its parts are looked at one by one.
        self._permit(request.query, scheme_of(request), "l" if request.method in ("GET", "HEAD") else "")
        held = self._held(request)
        if request.method == "GET" and comp == "list":
            return self._list(request, held)
        if request.method == "POST" and comp == "batch":
            return await self._batch(request, held)
        if request.method in ("GET", "HEAD") and comp is None:
            return web.Response(headers=container_headers())
        raise BlobError(400, "UnsupportedOperation")

    async def blob(self, request: web.Request) -> web.StreamResponse:
        name = name_of(request)
        right = {"GET": "r", "HEAD": "r", "DELETE": "d"}.get(request.method, "w")
        self._permit(request.query, scheme_of(request), right)
        held = self._held(request)
        if request.method in ("GET", "HEAD"):
            return self._get(request, held, name)
        if request.method == "PUT":
            return await self._put(request, held, name)
        if request.method == "DELETE":
            check_write(request, held.get(name))
            if held.pop(name, None) is None:
                raise BlobError(404, "BlobNotFound")
            return web.Response(status=202)
        raise BlobError(400, "UnsupportedOperation")

    def _permit(self, query: Mapping[str, str], scheme: str, right: str | None) -> None:
        """A signature that allows it, an account's key, or a token. None: what no signature of a container allows."""
        if "sig" not in query and scheme in ("SharedKey", "Bearer"):
            return
        is_over = "se" in query and datetime.fromisoformat(query["se"]) < datetime.now(UTC)
        if query.get("sig") != self.state.signature or is_over:
            raise BlobError(403, "AuthenticationFailed")
        if right is None or right not in query.get("sp", ""):
            raise BlobError(403, "AuthorizationPermissionMismatch")

    def _held(self, request: web.Request) -> dict[str, Blob]:
        place = request.match_info["account"], request.match_info["container"]
        if place not in self.state.blobs:
            raise BlobError(404, "ContainerNotFound")
        return self.state.blobs[place]

    def _get(self, request: web.Request, held: dict[str, Blob], name: str) -> web.Response:
        found = check_read(request, held.get(name))
        headers = found.headers()
        if request.method == "HEAD":
            return web.Response(headers={**headers, "Content-Length": str(len(found.data))})
        if (asked := range_of(request, len(found.data))) is None:
            return web.Response(headers=headers, body=found.data)
        start, stop = asked
        if md5 := headers.pop("Content-MD5", None):
            headers["x-ms-blob-content-md5"] = md5
        part = found.data[start:stop]
        headers["Content-Range"] = f"bytes {start}-{start + len(part) - 1}/{len(found.data)}"
        return web.Response(status=206, headers=headers, body=part)

    async def _put(self, request: web.Request, held: dict[str, Blob], name: str) -> web.Response:
        place = (request.match_info["account"], request.match_info["container"], name)
        comp, data = request.query.get("comp"), await request.read()
        if comp == "block":
            check_md5(request, data)
            self.blocks.setdefault(place, {})[request.query["blockid"]] = data
            return web.Response(status=201, headers={"x-ms-request-server-encrypted": "true", "x-ms-version": VERSION})
        check_write(request, held.get(name))
        if comp == "metadata":
            if name not in held:
                raise BlobError(404, "BlobNotFound")
            held[name] = replace(held[name], metadata=metadata_of(request), etag=new_etag())
            return web.Response(headers=held[name].written())
        if request.headers.get("If-None-Match") == "*" and name in held:
            raise BlobError(409, "BlobAlreadyExists")
        if comp == "blocklist":
            made = Blob(self._joined(place, data), metadata_of(request))
        elif comp is None and request.headers.get("x-ms-blob-type") == "BlockBlob":
            made = Blob(data, metadata_of(request), md5=check_md5(request, data))
        else:
            raise BlobError(400, "InvalidHeaderValue")
        made.content_type = request.headers.get("x-ms-blob-content-type") or made.content_type
        self.blocks.pop(place, None)
        held[name] = made
        return web.Response(status=201, headers={**made.written(), "Content-MD5": md5_of(data)})

    def _joined(self, place: tuple[str, str, str], wanted: bytes) -> bytes:
        """The staged blocks that a list names, in its order."""
        staged = self.blocks.get(place, {})
        named = [str(block.text).strip() for block in Xml.fromstring(wanted)]  # noqa: S314 - our own tests write it
        if any(block not in staged for block in named):
            raise BlobError(400, "InvalidBlockList")
        return b"".join(staged[block] for block in named)

    def _list(self, request: web.Request, held: dict[str, Blob]) -> web.Response:
        asked = {name: request.query.get(name, "") for name in ("prefix", "marker", "delimiter", "include")}
        size = min(int(request.query.get("maxresults", _PAGE)), _PAGE)
        entries: dict[str, str] = {}
        for name in sorted(name for name in held if name.startswith(asked["prefix"])):
            inner, delimiter, _ = name[len(asked["prefix"]) :].partition(asked["delimiter"] or "\0")
            if delimiter:
                folder = asked["prefix"] + inner + delimiter
                entries[folder] = f"<BlobPrefix><Name>{escape(folder)}</Name></BlobPrefix>"
            else:
                entries[name] = list_entry(name, held[name], with_metadata="metadata" in asked["include"])
        names = [name for name in sorted(entries) if name >= asked["marker"]]
        shown = "".join(entries[name] for name in names[:size])
        following = escape(names[size]) if len(names) > size else ""
        body = (
            '<?xml version="1.0" encoding="utf-8"?>'
            f'<EnumerationResults ServiceEndpoint="http://local/" ContainerName="{request.match_info["container"]}">'
            f"<Prefix>{escape(asked['prefix'])}</Prefix><Marker>{escape(asked['marker'])}</Marker>"
            f"<MaxResults>{size}</MaxResults><Blobs>{shown}</Blobs><NextMarker>{following}</NextMarker>"
            "</EnumerationResults>"
        )
        return web.Response(body=body.encode(), content_type="application/xml")

    async def _batch(self, request: web.Request, held: dict[str, Blob]) -> web.Response:
        """Deletes, each in a part with a signature or key of its own."""
        answers = []
        for number, target, rest in _PART.findall((await request.read()).decode()):
            scheme = _SCHEME.search(rest)
            try:
                self._permit(URL(target, encoded=True).query, scheme[1] if scheme else "", "d")
                name = unquote(urlsplit(target).path).split(f"/{request.match_info['container']}/", 1)[1]
                if held.pop(name, None) is None:
                    raise BlobError(404, "BlobNotFound")
                status, code = "202 Accepted", ""
            except BlobError as error:
                status, code = f"{error.status} {error.code}", f"x-ms-error-code: {error.code}\r\n"
            answers.append(
                f"--batch\r\nContent-Type: application/http\r\nContent-ID: {number}\r\n\r\n"
                f"HTTP/1.1 {status}\r\n{code}x-ms-request-id: {number}\r\nx-ms-version: {VERSION}\r\n\r\n"
            )
        body = "".join(answers) + "--batch--\r\n"
        return web.Response(status=202, body=body.encode(), headers={"Content-Type": "multipart/mixed; boundary=batch"})


def scheme_of(request: web.Request) -> str:
    return request.headers.get("Authorization", "").partition(" ")[0]


def name_of(request: web.Request) -> str:
    """The blob's name, decoded once from the raw path: it may hold anything."""
    return unquote(request.raw_path.partition("?")[0]).split("/", 3)[3]


def metadata_of(request: web.Request) -> dict[str, str]:
    """What was sent with a blob; names keep their case."""
    start = "x-ms-meta-"
    return {name[len(start) :]: value for name, value in request.headers.items() if name.lower().startswith(start)}


def new_etag() -> str:
    return f'"0x8DD{next(_serial):012X}"'


def md5_of(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()


def check_md5(request: web.Request, data: bytes) -> str:
    """The checksum of a body, which must be the announced one."""
    found = md5_of(data)
    if request.headers.get("Content-MD5", found) != found:
        raise BlobError(400, "Md5Mismatch")
    return found


def range_of(request: web.Request, size: int) -> tuple[int, int] | None:
    """The bytes asked for; None for all of them, also where a range makes no sense: it is ignored then."""
    found = _RANGE.fullmatch(request.headers.get("x-ms-range") or request.headers.get("Range") or "")
    if found is None or (found[2] and int(found[2]) < int(found[1])):
        return None
    if int(found[1]) >= size:
        raise BlobError(416, "InvalidRange", {"Content-Range": f"bytes */{size}"})
    return int(found[1]), min(int(found[2] or size) + 1, size)


def check_read(request: web.Request, found: Blob | None) -> Blob:
    """The blob to read, where there is one and the conditions are met."""
    wanted, unwanted = conditions_of(request)
    if unwanted == "*":
        raise BlobError(400, "UnsatisfiableCondition")
    if found is None:
        raise BlobError(412, "ConditionNotMet") if wanted else BlobError(404, "BlobNotFound")
    if wanted not in (None, "*", found.etag.strip('"')):
        raise BlobError(412, "ConditionNotMet")
    if unwanted == found.etag.strip('"'):
        raise BlobError(304, "ConditionNotMet")
    return found


def check_write(request: web.Request, found: Blob | None) -> None:
    """Whether a write's conditions are met. `If-None-Match: *` is the caller's: its error is another one."""
    wanted, unwanted = conditions_of(request)
    held = found and found.etag.strip('"')
    if wanted not in (None, "*", held) or (found and unwanted == held):
        raise BlobError(412, "ConditionNotMet")


def conditions_of(request: web.Request) -> tuple[str | None, str | None]:
    """If-Match and If-None-Match, without quotes: lists show ETags so."""
    wanted, unwanted = (request.headers.get(name) for name in ("If-Match", "If-None-Match"))
    return wanted and wanted.strip('"'), unwanted and unwanted.strip('"')


def container_headers() -> dict[str, str]:
    return {"ETag": '"0x1"', "Last-Modified": format_datetime(datetime.now(UTC), usegmt=True), "x-ms-version": VERSION}


def list_entry(name: str, blob: Blob, *, with_metadata: bool) -> str:
    made = format_datetime(blob.made, usegmt=True)
    md5 = f"<Content-MD5>{blob.md5}</Content-MD5>" if blob.md5 else "<Content-MD5/>"
    held = "".join(f"<{key}>{escape(value)}</{key}>" for key, value in blob.metadata.items())
    return (
        f"<Blob><Name>{escape(name)}</Name><Properties><Creation-Time>{made}</Creation-Time>"
        f"<Last-Modified>{made}</Last-Modified><Etag>{blob.etag.strip(chr(34))}</Etag>"
        f"<Content-Length>{len(blob.data)}</Content-Length><Content-Type>{escape(blob.content_type)}</Content-Type>{md5}"
        "<BlobType>BlockBlob</BlobType><LeaseStatus>unlocked</LeaseStatus></Properties>"
        f"{f'<Metadata>{held}</Metadata>' if with_metadata else ''}</Blob>"
    )
