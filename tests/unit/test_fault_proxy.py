"""The fault proxy: each fault does what it says, bytes are counted, and another process can drive it."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
import time
from collections.abc import AsyncIterator

import aiohttp
import msgspec
import pytest
import pytest_asyncio
import trustme
from aiohttp import web
from yarl import URL

from fedreg.testing.backend import Fault, FaultKind, Match, Traffic
from fedreg.testing.fault_control import start_control
from fedreg.testing.faults import FaultProxy

DATA = bytes(range(256)) * 20_000


class Upstream:
    """A server that remembers what it was sent."""

    def __init__(self) -> None:
        self.got: list[tuple[str, str, bytes]] = []
        self.headers: list[dict[str, str]] = []
        self.arrived = asyncio.Event()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.got.append((request.method, request.raw_path, body))
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        self.arrived.set()
        if request.path.startswith("/data"):
            start = int(request.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
            return web.Response(body=DATA[start:], status=206 if start else 200)
        return web.json_response({"ok": True})


@pytest_asyncio.fixture
async def upstream() -> AsyncIterator[tuple[Upstream, str]]:
    server = Upstream()
    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield server, f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest_asyncio.fixture
async def proxy(upstream: tuple[Upstream, str]) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(upstream[1]) as started:
        yield started


@pytest_asyncio.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def test_passes_everything_on(
    upstream: tuple[Upstream, str], proxy: FaultProxy, client: aiohttp.ClientSession
) -> None:
    path = "/a%2Fb/c%20d?x=1%202&y=%C3%BC"
    answer = await client.put(URL(proxy.url + path, encoded=True), data=DATA, headers={"X-Amz-Target": "T.Op"})
    assert await answer.json() == {"ok": True}
    assert upstream[0].got == [("PUT", path, DATA)]
    assert upstream[0].headers[0]["x-amz-target"] == "T.Op"
    assert upstream[0].headers[0]["host"] == proxy.url.removeprefix("http://")
    assert upstream[0].headers[0]["content-length"] == str(len(DATA))


async def test_speaks_tls(upstream: tuple[Upstream, str]) -> None:
    authority = trustme.CA()
    served, trusted = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(served)
    authority.configure_trust(trusted)
    async with FaultProxy(upstream[1], tls=served) as proxy, aiohttp.ClientSession() as client:
        assert proxy.url.startswith("https://")
        async with client.get(f"{proxy.url}/a", ssl=trusted) as answer:
            assert await answer.json() == {"ok": True}
        proxy.inject(Fault(kind=FaultKind.RESET, times=0))
        with pytest.raises(aiohttp.ClientConnectionError):
            await client.get(f"{proxy.url}/a", ssl=trusted)
        assert proxy.fired >= 1
    assert [path for _, path, _ in upstream[0].got] == ["/a"]


async def test_ranges_and_counts(proxy: FaultProxy, client: aiohttp.ClientSession) -> None:
    answer = await client.get(proxy.url + "/data", headers={"Range": "bytes=1000-"})
    assert (answer.status, await answer.read()) == (206, DATA[1000:])
    await (await client.put(proxy.url + "/put/x", data=b"12345")).read()
    assert proxy.traffic(Match(path="^/data")) == Traffic(received=0, sent=len(DATA) - 1000)
    assert proxy.traffic(Match(method="PUT")).received == 5
    assert proxy.traffic(Match(method="POST")) == Traffic(received=0, sent=0)
    assert proxy.counters["GET", "/data"].requests == 1


async def test_status_for_the_nth_request_only(proxy: FaultProxy, client: aiohttp.ClientSession) -> None:
    proxy.inject(
        Fault(
            kind=FaultKind.STATUS,
            match=Match(method="GET", path=r"^/models", headers={"x-amz-target": r"\.List"}),
            nth=2,
            times=2,
            status=429,
            headers={"Retry-After": "7"},
            body="slow down",
        )
    )
    target = {"X-Amz-Target": "SageMaker.ListModels"}
    statuses = [(await client.get(proxy.url + "/models", headers=target)).status for _ in range(4)]
    assert statuses == [200, 429, 429, 200]
    others = [
        (await client.post(proxy.url + "/models", headers=target)).status,
        (await client.get(proxy.url + "/other", headers=target)).status,
        (await client.get(proxy.url + "/models", headers={"X-Amz-Target": "SageMaker.Get"})).status,
    ]
    assert others == [200, 200, 200]
    assert proxy.fired == 2


@pytest.mark.parametrize("kind", [FaultKind.RESET, FaultKind.LOST_REPLY, FaultKind.LATE_APPLY])
async def test_cut_lines(
    upstream: tuple[Upstream, str], proxy: FaultProxy, client: aiohttp.ClientSession, kind: FaultKind
) -> None:
    """Only a lost reply was carried out; a late one is when released."""
    proxy.inject(Fault(kind=kind, match=Match(method="POST")))
    with pytest.raises(aiohttp.ClientError):
        await client.post(proxy.url + "/create", data=b"body")
    before = len(upstream[0].got)
    assert before == (1 if kind is FaultKind.LOST_REPLY else 0)
    assert await proxy.release() == (1 if kind is FaultKind.LATE_APPLY else 0)
    assert upstream[0].got == ([] if kind is FaultKind.RESET else [("POST", "/create", b"body")])
    assert (await client.post(proxy.url + "/create")).status == 200


async def test_late_after_a_delay(
    upstream: tuple[Upstream, str], proxy: FaultProxy, client: aiohttp.ClientSession
) -> None:
    proxy.inject(Fault(kind=FaultKind.LATE_APPLY, delay=0.01))
    with pytest.raises(aiohttp.ClientError):
        await client.post(proxy.url + "/create", data=b"body")
    await asyncio.wait_for(upstream[0].arrived.wait(), 10)
    assert upstream[0].got == [("POST", "/create", b"body")]


async def test_clear_forgets_late_writes(
    upstream: tuple[Upstream, str], proxy: FaultProxy, client: aiohttp.ClientSession
) -> None:
    proxy.inject(Fault(kind=FaultKind.LATE_APPLY, times=0))
    with pytest.raises(aiohttp.ClientError):
        await client.post(proxy.url + "/create")
    proxy.clear()
    assert await proxy.release() == 0
    assert proxy.fired == 0
    assert (await client.post(proxy.url + "/create")).status == 200
    assert len(upstream[0].got) == 1


async def test_slow(proxy: FaultProxy, client: aiohttp.ClientSession) -> None:
    proxy.inject(Fault(kind=FaultKind.SLOW, delay=0.05))
    started = time.monotonic()
    assert (await client.get(proxy.url + "/x")).status == 200
    assert time.monotonic() - started >= 0.05


async def test_web_page(proxy: FaultProxy, client: aiohttp.ClientSession) -> None:
    proxy.inject(Fault(kind=FaultKind.HTML))
    answer = await client.get(proxy.url + "/x")
    assert (answer.status, answer.content_type) == (200, "text/html")


async def test_truncated(proxy: FaultProxy, client: aiohttp.ClientSession) -> None:
    proxy.inject(Fault(kind=FaultKind.TRUNCATE, at=100_000))
    answer = await client.get(proxy.url + "/data")
    got = bytearray()
    with pytest.raises(aiohttp.ClientPayloadError):
        async for chunk in answer.content.iter_any():
            got += chunk
    assert bytes(got) == DATA[:100_000]
    assert answer.headers["Content-Length"] == str(len(DATA))


@pytest.mark.parametrize("at", [0, 70_000, len(DATA) - 1])
async def test_one_byte_flipped(
    upstream: tuple[Upstream, str], proxy: FaultProxy, client: aiohttp.ClientSession, at: int
) -> None:
    spoilt = DATA[:at] + bytes([DATA[at] ^ 1]) + DATA[at + 1 :]
    proxy.inject(Fault(kind=FaultKind.FLIP_DOWNLOAD, match=Match(method="GET"), at=at))
    assert await (await client.get(proxy.url + "/data")).read() == spoilt
    proxy.inject(Fault(kind=FaultKind.FLIP_UPLOAD, match=Match(method="PUT"), at=at))
    await client.put(proxy.url + "/put", data=DATA)
    assert hashlib.sha256(upstream[0].got[-1][2]).digest() == hashlib.sha256(spoilt).digest()


async def test_upstream_that_is_down(client: aiohttp.ClientSession) -> None:
    async with FaultProxy("http://127.0.0.1:1") as proxy:
        with pytest.raises(aiohttp.ClientError):
            await client.get(proxy.url + "/x")


async def test_driven_from_outside(
    upstream: tuple[Upstream, str], proxy: FaultProxy, client: aiohttp.ClientSession
) -> None:
    runner, control = await start_control(proxy)
    try:
        fault = Fault(kind=FaultKind.LATE_APPLY, match=Match(method="POST", path="^/create"))
        armed = await client.post(control + "/_faults", data=msgspec.json.encode(fault))
        assert armed.status == 201
        with pytest.raises(aiohttp.ClientError):
            await client.post(proxy.url + "/create", data=b"1234")
        assert await (await client.post(control + "/_faults/release")).json() == {"released": 1}
        assert upstream[0].got == [("POST", "/create", b"1234")]
        await client.put(proxy.url + "/put", data=b"123456")
        told = await (await client.get(control + "/_faults")).json()
        assert told["fired"] == 1
        assert {"method": "PUT", "path": "/put", "requests": 1, "received": 6, "sent": 12} in told["counters"]
        await client.delete(control + "/_faults")
        assert (await (await client.get(control + "/_faults")).json())["fired"] == 0
        bad = await client.post(control + "/_faults", data=b'{"kind": "flood"}')
        assert bad.status == 400
        assert "flood" in (await bad.json())["error"]
    finally:
        await runner.cleanup()
