"""A reverse proxy on loopback that puts faults between an adapter and any HTTP server, and counts bytes.

In process: `async with FaultProxy("http://127.0.0.1:5000") as proxy:`, then `proxy.url`, `proxy.inject(...)`.
From another process, `python -m fedreg.testing.fault_control URL`.
Bodies stream both ways in chunks of up to 1 MiB; only `late_apply` keeps a whole request body in memory.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from fedreg.testing.backend import Fault, FaultKind, Match, Traffic

CHUNK = 1 << 20
HOP_BY_HOP = {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "proxy-connection", "expect"}
LINGER_NOT = struct.pack("ii", 1, 0)  # close sends RST
WEB_PAGE = "<!doctype html><html><body><h1>Please sign in</h1></body></html>"


@dataclass(slots=True)
class Counter:
    """Of one method and path: requests, and body bytes from clients (`received`) and to them (`sent`)."""

    requests: int = 0
    received: int = 0
    sent: int = 0


@dataclass(slots=True)
class Armed:
    """A fault that waits for its requests."""

    fault: Fault
    seen: int = 0

    def takes(self, request: web.BaseRequest) -> bool:
        """Count a matching request; True where the fault is for it."""
        if not matches(self.fault.match, request):
            return False
        self.seen += 1
        late = self.seen - self.fault.nth
        return late >= 0 and (self.fault.times == 0 or late < self.fault.times)


@dataclass(slots=True)
class Held:
    """A request that is forwarded later; nobody waits for its answer."""

    method: str
    path: str
    headers: CIMultiDict[str]
    body: bytes


@dataclass
class FaultProxy:
    """Forwards everything to `upstream`; the `Host` header stays the client's, so that signatures hold.

    With `tls` it speaks HTTPS to clients: some SDKs send no token over anything else.
    """

    upstream: str
    host: str = "127.0.0.1"
    port: int = 0
    url: str = ""
    tls: ssl.SSLContext | None = None
    counters: dict[tuple[str, str], Counter] = field(default_factory=dict)
    fired: int = 0
    _armed: list[Armed] = field(default_factory=list)
    _held: list[Held] = field(default_factory=list)
    _timers: set[asyncio.Task[None]] = field(default_factory=set)
    _session: aiohttp.ClientSession | None = None
    _runner: web.ServerRunner | None = None

    async def __aenter__(self) -> FaultProxy:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def start(self) -> None:
        """Listen; `url` is then the address to use instead of the upstream's."""
        self._session = aiohttp.ClientSession(
            auto_decompress=False,
            read_bufsize=CHUNK,
            timeout=aiohttp.ClientTimeout(total=None),
            connector=aiohttp.TCPConnector(limit=0),
            skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent", "Content-Type"),
        )
        server = web.Server(self._handle, read_bufsize=CHUNK, access_log=None)
        self._runner = web.ServerRunner(server, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.host, self.port, ssl_context=self.tls)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self.url = f"{'https' if self.tls else 'http'}://{self.host}:{self.port}"

    async def aclose(self) -> None:
        """Stop listening; held requests are dropped."""
        self.clear()
        if self._runner is not None:
            await self._runner.cleanup()
        if self._session is not None:
            await self._session.close()

    # -- control ---------------------------------------------------------------------------------------

    def inject(self, fault: Fault) -> None:
        """Arm a fault. The first armed one that matches a request wins."""
        re.compile(fault.match.path)
        self._armed.append(Armed(fault))

    def clear(self) -> None:
        """Disarm all, forget held requests, `fired` is 0. Byte counters stay."""
        self._armed.clear()
        self._held.clear()
        for timer in self._timers:
            timer.cancel()
        self.fired = 0

    async def release(self) -> int:
        """Forward the held requests one after the other; returns how many, after the upstream answered them."""
        held, self._held = self._held, []
        for request in held:
            await self._forward_late(request)
        return len(held)

    def traffic(self, match: Match | None = None) -> Traffic:
        """Body bytes so far, of the requests whose method and path match."""
        rule = match or Match()
        chosen = [
            counter
            for (method, path), counter in self.counters.items()
            if rule.method in (None, method) and re.search(rule.path, path)
        ]
        return Traffic(received=sum(c.received for c in chosen), sent=sum(c.sent for c in chosen))

    # -- requests --------------------------------------------------------------------------------------

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        counter = self.counters.setdefault((request.method, request.rel_url.raw_path), Counter())
        counter.requests += 1
        fault = self._fault_for(request)
        if fault is None:
            return await self._forward(request, counter, None)
        self.fired += 1
        match fault.kind:
            case FaultKind.STATUS:
                await drain(request)
                return web.Response(status=fault.status, headers=fault.headers, body=fault.body.encode())
            case FaultKind.HTML:
                await drain(request)
                return web.Response(text=WEB_PAGE, content_type="text/html")
            case FaultKind.RESET:
                return cut(request)
            case FaultKind.LATE_APPLY:
                return await self._hold(request, fault)
            case FaultKind.SLOW:
                await asyncio.sleep(fault.delay or 0.0)
        return await self._forward(request, counter, fault)

    def _fault_for(self, request: web.BaseRequest) -> Fault | None:
        taken = [armed.fault for armed in self._armed if armed.takes(request)]
        return taken[0] if taken else None

    async def _forward(self, request: web.BaseRequest, counter: Counter, fault: Fault | None) -> web.StreamResponse:
        flip = fault.at if fault is not None and fault.kind is FaultKind.FLIP_UPLOAD else None
        body = upload(request, counter, flip) if request.body_exists else None
        try:
            answer = await self._send(request.method, request.raw_path, forwarded(request.headers), body)
        except aiohttp.ClientError:
            return cut(request)
        async with answer:
            if fault is not None and fault.kind is FaultKind.LOST_REPLY:
                await answer.read()
                return cut(request)
            return await self._answer(request, answer, counter, fault)

    async def _send(self, method: str, path: str, headers: CIMultiDict[str], body: Any) -> aiohttp.ClientResponse:
        if self._session is None:
            raise RuntimeError("the proxy is not started: use `async with FaultProxy(...)` or await start()")
        url = URL(self.upstream.rstrip("/") + path, encoded=True)
        return await self._session.request(method, url, headers=headers, data=body, allow_redirects=False)

    async def _answer(
        self, request: web.BaseRequest, answer: aiohttp.ClientResponse, counter: Counter, fault: Fault | None
    ) -> web.StreamResponse:
        reply = web.StreamResponse(status=answer.status, reason=answer.reason, headers=forwarded(answer.headers))
        await reply.prepare(request)
        limit = fault.at if fault is not None and fault.kind is FaultKind.TRUNCATE else None
        flip = fault.at if fault is not None and fault.kind is FaultKind.FLIP_DOWNLOAD else None
        position = 0
        try:
            async for chunk in answer.content.iter_chunked(CHUNK):
                part = flipped(chunk, position, flip)
                if limit is not None and position + len(part) > limit:
                    await reply.write(part[: limit - position])
                    counter.sent += limit - position
                    return cut(request, abruptly=False)
                await reply.write(part)
                position += len(part)
                counter.sent += len(part)
        except aiohttp.ClientError:
            return cut(request)
        await reply.write_eof()
        return reply

    async def _hold(self, request: web.BaseRequest, fault: Fault) -> web.StreamResponse:
        body = b"".join([chunk async for chunk in request.content.iter_chunked(CHUNK)])
        held = Held(request.method, request.raw_path, forwarded(request.headers), body)
        if fault.delay is None:
            self._held.append(held)
        else:
            timer = asyncio.create_task(self._forward_after(held, fault.delay))
            self._timers.add(timer)
            timer.add_done_callback(self._timers.discard)
        return cut(request)

    async def _forward_after(self, held: Held, delay: float) -> None:
        await asyncio.sleep(delay)
        await self._forward_late(held)

    async def _forward_late(self, held: Held) -> None:
        async with await self._send(held.method, held.path, held.headers, held.body or None) as answer:
            await answer.read()


def matches(match: Match, request: web.BaseRequest) -> bool:
    """Whether a request is meant."""
    return (
        match.method in (None, request.method)
        and re.search(match.path, request.raw_path) is not None
        and all(re.search(rule, request.headers.get(name, "")) for name, rule in match.headers.items())
    )


def forwarded(headers: Any) -> CIMultiDict[str]:
    """The headers that belong to the message, without those of the connection."""
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in HOP_BY_HOP)


def cut(request: web.BaseRequest, *, abruptly: bool = True) -> web.StreamResponse:
    """Close the client's connection without an answer: by RST, or after what was written where not `abruptly`."""
    transport = request.transport
    if transport is not None:
        sock = transport.get_extra_info("socket")
        if abruptly:
            with suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
            transport.abort()
        else:
            transport.close()
    return web.Response(status=502)


async def drain(request: web.BaseRequest) -> None:
    """Read and drop the body, so that the client gets to the answer."""
    async for _ in request.content.iter_chunked(CHUNK):
        pass


async def upload(request: web.BaseRequest, counter: Counter, flip: int | None) -> AsyncIterator[bytes]:
    """The client's body as it comes, counted, with one bit of the byte at `flip` changed."""
    position = 0
    async for chunk in request.content.iter_chunked(CHUNK):
        counter.received += len(chunk)
        yield flipped(chunk, position, flip)
        position += len(chunk)


def flipped(chunk: bytes, position: int, at: int | None) -> bytes:
    """A chunk that starts at `position`, with the lowest bit of the byte at `at` changed."""
    if at is None or not position <= at < position + len(chunk):
        return chunk
    changed = bytearray(chunk)
    changed[at - position] ^= 1
    return bytes(changed)
