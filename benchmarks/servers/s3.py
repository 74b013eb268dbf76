"""An S3 in memory: objects and multipart uploads, as far as obstore asks. `POST /-/clear` empties it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from xml.sax.saxutils import escape

from benchmarks.servers.http import Answer, Buffer, Request, byte_range, serve

_MODIFIED = "Mon, 01 Jan 2024 00:00:00 GMT"


@dataclass(frozen=True, slots=True)
class Stored:
    """An object as the pieces it came in."""

    etag: str
    pieces: tuple[Buffer, ...]
    size: int


class S3:
    """Keys carry their bucket: `bucket/key`. ETags are serial numbers: computing one would slow the fake down."""

    def __init__(self) -> None:
        self.objects: dict[str, Stored] = {}
        self.uploads: dict[str, dict[int, Stored]] = {}
        self.serial = count(1)

    def answer(self, request: Request) -> Answer:
        key, query = request.path.strip("/"), request.query
        if request.path == "/-/clear":
            self.objects.clear()
            self.uploads.clear()
            return Answer(204)
        if "/" not in key:
            return self._bucket(request, key)
        if request.method == "PUT":
            return self._put(key, request)
        if request.method == "POST":
            return self._begin(key) if "uploads" in query else self._complete(key, request)
        if request.method == "DELETE":
            self.uploads.pop(query.get("uploadId", ""), None)
            if "uploadId" not in query:
                self.objects.pop(key, None)
            return Answer(204)
        return self._get(key, request)

    def _bucket(self, request: Request, bucket: str) -> Answer:
        if request.method == "GET":
            return self._list(bucket, request.query.get("prefix", ""))
        if request.method == "POST" and "delete" in request.query:
            keys = re.findall(r"<Key>(.*?)</Key>", request.body.decode())
            for key in keys:
                self.objects.pop(f"{bucket}/{key}", None)
            found = "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in keys)
            return _xml(f"<DeleteResult>{found}</DeleteResult>")
        return Answer(200)

    def _list(self, bucket: str, prefix: str) -> Answer:
        found = sorted(key for key in self.objects if key.startswith(f"{bucket}/{prefix}"))
        items = "".join(
            f"<Contents><Key>{escape(key.partition('/')[2])}</Key><Size>{self.objects[key].size}</Size>"
            f"<ETag>{escape(self.objects[key].etag)}</ETag><LastModified>2024-01-01T00:00:00.000Z</LastModified>"
            "<StorageClass>STANDARD</StorageClass></Contents>"
            for key in found
        )
        return _xml(f"<ListBucketResult><IsTruncated>false</IsTruncated>{items}</ListBucketResult>")

    def _put(self, key: str, request: Request) -> Answer:
        stored = Stored(f'"{next(self.serial)}"', (request.body,), len(request.body))
        if "uploadId" in request.query:
            self.uploads[request.query["uploadId"]][int(request.query["partNumber"])] = stored
        else:
            self.objects[key] = stored
        return Answer(headers={"ETag": stored.etag})

    def _begin(self, key: str) -> Answer:
        upload = f"upload-{next(self.serial)}"
        self.uploads[upload] = {}
        return _xml(
            f"<InitiateMultipartUploadResult><Key>{escape(key)}</Key>"
            f"<UploadId>{upload}</UploadId></InitiateMultipartUploadResult>"
        )

    def _complete(self, key: str, request: Request) -> Answer:
        parts = self.uploads.pop(request.query["uploadId"])
        ordered = [parts[number] for number in sorted(parts)]
        pieces = tuple(piece for part in ordered for piece in part.pieces)
        stored = self.objects[key] = Stored(f'"{next(self.serial)}"', pieces, sum(part.size for part in ordered))
        return _xml(
            f"<CompleteMultipartUploadResult><ETag>{escape(stored.etag)}</ETag></CompleteMultipartUploadResult>"
        )

    def _get(self, key: str, request: Request) -> Answer:
        stored = self.objects.get(key)
        if stored is None:
            return _xml("<Error><Code>NoSuchKey</Code><Message>there is none</Message></Error>", 404)
        wanted = request.headers.get("range")
        first, end = byte_range(wanted, stored.size)
        headers = {"ETag": stored.etag, "Last-Modified": _MODIFIED}
        if wanted is not None:
            headers["Content-Range"] = f"bytes {first}-{end - 1}/{stored.size}"
        return Answer(206 if wanted else 200, headers, _cut(stored.pieces, first, end), end - first)


def _cut(pieces: tuple[Buffer, ...], first: int, end: int) -> Iterator[Buffer]:
    position = 0
    for piece in pieces:
        start, stop = max(first - position, 0), min(end - position, len(piece))
        if start < stop:
            yield memoryview(piece)[start:stop]
        position += len(piece)


def _xml(text: str, status: int = 200) -> Answer:
    return Answer(status, {"Content-Type": "application/xml"}, (f'<?xml version="1.0"?>{text}'.encode(),))


if __name__ == "__main__":
    serve(S3().answer)
