"""Bytes out: the tree of a commit, and a file from any offset, over a redirect to another origin where there is one."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

import aiohttp

from fedreg.domain.errors import IntegrityError, InvalidRequest, RegistryError
from fedreg.domain.manifest import check_path
from fedreg.domain.models import FileEntry, OpenAt
from fedreg_adapters.huggingface.client import Client
from fedreg_adapters.huggingface.errors import from_answer
from fedreg_adapters.shared.sessions import CHUNK, Endpoint, Session

_REDIRECTS = 5


class Files:
    """Reads files. One session with the token for the Hub, one without for each other origin."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._sessions: dict[str, Session] = {}

    async def tree(self, native: str, revision: str, operation: str = "list_files") -> list[FileEntry]:
        """All files of a commit or branch, sorted by path. `sha256` where LFS holds the file, `etag` its blob's id.

        IntegrityError for a path that leaves the version.
        """
        path = f"{self._client.repo(native)}/tree/{quote(revision, safe='')}"
        found = []
        async for items in self._client.pages(operation, path, {"recursive": "true"}):
            found += [self._entry(item, operation) for item in items if item.get("type") == "file"]
        return sorted(found, key=lambda entry: entry.path.encode("utf-8", "surrogatepass"))

    def _entry(self, item: dict[str, Any], operation: str) -> FileEntry:
        try:
            lfs = item.get("lfs") or {}
            return FileEntry(
                path=check_path(item["path"]), size=int(item["size"]), sha256=lfs.get("oid"), etag=str(item["oid"])
            )
        except InvalidRequest as error:
            raise IntegrityError(
                f"the Hub lists a file {item.get('path')!r} that does not stay inside the version",
                registry=self._client.registry,
                operation=operation,
            ) from error
        except (KeyError, TypeError, ValueError, AttributeError):
            raise RegistryError(
                f"{operation}: the Hub's list of files is malformed",
                registry=self._client.registry,
                operation=operation,
            ) from None

    def open_file(self, native: str, revision: str, file: FileEntry, offset: int) -> AsyncIterator[bytes]:
        """A file's bytes from `offset`, taken up again where they break off."""
        opened = self._opener(native, revision, file)
        return self._client.calls.stream("open_file", opened, offset=offset)

    def _opener(self, native: str, revision: str, file: FileEntry) -> OpenAt:
        place = f"/{self._client.options.namespace}/{native}/resolve/{quote(revision, safe='')}/{quote(file.path)}"

        async def open_at(position: int) -> AsyncGenerator[bytes, None]:
            async with AsyncExitStack() as stack:
                answer = await self._follow(stack, self._client.endpoint + place, position, file)
                async with aclosing(_chunks(answer, position)) as chunks:
                    async for chunk in chunks:
                        yield chunk

        return open_at

    async def _follow(self, stack: AsyncExitStack, url: str, position: int, file: FileEntry) -> aiohttp.ClientResponse:
        """The answer with the bytes. The token stays at the Hub's own origin."""
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={position}-"} if position else {})
        for _ in range(_REDIRECTS):
            parts = urlsplit(url)
            target = parts.path + (f"?{parts.query}" if parts.query else "")
            answer = await stack.enter_async_context(self._session(url).request("GET", target, headers=headers))
            self._check(answer, file)
            if answer.status in (200, 206):
                return answer
            if not 300 <= answer.status < 400:
                text = await answer.text(errors="replace")
                own = _origin(url) == _origin(self._client.endpoint)
                raise from_answer(
                    answer.status, answer.headers, text, self._client.registry, "open_file", about_repo=own
                )
            url = urljoin(url, answer.headers.get("Location", ""))
        raise RegistryError(
            f"file {file.path!r}: the Hub redirects in circles", registry=self._client.registry, operation="open_file"
        )

    def _check(self, answer: aiohttp.ClientResponse, file: FileEntry) -> None:
        """IntegrityError where the Hub says that this is other content than was listed."""
        given = answer.headers.get("X-Linked-ETag", "").strip('"')
        if file.sha256 and re.fullmatch(r"[0-9a-f]{64}", given) and given != file.sha256:
            raise IntegrityError(
                f"file {file.path!r} has changed since it was listed",
                registry=self._client.registry,
                operation="open_file",
            )

    def _session(self, url: str) -> Session:
        origin = _origin(url)
        if origin not in self._sessions:
            own = origin == _origin(self._client.endpoint)
            token = self._client.options.token if own else None
            self._sessions[origin] = Session(self._client.registry, Endpoint(url=origin, token=token or None))
        return self._sessions[origin]

    def foreign(self, url: str) -> tuple[Session, str]:
        """A session for a signed address, which takes no token, and the address within it."""
        parts = urlsplit(url)
        key = f"signed {_origin(url)}"
        if key not in self._sessions:
            self._sessions[key] = Session(self._client.registry, Endpoint(url=_origin(url)))
        return self._sessions[key], parts.path + (f"?{parts.query}" if parts.query else "")

    async def aclose(self) -> None:
        """Close the connections. Safe to call twice."""
        sessions, self._sessions = list(self._sessions.values()), {}
        for session in sessions:
            await session.aclose()


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


async def _chunks(answer: aiohttp.ClientResponse, position: int) -> AsyncGenerator[bytes, None]:
    """The body; what comes before `position` is left out where the server took no notice of the range."""
    skip = position if answer.status == 200 else 0
    async for chunk in answer.content.iter_chunked(CHUNK):
        if len(chunk) > skip:
            yield chunk[skip:] if skip else chunk
        skip = max(0, skip - len(chunk))
