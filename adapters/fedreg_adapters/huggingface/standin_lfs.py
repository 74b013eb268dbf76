"""LFS and downloads of the stand-in: batch, upload in one piece or in parts, verify, and a second origin for bytes."""

from __future__ import annotations

import hashlib
from typing import Any

from aiohttp import web

from fedreg_adapters.huggingface.standin_state import Hub, Refusal

PART = 5 * 1024 * 1024


def bytes_origin(request: web.Request) -> str:
    """Another origin than the API's, on the same port: `localhost` against `127.0.0.1`."""
    host, _, port = request.host.rpartition(":")
    return f"http://{'127.0.0.1' if host == 'localhost' else 'localhost'}:{port}"


class Storage:
    """Handlers of the bytes. `multipart_from`: size in bytes from which an upload goes in parts."""

    def __init__(self, hub: Hub, *, multipart_from: int) -> None:
        self._hub = hub
        self._multipart_from = multipart_from
        self._parts: dict[str, dict[int, bytes]] = {}

    async def batch(self, request: web.Request) -> web.Response:
        body = await request.json()
        if body.get("operation") != "upload" or body.get("hash_algo") != "sha256":
            raise Refusal(422, "only uploads by sha256")
        objects = [self._instructions(request, item["oid"], item["size"]) for item in body["objects"]]
        answer = {"transfer": body["transfers"][0], "objects": objects}
        return web.json_response(answer, content_type="application/vnd.git-lfs+json")

    def _instructions(self, request: web.Request, oid: str, size: int) -> dict[str, Any]:
        found: dict[str, Any] = {"oid": oid, "size": size}
        if oid in self._hub.objects:
            return found
        origin = bytes_origin(request)
        upload: dict[str, Any] = {"href": f"{origin}/lfs/upload/{oid}?signature=ok"}
        if size >= self._multipart_from:
            parts = range(1, -(-size // PART) + 1)
            header = {f"{n:05}": f"{origin}/lfs/upload/{oid}/{n}?signature=ok" for n in parts}
            upload = {"href": f"{origin}/lfs/complete/{oid}", "header": {"chunk_size": str(PART), **header}}
        verify = f"http://{request.host}{request.path.removesuffix('/objects/batch')}/verify"
        return {**found, "actions": {"upload": upload, "verify": {"href": verify}}}

    async def put(self, request: web.Request) -> web.Response:
        self._refuse_credentials(request)
        content = await request.read()
        oid, part = request.match_info["oid"], request.match_info.get("part")
        if part is not None:
            self._parts.setdefault(oid, {})[int(part)] = content
            return web.Response(headers={"ETag": f'"{hashlib.sha256(content).hexdigest()}"'})
        return self._keep(oid, content)

    async def complete(self, request: web.Request) -> web.Response:
        body = await request.json()
        oid = request.match_info["oid"]
        have = self._parts.pop(oid, {})
        for part in body["parts"]:
            content = have.get(part["partNumber"], b"")
            if part["etag"].strip('"') != hashlib.sha256(content).hexdigest():
                raise Refusal(400, "part is missing or has another etag")
        return self._keep(oid, b"".join(have[part["partNumber"]] for part in body["parts"]))

    def _keep(self, oid: str, content: bytes) -> web.Response:
        if hashlib.sha256(content).hexdigest() != oid:
            raise Refusal(400, "the content's sha256 is not its oid")
        self._hub.objects[oid] = content
        return web.Response()

    async def verify(self, request: web.Request) -> web.Response:
        body = await request.json()
        if len(self._hub.objects.get(body["oid"], b"")) != body["size"] or body["oid"] not in self._hub.objects:
            raise Refusal(404, "there is no such object")
        return web.json_response({"message": "Size verified"})

    async def download(self, request: web.Request) -> web.Response:
        self._refuse_credentials(request)
        content = self._hub.objects.get(request.match_info["oid"])
        if content is None:
            raise Refusal(404, "there is no such object")
        return ranged(request, content, {})

    def _refuse_credentials(self, request: web.Request) -> None:
        """A signed address takes no other credentials, as S3; a token that gets here has left its origin."""
        if "Authorization" in request.headers:
            raise Refusal(400, "Only one auth mechanism allowed")


def ranged(request: web.Request, content: bytes, headers: dict[str, str]) -> web.Response:
    """The content, or the range that was asked for."""
    asked = request.http_range
    headers = {**headers, "Accept-Ranges": "bytes"}
    if asked.start is None and asked.stop is None:
        return web.Response(body=content, headers=headers)
    start, stop = asked.start or 0, len(content) if asked.stop is None else min(asked.stop, len(content))
    if start >= len(content):
        raise Refusal(416, "Range Not Satisfiable")
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(content)}"
    return web.Response(status=206, body=content[start:stop], headers=headers)
