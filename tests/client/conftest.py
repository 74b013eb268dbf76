"""One suite for both halves of the interface: in process, and through a real gateway on a free port."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from fedreg.api.app import create_app
from fedreg.api.server import open_server
from fedreg.bootstrap import open_gateway
from fedreg.client.interface import Client
from fedreg.client.local import LocalClient
from fedreg.client.remote import open_remote
from fedreg.domain.models import FileSource, ModelDraft, Version, VersionDraft
from fedreg.services.gateway import Gateway
from fedreg.settings import Settings, load_settings
from fedreg_adapters.memory.standin import Vendor, open_space

FILES = {"MLmodel": b"flavors: {}\n", "data/model ü.pkl": bytes(range(256)) * 8, "empty": b""}

Seed = Callable[..., Awaitable[Version]]


@pytest.fixture
def spaces() -> dict[str, str]:
    return {name: f"{name}-{uuid.uuid4().hex}" for name in ("left", "right")}


@pytest.fixture
def auth() -> str:
    """The `auth:` section; tests of tokens replace it."""
    return ""


@pytest.fixture
def settings(tmp_path: Path, spaces: dict[str, str], auth: str) -> Settings:
    config = tmp_path / "fedreg.yaml"
    registries = "".join(
        f"  {name}: {{kind: memory, space: '{space}', calls: {{max_attempts: 1}}}}\n" for name, space in spaces.items()
    )
    config.write_text(f"store: {{url: 'sqlite:///fedreg.db'}}\n{auth}registries:\n{registries}")
    return load_settings(config, {})


@pytest.fixture
async def gateway(settings: Settings) -> AsyncIterator[Gateway]:
    async with open_gateway(settings) as opened:
        yield opened


@pytest.fixture
async def url(gateway: Gateway, settings: Settings) -> AsyncIterator[str]:
    async with open_server(create_app(gateway, settings), settings, port=0) as address:
        yield address


@pytest.fixture(params=["local", "remote"])
async def client(request: pytest.FixtureRequest, gateway: Gateway, settings: Settings) -> AsyncIterator[Client]:
    if request.param == "local":
        yield LocalClient(gateway)
        return
    async with open_server(create_app(gateway, settings), settings, port=0) as address, open_remote(address) as remote:
        yield remote


@pytest.fixture
async def remote(url: str) -> AsyncIterator[Client]:
    async with open_remote(url) as opened:
        yield opened


@pytest.fixture
def vendor(spaces: dict[str, str]) -> Vendor:
    """The service behind registry `left`."""
    return open_space(spaces["left"])


@pytest.fixture
def seed(gateway: Gateway) -> Seed:
    """Put a version into a registry, past the gateway."""
    made: set[tuple[str, str]] = set()

    async def make(model: str = "churn", registry: str = "left", files: Mapping[str, bytes] = FILES) -> Version:
        adapter = await gateway.registries.get(registry)
        if (registry, model) not in made:
            made.add((registry, model))
            await adapter.create_model(ModelDraft(name=model))
        draft = VersionDraft(model=model, files={path: len(content) for path, content in files.items()})
        state = await adapter.begin_upload(draft, uuid.uuid4().hex)
        for path, content in files.items():
            await adapter.put_file(state, FileSource(path=path, size=len(content), open_at=_opener(content)))
        version = await adapter.finish(state)
        assert isinstance(version, Version)
        return version

    return make


def _opener(content: bytes) -> Callable[[int], AsyncIterator[bytes]]:
    async def open_at(offset: int) -> AsyncIterator[bytes]:
        yield content[offset:]

    return open_at


class Gate:
    """Holds the reading of the vendor's files, or of the one at `path`, until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, vendor: Vendor) -> None:
        self.reached, self.open = asyncio.Event(), asyncio.Event()
        self.path: str | None = None
        self._get_blob = vendor.get_blob
        monkeypatch.setattr(vendor, "get_blob", self._wait)

    async def _wait(self, where: Any, path: str, offset: int) -> AsyncIterator[bytes]:
        if self.path in (None, path):
            self.reached.set()
            await self.open.wait()
        async for chunk in self._get_blob(where, path, offset):
            yield chunk


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch, vendor: Vendor) -> Gate:
    return Gate(monkeypatch, vendor)
