"""HTTP to a gateway: requests and their answers, pages, event streams and files; what fails is the domain's error.

The token is in the session's headers and nowhere else: no error, log or repr shows it. Redirects are not followed,
so it reaches nobody but the address that was given.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Generic, TypeVar
from urllib.parse import quote, urlsplit

import aiohttp
import msgspec
from yarl import URL

from fedreg.domain.errors import (
    FedregError,
    GatewayError,
    GatewayUnavailable,
    IntegrityError,
    InvalidRequest,
    Outcome,
)
from fedreg.domain.records import JournalEntry
from fedreg.version import __version__

T = TypeVar("T")
Query = Mapping[str, Any]

PAGE = 1000
CHUNK = 1 << 20
CONNECT_SECONDS = 10.0
ATTEMPTS = 4  # of a request that may be repeated, and of a file without a byte in between
RECONNECT_SECONDS = 60.0  # an operation goes on while its gateway restarts
QUIET_SECONDS = 60.0  # an event stream says something every 15 s
_LOST, _LATE = "connection_lost", "timeout"
_UNREACHABLE = "check the address, and that `fedreg serve` runs there"


class Page(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """A page as the API answers it."""

    items: tuple[T, ...]
    next_cursor: str | None = None


class HistoryPage(Page[JournalEntry], frozen=True, kw_only=True):
    """A page of a history, and from when on the journal tells all of it."""

    covered_since: datetime | None = None


class Transport:
    """Requests to one gateway. `url` is its address without a slash at the end."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url
        self._session = session

    def __repr__(self) -> str:
        return f"Transport({self.url!r})"

    async def get(self, path: str, kind: type[T], *, query: Query | None = None) -> T:
        """Read one thing. A request that was cut off is repeated."""
        _, body = await self._repeat("GET", path, query, None, {})
        return self._decode(body, kind, path)

    async def post(self, path: str, kind: type[T], body: Any = None) -> tuple[T, Mapping[str, str]]:
        """Start something, under a key of our own: repeated after a cut it is not started twice."""
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        answered, content = await self._repeat("POST", path, None, body, headers)
        return self._decode(content, kind, path), answered

    async def post_once(self, path: str, kind: type[T], body: Any = None) -> T:
        """Ask for something that means another thing the second time."""
        async with self._open("POST", path, None, body, {}) as response:
            return self._decode(await response.read(), kind, path)

    async def put(self, path: str, kind: type[T], body: Any) -> T:
        """Set something. A request that was cut off is repeated: the second time it is so already."""
        _, content = await self._repeat("PUT", path, None, body, {})
        return self._decode(content, kind, path)

    async def send(self, method: str, path: str, *, query: Query | None = None, body: Any = None) -> Mapping[str, str]:
        """Change something, once; answers the headers. Whether it was done is unknown where the answer was lost."""
        async with self._open(method, path, query, body, {}) as response:
            return response.headers

    async def pages(
        self, path: str, kind: type[T], *, query: Query | None = None, limit: int = PAGE
    ) -> AsyncIterator[T]:
        """All items of a list, `limit` at a time."""
        given: dict[str, Any] = {**(query or {}), "limit": limit}
        while True:
            page: Page[T] = await self.get(path, Page[kind], query=given)  # type: ignore[valid-type]
            for item in page.items:
                yield item
            if page.next_cursor is None:
                return
            given["cursor"] = page.next_cursor

    async def events(self, path: str, kind: type[T], *, ended: Callable[[T], bool]) -> AsyncIterator[T]:
        """What an event stream tells until it has `ended`; opened again when it is cut."""
        loop = asyncio.get_running_loop()
        heard, wait = loop.time(), 0.1
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=QUIET_SECONDS)
        while True:
            try:
                async with self._open("GET", path, None, None, {}, timeout) as response:
                    async for data in self._data(response):
                        item = self._decode(data, kind, path)
                        yield item
                        if ended(item):
                            return
                        heard, wait = loop.time(), 0.1
            except GatewayUnavailable:
                if loop.time() - heard > RECONNECT_SECONDS:
                    raise
            await asyncio.sleep(wait)
            wait = min(wait * 2, 2.0)

    async def stream(self, path: str, size: int, offset: int = 0) -> AsyncIterator[bytes]:
        """A file's bytes from `offset`; gone on with by Range when cut. IntegrityError where it changed meanwhile."""
        etag: str | None = None
        failures = 0
        while offset < size:
            headers = {"Range": f"bytes={offset}-", "Accept-Encoding": "identity"}
            headers |= {"If-Range": etag} if etag else {}
            try:
                async with self._open("GET", path, None, None, headers) as response:
                    etag = response.headers.get("ETag", etag)
                    self._expect_range(response, path, offset, size)
                    async for chunk in response.content.iter_chunked(CHUNK):
                        offset, failures = offset + len(chunk), 0
                        yield chunk
            except GatewayUnavailable:
                failures += 1
                if failures == ATTEMPTS:
                    raise
                await asyncio.sleep(0.1 * 2**failures)

    def _expect_range(self, response: aiohttp.ClientResponse, path: str, offset: int, size: int) -> None:
        expected = f"bytes {offset}-{size - 1}/{size}"
        whole = response.status == 200 and offset == 0 and response.content_length == size
        if not whole and response.headers.get("Content-Range") != expected:
            raise IntegrityError(f"{path} changed while it was read", cure="start the download again")

    async def _repeat(
        self,
        method: str,
        path: str,
        query: Query | None,
        body: Any,
        headers: Mapping[str, str],
    ) -> tuple[Mapping[str, str], bytes]:
        """A request that may be made twice: again where it was cut off, not where nobody is there."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                async with self._open(method, path, query, body, headers) as response:
                    return response.headers, await response.read()
            except GatewayUnavailable as error:
                if attempt == ATTEMPTS or error.upstream_code != _LOST:
                    raise
            await asyncio.sleep(0.1 * 2**attempt)
        raise AssertionError("unreachable: the last attempt returns or raises")

    @asynccontextmanager
    async def _open(
        self,
        method: str,
        path: str,
        query: Query | None,
        body: Any,
        headers: Mapping[str, str],
        timeout: aiohttp.ClientTimeout | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """An answer that is no refusal. Raises the domain's errors, also for what fails while it is read."""
        url = URL(self.url + path, encoded=True)
        given: dict[str, Any] = {} if timeout is None else {"timeout": timeout}
        if body is not None:
            given["data"] = msgspec.json.encode(body)
            headers = {**headers, "Content-Type": "application/json"}
        try:
            async with self._session.request(
                method, url.update_query(_query(query)), headers=headers, allow_redirects=False, **given
            ) as response:
                if response.status >= 300:
                    raise self._refusal(response, await response.read())
                yield response
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            raise self._cut(error) from None

    async def _data(self, response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        """The data of each server-sent event, however long its line."""
        buffer = b""
        async for chunk in response.content.iter_any():
            *events, buffer = (buffer + chunk).split(b"\n\n")
            for event in events:
                data = [line[6:] for line in event.split(b"\n") if line.startswith(b"data: ")]
                if data:
                    yield b"\n".join(data)

    def _cut(self, error: Exception) -> FedregError:
        if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
            reason = getattr(error, "os_error", None) or "it does not answer"
            text = getattr(reason, "strerror", None) or str(reason)
            return GatewayUnavailable(f"gateway {self.url} can't be reached: {text}", cure=_UNREACHABLE)
        if isinstance(error, aiohttp.InvalidURL):
            return InvalidRequest(f"address {self.url!r} can't be used", cure="write it as http://gateway:8080")
        late = isinstance(error, TimeoutError)
        return GatewayUnavailable(
            f"gateway {self.url} {'did not answer in time' if late else 'broke the connection'}",
            cure="look whether it was done, then repeat it",
            outcome=Outcome.UNKNOWN,
            upstream_code=_LATE if late else _LOST,
        )

    def _refusal(self, response: aiohttp.ClientResponse, body: bytes) -> FedregError:
        """The error that a gateway tells of; what answers otherwise is no gateway."""
        if response.content_type == "application/problem+json":
            try:
                fields = msgspec.json.decode(body, type=dict[str, Any])
                upstream = fields.pop("upstream_request_id", None)
                return FedregError.from_dict({**fields, "request_id": upstream or fields.get("request_id")})
            except (msgspec.DecodeError, ValueError):
                return GatewayError(f"gateway {self.url}: its error can't be read", cure="look into its log")
        status = response.status
        if status < 400:
            target = response.headers.get("Location", "another address")
            return GatewayError(f"gateway {self.url} redirects to {target}", cure="use the address it points to")
        if status in (502, 503, 504):
            return GatewayUnavailable(f"gateway {self.url} is down: a proxy answers {status}", cure=_UNREACHABLE)
        return GatewayError(f"{self.url} answers {status} and is no gateway of fedreg's", cure="check the address")

    def _decode(self, body: bytes, kind: type[T], path: str) -> T:
        try:
            return msgspec.json.decode(body, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise GatewayError(
                f"gateway {self.url}: its answer of {path} can't be read ({error})",
                cure=f"check the address, and that the gateway runs fedreg {__version__}",
            ) from None


@asynccontextmanager
async def open_transport(url: str, token: str | None, *, timeout: float) -> AsyncIterator[Transport]:
    """A session with the gateway. `timeout`: seconds without a byte. Raises InvalidRequest; connects on first use."""
    headers = {"User-Agent": f"fedreg/{__version__}", **_authorization(token)}
    seconds = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=timeout)
    async with aiohttp.ClientSession(
        headers=headers, timeout=seconds, read_bufsize=CHUNK, cookie_jar=aiohttp.DummyCookieJar()
    ) as session:
        yield Transport(check_url(url), session)


def check_url(url: str) -> str:
    """The address without a slash at the end. Raises InvalidRequest, without quoting credentials."""
    cure = "write it as http://gateway:8080"
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise InvalidRequest(f"address of the gateway: {error}", cure=cure) from None
    if parts.username is not None or parts.password is not None:
        raise InvalidRequest("address of the gateway has credentials in it", cure="give a token: FEDREG_TOKEN")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise InvalidRequest(f"address of the gateway {url!r} is no http address", cure=cure)
    return url.rstrip("/")


def fill(path: str, names: Mapping[str, str]) -> str:
    """A route's pattern with its names percent-encoded. Raises InvalidRequest for one that no path can hold."""
    encoded = {}
    for field, name in names.items():
        try:
            encoded[field] = quote(name, safe="/" if field == "path" else "", errors="strict")
        except UnicodeEncodeError:
            raise InvalidRequest(f"{field} {name!r} is no text", cure="write it in UTF-8") from None
        if name in ("", ".", ".."):
            raise InvalidRequest(f"{field} {name!r} can't be told over HTTP", cure="work in process: --config FILE")
    return path.format(**encoded)


def _authorization(token: str | None) -> dict[str, str]:
    if token is None:
        return {}
    if not (token and token.isascii() and token.isprintable()):
        raise InvalidRequest("the token is empty or has characters that no token has", cure="check FEDREG_TOKEN")
    return {"Authorization": f"Bearer {token}"}


def _query(query: Query | None) -> list[tuple[str, str]]:
    """Pairs of a query string; None is left out, a tuple comes several times."""
    pairs = []
    for name, value in (query or {}).items():
        for item in value if isinstance(value, tuple) else (value,):
            if item is not None:
                pairs.append((name, ("true" if item else "false") if isinstance(item, bool) else str(item)))
    return pairs
