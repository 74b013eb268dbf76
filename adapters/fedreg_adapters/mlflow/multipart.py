"""Large files past the artifact proxy: parts go straight to the store, to addresses that the server has signed.

A server on a local directory has no such addresses: its files are streamed through it. Requests and fields:
mlflow.store.artifact.http_artifact_repo.
"""

from __future__ import annotations

import posixpath
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from yarl import URL

from fedreg.domain.calls import Effect
from fedreg.domain.errors import FedregError, InvalidRequest, NotFound, RegistryError, Unsupported
from fedreg.domain.models import FileSource
from fedreg_adapters.mlflow.client import Client, Json, error_of
from fedreg_adapters.shared.object_stores import checked
from fedreg_adapters.shared.sessions import Endpoint, Session, encode_path

THRESHOLD = 128 << 20  # bytes from which parts are worth their extra requests
PART = 16 << 20
_MOST_PARTS = 10_000  # S3's limit, which GCS and Azure exceed
_ROUTE = "api/2.0/mlflow-artifacts/mpu"
_PART_DEADLINE = 600.0


@dataclass(slots=True)
class Multipart:
    """Multipart uploads of one registry. Signed addresses are asked without any credentials of ours."""

    client: Client
    threshold: int = THRESHOLD
    part: int = PART
    refused: bool = False
    _sessions: dict[str, Session] = field(default_factory=dict)

    async def put(self, path: str, file: FileSource) -> bool:
        """Upload to `path` below the proxy's root; False where the server can't, or the file is too small."""
        if self.refused or file.size < self.threshold:
            return False
        size = max(self.part, -(-file.size // _MOST_PARTS))
        directory, name = posixpath.split(path)
        try:
            begun = await self._ask("create", directory, {"path": name, "num_parts": -(-file.size // size)})
        except (Unsupported, NotFound, InvalidRequest):
            self.refused = True
            return False
        except RegistryError as error:
            self.refused = error.upstream_code == "404"
            if not self.refused:
                raise
            return False
        end: Json = {"path": name, "upload_id": begun.get("upload_id", "")}
        try:
            parts = await self._put_parts(begun.get("credentials", []), file, size)
            await self._ask("complete", directory, {**end, "parts": parts})
        except BaseException:
            await self._abandon(directory, end)
            raise
        return True

    async def aclose(self) -> None:
        for session in self._sessions.values():
            await session.aclose()

    async def _put_parts(self, credentials: list[Json], file: FileSource, size: int) -> list[Json]:
        """One part after the other: `file.size` and sha256 have been checked when the last one goes."""
        parts: list[Json] = []
        ordered = sorted(credentials, key=lambda credential: int(credential["part_number"]))
        if len(ordered) != -(-file.size // size):
            raise RegistryError(
                f"{len(ordered)} addresses came for {-(-file.size // size)} parts", registry=self.client.registry
            )
        chunks = _in_parts(checked(file), size)
        for credential in ordered:
            data = await anext(chunks, b"")
            etag = await self._put_part(str(credential["url"]), dict(credential.get("headers") or {}), data)
            parts.append({"part_number": int(credential["part_number"]), "etag": etag, "url": credential["url"]})
        return parts

    async def _put_part(self, url: str, headers: dict[str, Any], data: bytes) -> str:
        address = URL(url, encoded=True)
        session = self._sessions.setdefault(
            str(address.origin()), Session(self.client.registry, Endpoint(url=str(address.origin())))
        )

        async def request() -> str:
            async with session.request("PUT", address.raw_path_qs, headers=headers, data=data) as answer:
                if not 200 <= answer.status < 300:
                    raise error_of(answer.status, answer.headers, "", self.client.registry, "put_file")
                return answer.headers.get("ETag", "")

        return await self.client.calls.run("put_file", request, effect=Effect.IDEMPOTENT, deadline=_PART_DEADLINE)

    async def _ask(self, action: str, directory: str, body: Json) -> Json:
        path = f"{_ROUTE}/{action}/{encode_path(directory)}"
        return await self.client.send("put_file", "POST", path, body=body, effect=Effect.WRITE)

    async def _abandon(self, directory: str, end: Json) -> None:
        """Best effort: what is left behind, the store's own lifecycle rule removes."""
        try:
            await self._ask("abort", directory, end)
        except FedregError:
            return


async def _in_parts(chunks: AsyncIterator[bytes], size: int) -> AsyncIterator[bytes]:
    """The same bytes in parts of `size`; the last one, shorter or not, comes after `chunks` has ended well."""
    held = bytearray()
    async for chunk in chunks:
        held += chunk
        while len(held) > size:
            yield bytes(held[:size])
            del held[:size]
    yield bytes(held)
