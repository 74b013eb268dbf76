"""A small federation that bad input is sent to, over each of the five surfaces, and what comes back.

Each surface opens a gateway of its own on the same store and the same registries, one after the other.
"""

from __future__ import annotations

import asyncio
import copy
import io
import os
import re
import shutil
import sqlite3
import threading
import traceback
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import closing, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

import aiohttp
from aiohttp.test_utils import TestClient, TestServer

import fedreg
from fedreg.api.app import create_app
from fedreg.api.server import open_server
from fedreg.bootstrap import open_gateway
from fedreg.cli.main import run
from fedreg.domain.errors import FedregError
from fedreg.domain.models import FileSource, ModelDraft, VersionDraft
from fedreg.registries.loader import open_adapter
from fedreg.settings import load_settings
from fedreg_adapters.memory.manifest import MemoryOptions
from fedreg_adapters.memory.standin import Vendor, drop_space, open_space

SECRET = "hunter2-of-the-test"
FILES = {"MLmodel": b"flavors: {}\n", "model.pkl": bytes(range(256))}
COMMAND, URL, HTTP, SERVE, PYTHON, REMOTE = "command line", "--url", "HTTP", "serve", "Python", "remote"
SURFACES = (COMMAND, URL, HTTP, PYTHON, REMOTE)
_SAID = re.compile(r"^fedreg: (?P<code>\w+)(?: \[(?P<registry>[^\]]+)\])?: (?P<message>.*)$", re.DOTALL)
_FAMILY = {SERVE: COMMAND, URL: COMMAND, REMOTE: PYTHON}


def family(surface: str) -> str:
    """The surface whose exit codes, statuses or exceptions this one shares."""
    return _FAMILY.get(surface, surface)


@dataclass(frozen=True)
class Outcome:
    """How it ended: an exit code, an HTTP status or the name of an exception (`done` where there was none).

    `text` is all that was said, what the process printed or the whole body included.
    """

    ending: str
    message: str = ""
    cure: str = ""
    code: str = ""
    text: str = ""
    value: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    registry: str = ""


@dataclass(frozen=True)
class Ask:
    """An HTTP request. `body`: JSON, or bytes as they are."""

    method: str
    path: str
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class World:
    """`left:churn` has versions 1 and 2; `right` is empty; `sm` is SageMaker; nothing listens where `down` is.

    `token` is what callers of the gateway show. `elsewhere`: an address that takes the gateway's place.
    """

    home: Path
    config: Path
    spaces: Mapping[str, str]
    token: str | None = None
    elsewhere: str | None = None

    def vendor(self, name: str) -> Vendor:
        """The service behind `left` or `right`."""
        return open_space(self.spaces[name])

    def state(self) -> dict[str, Any]:
        """All that could have been changed: the registries and, table by table, the store."""
        held = {}
        for name in self.spaces:
            vendor = self.vendor(name)
            held[name] = copy.deepcopy({"models": vendor.shelves, "uploads": vendor.uploads, "feed": vendor.feed})
        return held | read_tables(self.home / "fedreg.db")

    # -- the surfaces --------------------------------------------------------------------------------------

    def cli(self, *arguments: str, surface: str = COMMAND) -> Outcome:
        """`fedreg --config … ARGUMENTS` in this process, or `fedreg --url … ARGUMENTS` at a gateway."""
        if surface == COMMAND:
            return self._run("--config", str(self.config), *arguments)
        with self.gateway() as url:
            return self._run("--url", url, *arguments)

    def _run(self, *arguments: str) -> Outcome:
        out, err = io.StringIO(), io.StringIO()
        shown = {} if self.token is None else {"FEDREG_TOKEN": self.token}
        with redirect_stdout(out), redirect_stderr(err), mock.patch.dict(os.environ, shown):
            code = run(list(arguments))
        return from_streams(code, out.getvalue(), err.getvalue())

    def python(self, work: Callable[[Any], Any], *, surface: str = PYTHON) -> Outcome:
        """`with fedreg.open(…) as fed:`, or `fedreg.connect(…)` to a gateway."""
        try:
            if surface == PYTHON:
                with fedreg.open(self.config) as fed:
                    return Outcome("done", value=work(fed))
            with self.gateway() as url, fedreg.connect(url, self.token) as fed:
                return Outcome("done", value=work(fed))
        except FedregError as error:
            text = f"{error} {error!r} {error.to_dict()}"
            kind, registry = type(error).__name__, error.registry or ""
            return Outcome(kind, error.message, error.cure or "", error.code, text, registry=registry)
        except Exception as error:
            return Outcome(type(error).__name__, str(error), text=traceback.format_exc())

    @contextmanager
    def gateway(self) -> Iterator[str]:
        """A gateway in a thread of its own, or what is `elsewhere`; gives the address."""
        if self.elsewhere is not None:
            yield self.elsewhere
            return
        loop, stop = asyncio.new_event_loop(), asyncio.Event()
        address: Future[str] = Future()

        async def serve() -> None:
            settings = load_settings(self.config)
            async with (
                open_gateway(settings) as gateway,
                open_server(create_app(gateway, settings), settings, port=0) as url,
            ):
                address.set_result(url)
                await stop.wait()

        def work() -> None:
            try:
                with asyncio.Runner(loop_factory=lambda: loop) as runner:
                    runner.run(serve())
            except Exception as error:
                address.set_exception(error)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        url = address.result(60)
        try:
            yield url
        finally:
            loop.call_soon_threadsafe(stop.set)
            thread.join(60)

    def http(self, *asks: Ask) -> Outcome:
        """One request after the other; the outcome of the last one. `{next_cursor}`: what the one before has given."""

        async def send(client: TestClient[Any, Any]) -> Outcome:
            outcome = Outcome("none")
            for ask in asks:
                given = outcome.value if isinstance(outcome.value, dict) else {}
                path = ask.path.replace("{next_cursor}", str(given.get("next_cursor")))
                outcome = await request(client, replace(ask, path=path))
            return outcome

        return self.served(send)

    def served(self, work: Callable[[TestClient[Any, Any]], Awaitable[Any]]) -> Any:
        """Do something with the HTTP API."""

        async def serve() -> Any:
            settings = load_settings(self.config)
            async with open_gateway(settings) as gateway:
                server = TestServer(create_app(gateway, settings))
                shown = {} if self.token is None else {"Authorization": f"Bearer {self.token}"}
                async with TestClient(server, cookie_jar=aiohttp.DummyCookieJar(), headers=shown) as client:
                    return await work(client)

        return asyncio.run(serve())


async def request(client: TestClient[Any, Any], ask: Ask) -> Outcome:
    """One request, read."""
    given = {"data": ask.body} if isinstance(ask.body, bytes) else {"json": ask.body}
    response = await client.request(ask.method, ask.path, headers=dict(ask.headers), **given)
    text = await response.text()
    parsed = await response.json(content_type=None) if text else None
    fields = parsed if isinstance(parsed, dict) else {}
    return Outcome(
        str(response.status),
        str(fields.get("message", "")),
        str(fields.get("cure", "")),
        str(fields.get("code", "")),
        text,
        parsed,
        dict(response.headers),
        str(fields.get("registry") or ""),
    )


def from_streams(code: int, out: str, err: str) -> Outcome:
    """What a command has said, taken apart: `fedreg: CODE [REGISTRY]: MESSAGE`, and the cure on the next line."""
    said, _, rest = err.partition("\n  cure: ")
    cure = rest.partition("\n  request id: ")[0]
    found = _SAID.match(said.strip())
    parts = found.groupdict(default="") if found else {"code": "", "registry": "", "message": said.strip()}
    message, registry = parts["message"], parts["registry"]
    return Outcome(f"exit {code}", message, cure.strip(), parts["code"], out + err, registry=registry)


@contextmanager
def open_world(home: Path, template: Path, sagemaker: str) -> Iterator[World]:
    """A world below `home`. `template` is a new store to start from, `sagemaker` the stand-in's address."""
    spaces = {name: f"{name} of {home}" for name in ("left", "right")}
    config = home / "fedreg.yaml"
    once = "calls: {max_attempts: 1}"
    config.write_text(
        "store: {url: 'sqlite:///fedreg.db'}\n"
        "server: {max_body: 4096}\n"
        "registries:\n"
        f"  left: {{kind: memory, space: '{spaces['left']}', {once}}}\n"
        f"  right: {{kind: memory, space: '{spaces['right']}', {once}}}\n"
        f"  sm: {{kind: sagemaker, region: eu-west-1, endpoint_url: '{sagemaker}', sts_endpoint_url: '{sagemaker}',"
        f" access_key_id: AKIATEST, secret_access_key: '{SECRET}', {once}}}\n"
        f"  down: {{kind: mlflow, url: 'http://127.0.0.1:9', token: '{SECRET}', {once}}}\n"
    )
    shutil.copy(template, home / "fedreg.db")
    world = World(home, config, spaces)
    asyncio.run(_fill(spaces["left"]))
    try:
        yield world
    finally:
        for space in spaces.values():
            drop_space(space)


async def _fill(space: str) -> None:
    """Version 1 has the alias `staging`, version 2 the stage: a bare `@staging` is both."""
    adapter = await open_adapter("left", "memory", MemoryOptions(space=space))
    await adapter.create_model(ModelDraft(name="churn"))
    sizes = {path: len(content) for path, content in FILES.items()}
    for number in ("1", "2"):
        state = await adapter.begin_upload(VersionDraft(model="churn", files=sizes), f"seed-{number}")
        for path, content in FILES.items():
            await adapter.put_file(state, FileSource(path=path, size=len(content), open_at=opener(content)))
        await adapter.finish(state)
    await adapter.set_alias("churn", "staging", "1")
    await adapter.set_stage((await adapter.get_version("churn", "2")).id, "staging")
    await adapter.aclose()


def opener(content: bytes) -> Callable[[int], Any]:
    """The source of a file's bytes."""

    async def open_at(offset: int) -> Any:
        yield content[offset:]

    return open_at


def read_tables(store: Path) -> dict[str, Any]:
    """Every row of a store, by table; nothing where there is no store."""
    if not store.exists():
        return {}
    with closing(sqlite3.connect(store)) as connection:
        query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'model_text%'"
        names = [row[0] for row in connection.execute(query)]
        return {name: sorted(map(repr, connection.execute(f"SELECT * FROM {name}"))) for name in names}


def masked(text: str, home: Path) -> str:
    """A message without what differs from run to run: folders, ports, processes, revisions and keys."""
    text = text.replace(f"{os.path.realpath(home)}/", "").replace(f"{home}/", "")
    text = re.sub(r"(127\.0\.0\.1|localhost):\d+", r"\1:PORT", text)
    text = re.sub(r"process \d+ on [\w.-]+", "process PID on HOST", text)
    text = re.sub(r"cursor '[\w-]{40}' is", "cursor 'CURSOR' is", text)  # signed with a key of the store's own
    text = re.sub(r"knows up to \d{4}", "knows up to REVISION", text)
    return re.sub(r"\b(copy|change)-[0-9a-f]{8,}(-\d+)?", r"\1-ID", text)
