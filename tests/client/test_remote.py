"""What only the way over HTTP can do wrong: tokens, addresses, cut connections, answers of something else."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from fedreg.client.interface import Client
from fedreg.client.remote import open_remote
from fedreg.client.transport import CHUNK
from fedreg.domain.errors import (
    FedregError,
    Forbidden,
    GatewayError,
    GatewayUnavailable,
    IntegrityError,
    InvalidRequest,
    NotFound,
    Outcome,
    Unauthenticated,
)
from fedreg.domain.records import IntentKind
from fedreg.services.gateway import Gateway
from fedreg_adapters.memory.standin import Vendor

from .conftest import Gate, Seed

SECRET = "hunter2-and-then-some"
BIG = bytes(range(256)) * (16 * CHUNK // 256)


class Cuts:
    """A way to the gateway that breaks the connection after so many bytes of answers; each plan is used once."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.after: list[int] = []
        self.connections = 0
        self._open: set[asyncio.StreamWriter] = set()

    def abort(self) -> None:
        """Break all connections."""
        for writer in self._open:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open.add(writer)
        left = self.after.pop(0) if self.after else None
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._port)
        sending = asyncio.create_task(_pump(reader, up_writer))
        while data := await up_reader.read(1 << 16):
            if left is not None:
                left -= len(data)
                if left <= 0:
                    break
            try:
                writer.write(data)
                await writer.drain()
            except ConnectionError:
                break
        writer.transport.abort()
        self._open.discard(writer)
        up_writer.transport.abort()
        sending.cancel()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
    writer.close()


@pytest.fixture
async def cuts(url: str) -> AsyncIterator[tuple[Cuts, str]]:
    way = Cuts(int(url.rpartition(":")[2]))
    server = await asyncio.start_server(way.serve, "127.0.0.1", 0)
    async with server:
        yield way, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


# -- who asks -------------------------------------------------------------------------------------------


class TestTokens:
    @pytest.fixture
    def auth(self) -> str:
        lines = "".join(
            f"    - {{subject: {name}, sha256: '{sha256(token.encode()).hexdigest()}', roles: [{role}]{more}}}\n"
            for name, token, role, more in (
                ("boss", SECRET, "admin", ""),
                ("reader", "reader", "reader", ""),
                ("operator", "operator", "operator", ""),
                ("lefty", "lefty", "admin", ", registries: [left]"),
            )
        )
        return f"auth:\n  tokens:\n{lines}"

    @pytest.mark.parametrize("token", [None, "wrong", f"{SECRET}x"])
    async def test_nobody_gets_in_without(self, url: str, token: str | None) -> None:
        async with open_remote(url, token) as client:
            with pytest.raises(Unauthenticated) as caught:
                await client.registries()
        assert caught.value.exit_code == 6 and caught.value.cure

    async def test_the_credential_is_the_actor(self, url: str, seed: Seed) -> None:
        await seed()
        async with open_remote(url, SECRET) as client:
            made = await client.set_tags("left:churn@1", {"k": "v"})
            [entry] = await client.history("left:churn@1")
        assert made.actor == "boss"
        assert (entry.change.actor.subject, entry.change.actor.authenticated) == ("boss", True)

    async def test_roles(self, url: str, seed: Seed) -> None:
        await seed()
        ref = "left:churn@1"
        async with open_remote(url, "reader") as client:
            assert (await client.version(ref)).version == "1"
            assert (await client.check(ref, "left:churn@1")).rows
            for call in (
                lambda: client.promote(ref, "production"),
                lambda: client.copy(ref, "right:churn"),
                lambda: client.set_tags(ref, {"a": "b"}),
                lambda: client.doctor(),
            ):
                with pytest.raises(Forbidden, match="operator"):
                    await call()
        async with open_remote(url, "operator") as client:
            for refused in (
                lambda: client.delete(ref),
                lambda: client.set_approval(ref, "approved"),
                lambda: client.verify_audit(),
            ):
                with pytest.raises(Forbidden):
                    await refused()

    async def test_a_registry_that_is_not_ours_to_see(self, url: str, seed: Seed) -> None:
        await seed()
        await seed("hidden", "right")
        async with open_remote(url, "lefty") as client:
            assert [view.name for view in await client.registries()] == ["left"]
            assert [version.model async for version in client.versions()] == ["churn"]
            with pytest.raises(NotFound, match="right"):
                await client.show("right:hidden")
            with pytest.raises(NotFound, match="right"):
                await client.copy("left:churn@1", "right:churn")

    async def test_no_error_and_no_repr_shows_the_token(self, url: str, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(0)
        async with open_remote(url, SECRET) as client:
            shown = [repr(client), repr(vars(client))]
            for bad in ("nowhere:m", "left:m@1"):
                with pytest.raises(FedregError) as caught:
                    await client.show(bad)
                shown += [repr(caught.value), str(caught.value), *traceback.format_exception(caught.value)]
        async with open_remote("http://127.0.0.1:1", SECRET) as client:
            with pytest.raises(GatewayUnavailable) as unreachable:
                await client.registries()
            shown += [repr(unreachable.value), *traceback.format_exception(unreachable.value)]
        for bad_token in (f"{SECRET}\r\nX: y", f"{SECRET}ü", ""):
            with pytest.raises(InvalidRequest, match="token") as refused:
                async with open_remote(url, bad_token):
                    pass
            shown += traceback.format_exception(refused.value)
        shown += [record.getMessage() for record in caplog.records]
        assert [text for text in shown if SECRET in text and "SECRET" not in text] == []


# -- where to ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        "",
        "gateway:8080",
        "ftp://gateway",
        "http://",
        "http://g:99999",
        "http://g/?a=b",
        "http://user:secret@g",
        "http://[",
    ],
)
async def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(InvalidRequest, match="address of the gateway") as caught:
        async with open_remote(address):
            pass
    assert caught.value.exit_code == 2 and "secret" not in str(caught.value)


async def test_nobody_is_there(unused_tcp_port: int) -> None:
    address = f"http://127.0.0.1:{unused_tcp_port}"
    async with open_remote(address) as client:
        with pytest.raises(GatewayUnavailable, match=address) as caught:
            await client.promote("left:churn@1", "production")
    assert (caught.value.exit_code, caught.value.outcome) == (5, Outcome.NOT_APPLIED)
    assert caught.value.cure and "fedreg serve" in caught.value.cure


async def test_a_prefix_of_the_address_is_kept(gateway: Gateway, url: str) -> None:
    async def forward(request: web.Request) -> web.Response:
        return web.json_response({"items": [], "next_cursor": None, "path": request.path})

    async with (
        serving({"/sub/fedreg/v1/registries": forward}) as address,
        open_remote(f"{address}/sub/fedreg/") as client,
    ):
        assert await client.registries() == []


@pytest.mark.parametrize(
    ("status", "kind", "body", "error", "words"),
    [
        (200, "text/html", "<html>", GatewayError, "can't be read"),
        (200, "application/json", '{"items": 7}', GatewayError, "can't be read"),
        (404, "text/html", "<html>", GatewayError, "no gateway"),
        (302, "text/html", "", GatewayError, "redirects"),
        (502, "text/html", "Bad gateway", GatewayUnavailable, "502"),
        (400, "application/problem+json", '{"code": 7', GatewayError, "can't be read"),
        (400, "application/problem+json", '{"code": "invalid_request", "outcome": "?"}', GatewayError, "can't be read"),
        (418, "application/problem+json", '{"code": "brand_new", "message": "hm"}', FedregError, "hm"),
    ],
)
async def test_something_else_answers(status: int, kind: str, body: str, error: type[FedregError], words: str) -> None:
    async def answer(request: web.Request) -> web.Response:
        headers = {"Location": "http://elsewhere.example/"} if status == 302 else {}
        return web.Response(status=status, content_type=kind, text=body, headers=headers)

    async with serving({"/v1/registries": answer}) as address, open_remote(address) as client:
        with pytest.raises(error, match=words) as caught:
            await client.registries()
    assert type(caught.value) is error


async def test_a_gateway_that_says_nothing() -> None:
    stop = asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        await stop.wait()
        return web.Response()

    async with serving({"/v1/registries": answer}) as address, open_remote(address, timeout=0.2) as client:
        with pytest.raises(GatewayUnavailable, match="in time") as caught:
            await client.registries()
        stop.set()
    assert caught.value.outcome is Outcome.UNKNOWN


@asynccontextmanager
async def serving(routes: dict[str, Callable[[web.Request], Any]]) -> AsyncIterator[str]:
    app = web.Application()
    for path, handler in routes.items():
        app.router.add_get(path, handler)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


# -- cut on the way --------------------------------------------------------------------------------------


async def test_a_download_goes_on_where_it_was_cut(
    cuts: tuple[Cuts, str], seed: Seed, vendor: Vendor, tmp_path: Path
) -> None:
    await seed(files={"model.bin": BIG})
    way, address = cuts
    offsets: list[int] = []
    get_blob = vendor.get_blob

    async def watch(where: Any, path: str, offset: int) -> AsyncIterator[bytes]:
        offsets.append(offset)
        async for chunk in get_blob(where, path, offset):
            yield chunk

    vendor.get_blob = watch  # type: ignore[method-assign]
    async with open_remote(address) as client:
        await client.version("left:churn@1")
        way.after = [5 * CHUNK, 5 * CHUNK]
        way_before = way.connections
        async with open_remote(address) as fresh:
            report = await fresh.download("left:churn@1", tmp_path / "out")
    assert (tmp_path / "out" / "model.bin").read_bytes() == BIG
    assert report.bytes == len(BIG) and way.connections >= way_before + 3
    assert max(offsets) > 4 * CHUNK


async def test_an_interrupted_download_is_finished_by_the_next(
    client: Client, seed: Seed, gate: Gate, tmp_path: Path
) -> None:
    await seed(files={"a": b"1" * 10, "b": b"2" * 20})
    gate.path = "b"
    directory = tmp_path / "out"
    first = asyncio.create_task(client.download("left:churn@1", directory))
    await gate.reached.wait()
    while not (directory / "a").exists():
        await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert not (directory / "b").exists() and (directory / ".fedreg-download.json").exists()
    gate.open.set()
    (directory / ".fedreg-part-b").write_bytes(b"2" * 7)
    assert (await client.download("left:churn@1", directory)).files == 2
    assert sorted(path.name for path in directory.iterdir()) == ["a", "b"]
    assert (directory / "b").read_bytes() == b"2" * 20


async def test_spoilt_bytes_are_not_kept(client: Client, seed: Seed, tmp_path: Path) -> None:
    version = await seed(files={"a": b"1" * 10})
    directory = tmp_path / "out"
    directory.mkdir()
    (directory / ".fedreg-download.json").write_text(f'{{"ref": "{version.ref}", "identity": "{version.identity}"}}')
    (directory / ".fedreg-part-a").write_bytes(b"x" * 11)
    with pytest.raises(IntegrityError, match="10 are listed"):
        await client.download(version.ref, directory)
    assert (await client.download(version.ref, directory)).bytes == 10


async def test_a_lost_answer_is_asked_for_again_and_nothing_is_done_twice(
    cuts: tuple[Cuts, str], seed: Seed, remote: Client
) -> None:
    await seed()
    way, address = cuts
    way.after = [1]
    async with open_remote(address) as client:
        report = await client.promote("left:churn@1", "production", reason="once")
    assert report.changed and way.connections == 2
    assert [view.id for view in await remote.promotions()] == [report.operation]
    way.after = [1]
    async with open_remote(address) as client:
        copied = await client.copy("left:churn@1", "right:churn")
    assert copied.moved and len(await remote.operations(kinds=[IntentKind.COPY])) == 1
    way.after = [1]
    async with open_remote(address) as client:
        with pytest.raises(GatewayUnavailable) as caught:
            await client.set_tags("left:churn@1", {"a": "b"})
    assert caught.value.outcome is Outcome.UNKNOWN
    assert dict((await remote.version("left:churn@1")).tags) == {"a": "b"}


async def test_an_event_stream_that_is_cut_is_opened_again(cuts: tuple[Cuts, str], seed: Seed, gate: Gate) -> None:
    await seed()
    way, address = cuts
    started = asyncio.Event()
    async with open_remote(address) as client:
        gate.path = "empty"
        copying = asyncio.create_task(client.copy("left:churn@1", "right:churn", progress=lambda state: started.set()))
        await started.wait()
        before = way.connections
        way.abort()
        while way.connections == before:
            await asyncio.sleep(0)
        gate.open.set()
        assert (await copying).moved


# -- what it is made of ------------------------------------------------------------------------------------


def test_connecting_loads_neither_store_nor_engine_nor_services() -> None:
    script = (
        "import fedreg, sys; fedreg.connect('http://127.0.0.1:1');"
        "print(*sorted({'.'.join(m.split('.')[:2]) for m in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    loaded = set(done.stdout.split())
    assert "fedreg.client" in loaded and "aiohttp" in loaded
    heavy = {"sqlalchemy", "dbos", "alembic", "fedreg.store", "fedreg.engine", "fedreg.services", "fedreg.bootstrap"}
    assert loaded & heavy == set()
