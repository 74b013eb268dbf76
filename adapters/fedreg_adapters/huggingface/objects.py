"""LFS objects in: the batch call, an upload in one piece or in parts, and its verification."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from huggingface_hub.utils import fix_hf_endpoint_in_url

from fedreg.domain.calls import Effect
from fedreg.domain.errors import FedregError, IntegrityError, InvalidRequest, RegistryError
from fedreg.domain.models import FileSource
from fedreg_adapters.huggingface.client import Client
from fedreg_adapters.huggingface.errors import from_answer
from fedreg_adapters.huggingface.files import Files

Json = dict[str, Any]
_DEADLINE = 120.0  # and a second for each MiB on the way
_LFS = "application/vnd.git-lfs+json"


class Objects:
    """Puts files into the Hub's LFS storage, where their sha256 is their name."""

    def __init__(self, client: Client, files: Files) -> None:
        self._client, self._files = client, files

    async def put(self, native: str, file: FileSource, sha256: str) -> None:
        """Upload a file, unless its bytes are there. IntegrityError where they are not as announced."""
        action = await self._instructions(native, file, sha256)
        if action is None:
            await self._read_through(file, sha256)
            return
        upload = action["upload"]
        place = fix_hf_endpoint_in_url(upload["href"], self._client.endpoint)
        header = upload.get("header") or {}
        if "chunk_size" in header:
            await self._put_parts(file, sha256, place, header)
        else:
            await self._put_whole(file, sha256, place, header)
        if verify := action.get("verify"):
            await self._client.send(
                "verify_object",
                "POST",
                self._client.own_path(verify["href"]),
                body={"oid": sha256, "size": file.size},
                effect=Effect.IDEMPOTENT,
            )

    async def _instructions(self, native: str, file: FileSource, sha256: str) -> Json | None:
        """What to do to upload; None where the Hub has the bytes."""
        body = {
            "operation": "upload",
            "transfers": ["basic", "multipart"],
            "objects": [{"oid": sha256, "size": file.size}],
            "hash_algo": "sha256",
        }
        path = f"/{self._client.options.namespace}/{native}.git/info/lfs/objects/batch"
        answer = await self._client.post("announce_object", path, body)
        try:
            [found] = answer["objects"]
            if "error" in found:
                raise InvalidRequest(
                    f"file {file.path!r}: {str(found['error'].get('message'))[:200]}",
                    registry=self._client.registry,
                    operation="announce_object",
                )
            action: Json | None = found.get("actions")
            return action if action and "upload" in action else None
        except (KeyError, TypeError, ValueError, AttributeError):
            raise RegistryError(
                "announce_object: the Hub's LFS instructions are malformed",
                registry=self._client.registry,
                operation="announce_object",
            ) from None

    async def _read_through(self, file: FileSource, sha256: str) -> None:
        """Bytes that are there already are not sent; that they are the announced ones is still found out."""
        async for _ in checked(file, sha256, self._client.registry):
            pass

    async def _put_whole(self, file: FileSource, sha256: str, url: str, header: Mapping[str, str]) -> None:
        async def request() -> str:
            return await self._send(url, checked(file, sha256, self._client.registry), file.size, header)

        await self._run(request, file.size)

    async def _put_parts(self, file: FileSource, sha256: str, url: str, header: Mapping[str, str]) -> None:
        """A part at a time: each is read again from the source where its request fails."""
        await self._read_through(file, sha256)
        size = int(header["chunk_size"])
        places = [header[name] for name in sorted((n for n in header if n.isdecimal()), key=int)]
        if size < 1 or len(places) != -(-file.size // size):
            raise RegistryError(
                "put_file: the Hub's list of parts is malformed", registry=self._client.registry, operation="put_file"
            )
        parts = []
        for number, place in enumerate(places, 1):
            start = (number - 1) * size
            length = min(size, file.size - start)

            async def request(place: str = place, start: int = start, length: int = length) -> str:
                return await self._send(place, _window(file, start, length), length, {})

            parts.append({"partNumber": number, "etag": await self._run(request, length)})

        async def complete() -> str:
            return await self._send(url, {"oid": sha256, "parts": parts}, None, {}, method="POST")

        await self._run(complete, 0)

    async def _run(self, request: Any, size: int) -> str:
        deadline = _DEADLINE + size / (1 << 20)
        done: str = await self._client.calls.run("put_file", request, effect=Effect.IDEMPOTENT, deadline=deadline)
        return done

    async def _send(
        self, url: str, content: Any, size: int | None, header: Mapping[str, str], *, method: str = "PUT"
    ) -> str:
        """One request to the storage; returns the ETag. No token goes along: the address is signed."""
        session, place = self._files.foreign(url)
        headers = {**header, "Content-Length": str(size)} if size is not None else {"Content-Type": _LFS}
        given: Json = {"data": content} if size is not None else {"json": content}
        async with session.request(method, place, headers=headers, **given) as answer:
            if answer.status >= 300:
                raise await self._refused(answer)
            return str(answer.headers.get("ETag", ""))

    async def _refused(self, answer: aiohttp.ClientResponse) -> FedregError:
        """A storage that refuses the content refuses it because it is not what its name says."""
        text = await answer.text(errors="replace")
        error = from_answer(answer.status, answer.headers, text, self._client.registry, "put_file", about_repo=False)
        if answer.status in (400, 409, 412, 422):
            return IntegrityError(
                f"the storage refuses what arrived: {error.message}",
                registry=self._client.registry,
                operation="put_file",
                upstream_code=error.upstream_code,
            )
        return error


async def checked(file: FileSource, sha256: str | None, registry: str) -> AsyncIterator[bytes]:
    """The source's bytes; IntegrityError, before the last of them is given away, where size or sha256 are others."""
    digest, seen, held = hashlib.sha256(), 0, b""
    async with opened(file, 0) as chunks:
        async for chunk in chunks:
            if held:
                yield held
            seen += len(chunk)
            if seen > file.size:
                break
            digest.update(chunk)
            held = chunk
    if seen != file.size:
        raise _differs(file, f"has {'more than ' if seen > file.size else ''}{min(seen, file.size)} bytes", registry)
    if sha256 not in (None, digest.hexdigest()):
        raise _differs(file, "has another sha256", registry)
    if held:
        yield held


def _differs(file: FileSource, what: str, registry: str) -> IntegrityError:
    return IntegrityError(
        f"file {file.path!r} {what}; {file.size} bytes were announced", registry=registry, operation="put_file"
    )


async def _window(file: FileSource, start: int, length: int) -> AsyncIterator[bytes]:
    """`length` bytes of a source from `start`."""
    left = length
    async with opened(file, start) as chunks:
        async for chunk in chunks:
            yield chunk[:left]
            left -= len(chunk)
            if left <= 0:
                return


@asynccontextmanager
async def opened(file: FileSource, offset: int) -> AsyncIterator[AsyncIterator[bytes]]:
    """A source's bytes, closed however the reading ends: it may hold a connection and a slot."""
    chunks = file.open_at(offset)
    try:
        yield chunks
    finally:
        if isinstance(chunks, AsyncGenerator):
            await chunks.aclose()
