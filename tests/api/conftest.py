"""The API over two in-memory registries, with a real store and a real engine. Every answer is held against OpenAPI."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from yarl import URL

from fedreg.api.app import create_app
from fedreg.api.openapi import build_openapi
from fedreg.api.routes import ROUTES
from fedreg.bootstrap import open_gateway
from fedreg.domain.models import FileSource, ModelDraft, ModelQuery, Version, VersionDraft
from fedreg.services.gateway import Gateway
from fedreg.settings import Settings, load_settings
from fedreg_adapters.memory.standin import Vendor, open_space

FILES = {"MLmodel": b"flavors: {}\n", "data/model.pkl": bytes(range(256)) * 8, "empty": b""}
ROLES = ("reader", "operator", "approver", "admin")
DOCUMENT = build_openapi(ROUTES)

Seed = Callable[..., Awaitable[Version]]


@dataclass
class Answer:
    """A response, read."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Api:
    """Calls routes by their pattern and checks each answer against the document."""

    client: TestClient[Any, Any]
    called: set[tuple[str, str]] = field(default_factory=set)
    token: str | None = None

    async def __call__(
        self,
        method: str,
        pattern: str,
        *,
        query: Any = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        expect: int | None = None,
        **names: str,
    ) -> Answer:
        path = pattern.format(
            **{name: quote(value, safe="/" if name == "path" else "") for name, value in names.items()}
        )
        sent = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        url = URL(path, encoded=True)
        response = await self.client.request(
            method, url.update_query(query) if query else url, json=body, headers={**sent, **(headers or {})}
        )
        answer = Answer(response.status, response.headers, await response.read())
        self.called.add((method, pattern))
        check_answer(method, pattern, answer)
        assert expect in (None, answer.status), answer.body
        return answer

    def acting_as(self, token: str | None) -> Api:
        return Api(self.client, self.called, token)


def check_answer(method: str, pattern: str, answer: Answer) -> None:
    """The status is documented, and the body is of its schema."""
    operation = DOCUMENT["paths"][pattern][method.lower()]
    if answer.status >= 400 and str(answer.status) not in operation["responses"]:
        assert answer.headers["Content-Type"] == "application/problem+json", answer.body
        documented = DOCUMENT["components"]["responses"]["Problem"]
    elif answer.status in (206, 304):
        return
    else:
        documented = operation["responses"][str(answer.status)]
    assert answer.headers["X-Request-Id"]
    for media, content in documented.get("content", {}).items():
        assert answer.headers["Content-Type"].startswith(media)
        if "schema" in content:
            schema = {**content["schema"], "components": DOCUMENT["components"]}
            Draft202012Validator(schema).validate(answer.json)
    if "content" not in documented:
        assert answer.body == b""


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
    config.write_text(
        f"store: {{url: 'sqlite:///fedreg.db'}}\nserver: {{max_body: 4096}}\n{auth}registries:\n{registries}"
    )
    return load_settings(config, {})


@pytest.fixture
async def gateway(settings: Settings) -> AsyncIterator[Gateway]:
    async with open_gateway(settings) as opened:
        yield opened


@pytest.fixture
async def api(gateway: Gateway, settings: Settings) -> AsyncIterator[Api]:
    async with TestClient(TestServer(create_app(gateway, settings)), cookie_jar=aiohttp.DummyCookieJar()) as client:
        yield Api(client)


@pytest.fixture
def vendor(spaces: dict[str, str]) -> Vendor:
    """The service behind registry `left`."""
    return open_space(spaces["left"])


@pytest.fixture
def seed(gateway: Gateway) -> Seed:
    """Put a version into a registry, past the gateway."""
    made = 0

    async def make(model: str = "churn", registry: str = "left", files: Mapping[str, bytes] = FILES) -> Version:
        nonlocal made
        made += 1
        adapter = await gateway.registries.get(registry)
        sizes = {path: len(content) for path, content in files.items()}
        if model not in {found.name for found in (await adapter.list_models(ModelQuery())).items}:
            await adapter.create_model(ModelDraft(name=model))
        state = await adapter.begin_upload(VersionDraft(model=model, files=sizes), f"seed-{made}")
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


def digest_of(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


@pytest.fixture
def tokens() -> str:
    """An `auth:` section with a token a role, named like it, and one that sees registry `left` only."""
    lines = [f"    - {{subject: {role}-1, sha256: '{digest_of(role)}', roles: [{role}]}}\n" for role in ROLES]
    lines.append(f"    - {{subject: lefty, sha256: '{digest_of('lefty')}', roles: [admin], registries: [left]}}\n")
    return "auth:\n  tokens:\n" + "".join(lines)
