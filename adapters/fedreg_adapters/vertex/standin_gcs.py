"""GCS of the stand-in: the XML API that obstore speaks, and of the JSON API what google-cloud-storage needs."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.parser import BytesParser
from email.utils import format_datetime
from typing import Any
from urllib.parse import unquote
from xml.sax.saxutils import escape

import google_crc32c
from aiohttp import web

PAGE = 1000


@dataclass
class Blob:
    """One generation of an object."""

    data: bytes
    generation: int
    moment: datetime
    kind: str = "application/octet-stream"

    @property
    def etag(self) -> str:
        return f'"{hashlib.md5(self.data, usedforsecurity=False).hexdigest()}-{self.generation}"'


@dataclass
class Buckets:
    """All objects by bucket and name; a bucket is there once something is in it."""

    blobs: dict[str, dict[str, Blob]] = field(default_factory=dict)
    uploads: dict[str, dict[int, bytes]] = field(default_factory=dict)
    serial: int = 0

    def put(self, bucket: str, name: str, data: bytes, kind: str = "application/octet-stream") -> Blob:
        self.serial += 1
        blob = Blob(data, self.serial, datetime.now(UTC), kind)
        self.blobs.setdefault(bucket, {})[name] = blob
        return blob

    def list(self, bucket: str, prefix: str, after: str, limit: int) -> tuple[list[tuple[str, Blob]], str]:
        """A page of objects by name, and the name after which the next begins."""
        names = sorted(name for name in self.blobs.get(bucket, {}) if name.startswith(prefix) and name > after)
        page = names[:limit]
        return [(name, self.blobs[bucket][name]) for name in page], page[-1] if len(names) > limit else ""


BUCKETS = web.AppKey("buckets", Buckets)


def add_gcs(app: web.Application) -> None:
    """Serve both APIs. The JSON API's paths come first, as they do at storage.googleapis.com."""
    app[BUCKETS] = Buckets()
    app.router.add_route("*", "/{path:.*}", answer)


async def answer(request: web.Request) -> web.StreamResponse:
    path = request.raw_path.partition("?")[0]
    found = re.fullmatch(r"(/upload|/download|)/storage/v1/b/([^/]+)/o(?:/(.*))?", path)
    if found:
        return await _json(request, found.group(1), found.group(2), unquote(found.group(3) or ""))
    bucket, _, name = path.lstrip("/").partition("/")
    return await _xml(request, unquote(bucket), unquote(name))


# -- XML ---------------------------------------------------------------------------------------------------


async def _xml(request: web.Request, bucket: str, name: str) -> web.StreamResponse:
    buckets = request.app[BUCKETS]
    if not name:
        return _xml_list(request, bucket)
    if request.method == "PUT":
        return await _xml_put(request, bucket, name)
    if request.method == "POST":
        return await _xml_multipart(request, bucket, name)
    if request.method == "DELETE" and "uploadId" in request.query:
        buckets.uploads.pop(request.query["uploadId"], None)
        return web.Response(status=204)
    blob = buckets.blobs.get(bucket, {}).get(name)
    if blob is None:
        return _refused(404, "NoSuchKey")
    if request.method == "DELETE":
        del buckets.blobs[bucket][name]
        return web.Response(status=204)
    return _read(request, blob)


async def _xml_put(request: web.Request, bucket: str, name: str) -> web.Response:
    buckets, data = request.app[BUCKETS], await _body(request)
    if "uploadId" in request.query:
        upload = buckets.uploads.get(request.query["uploadId"])
        if upload is None:
            return _refused(404, "NoSuchUpload")
        upload[int(request.query["partNumber"])] = data
        return web.Response(headers={"ETag": f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'})
    return web.Response(headers={"ETag": buckets.put(bucket, name, data).etag})


async def _xml_multipart(request: web.Request, bucket: str, name: str) -> web.Response:
    buckets, body = request.app[BUCKETS], await _body(request)
    if "uploads" in request.query:
        buckets.serial += 1
        upload = f"upload-{buckets.serial}"
        buckets.uploads[upload] = {}
        text = f"<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>"
        return web.Response(text=text, content_type="application/xml")
    parts = buckets.uploads.pop(request.query["uploadId"], None)
    if parts is None:
        return _refused(404, "NoSuchUpload")
    wanted = [int(number) for number in re.findall(rb"<PartNumber>(\d+)</PartNumber>", body)]
    blob = buckets.put(bucket, name, b"".join(parts[number] for number in wanted))
    text = f"<CompleteMultipartUploadResult><ETag>{escape(blob.etag)}</ETag></CompleteMultipartUploadResult>"
    return web.Response(text=text, content_type="application/xml")


def _xml_list(request: web.Request, bucket: str) -> web.Response:
    query = request.query
    found, token = request.app[BUCKETS].list(
        bucket, query.get("prefix", ""), query.get("continuation-token", ""), int(query.get("max-keys", PAGE))
    )
    rows = "".join(
        f"<Contents><Key>{escape(name)}</Key><LastModified>{blob.moment:%Y-%m-%dT%H:%M:%S.000Z}</LastModified>"
        f"<ETag>{escape(blob.etag)}</ETag><Size>{len(blob.data)}</Size></Contents>"
        for name, blob in found
    )
    more = f"<NextContinuationToken>{escape(token)}</NextContinuationToken>" if token else ""
    text = f"<ListBucketResult><IsTruncated>{str(bool(token)).lower()}</IsTruncated>{more}{rows}</ListBucketResult>"
    return web.Response(text=text, content_type="application/xml")


def _refused(status: int, code: str) -> web.Response:
    text = f"<Error><Code>{code}</Code><Message>{code}</Message></Error>"
    return web.Response(status=status, text=text, content_type="application/xml")


# -- JSON --------------------------------------------------------------------------------------------------


async def _json(request: web.Request, side: str, bucket: str, name: str) -> web.StreamResponse:
    buckets = request.app[BUCKETS]
    if request.method == "POST" and side == "/upload":
        return await _json_upload(request, bucket)
    if not name:
        query = request.query
        limit = int(query.get("maxResults", PAGE))
        found, token = buckets.list(bucket, query.get("prefix", ""), query.get("pageToken", ""), limit)
        items = [_resource(bucket, each, blob) for each, blob in found]
        return web.json_response(
            {"kind": "storage#objects", "items": items} | ({"nextPageToken": token} if token else {})
        )
    blob = buckets.blobs.get(bucket, {}).get(name)
    if blob is None:
        return web.json_response({"error": {"code": 404, "message": f"No such object: {bucket}/{name}"}}, status=404)
    if request.method == "DELETE":
        del buckets.blobs[bucket][name]
        return web.Response(status=204)
    if side == "/download" or request.query.get("alt") == "media":
        return _read(request, blob)
    return web.json_response(_resource(bucket, name, blob))


async def _json_upload(request: web.Request, bucket: str) -> web.Response:
    """uploadType=multipart: a JSON part and the bytes."""
    head = f"Content-Type: {request.headers['Content-Type']}\r\n\r\n".encode().replace(b"'", b'"')
    parts: Any = BytesParser().parsebytes(head + await _body(request)).get_payload()
    about = json.loads(parts[0].get_payload(decode=True))
    data = parts[1].get_payload(decode=True)
    blob = request.app[BUCKETS].put(bucket, about["name"], data, parts[1].get_content_type())
    return web.json_response(_resource(bucket, about["name"], blob))


def _resource(bucket: str, name: str, blob: Blob) -> dict[str, Any]:
    md5 = hashlib.md5(blob.data, usedforsecurity=False).digest()
    crc = google_crc32c.value(blob.data).to_bytes(4, "big")
    return {
        "kind": "storage#object",
        "bucket": bucket,
        "name": name,
        "size": str(len(blob.data)),
        "generation": str(blob.generation),
        "metageneration": "1",
        "contentType": blob.kind,
        "etag": blob.etag,
        "md5Hash": base64.b64encode(md5).decode(),
        "crc32c": base64.b64encode(crc).decode(),
        "timeCreated": blob.moment.isoformat(),
        "updated": blob.moment.isoformat(),
    }


# -- both --------------------------------------------------------------------------------------------------


def _read(request: web.Request, blob: Blob) -> web.Response:
    """Bytes from `Range` on; 416 past the end, 412 where If-Match does not hold."""
    headers = {
        "ETag": blob.etag,
        "Last-Modified": format_datetime(blob.moment, usegmt=True),
        "Content-Type": blob.kind,
        "Accept-Ranges": "bytes",
        "x-goog-generation": str(blob.generation),
    }
    wanted = request.headers.get("If-Match")
    if wanted is not None and wanted != blob.etag:
        return _refused(412, "PreconditionFailed")
    if request.method == "HEAD":  # aiohttp leaves the length of an empty body out
        return web.Response(headers={**headers, "Content-Length": str(len(blob.data))})
    found = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", ""))
    if found is None:
        return web.Response(body=blob.data, headers=headers)
    start, size = int(found.group(1)), len(blob.data)
    if start >= size:
        return _refused(416, "InvalidRange")
    stop = min(int(found.group(2) or size - 1) + 1, size)
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    return web.Response(status=206, body=blob.data[start:stop], headers=headers)


async def _body(request: web.Request) -> bytes:
    return b"".join([chunk async for chunk in request.content.iter_chunked(1 << 20)])
