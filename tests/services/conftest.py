"""A gateway over two in-memory registries, with a real store and a real engine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from fedreg.bootstrap import open_gateway
from fedreg.domain.models import FileSource, ModelDraft, Provenance, Version, VersionDraft
from fedreg.domain.records import Actor
from fedreg.services.gateway import Gateway
from fedreg.settings import Settings, load_settings

from .receivers import Receiver

ACTOR = Actor(subject="tester")
FILES = {"MLmodel": b"flavors: {}\n", "data/model.pkl": b"\x80\x05" + bytes(range(256)) * 64, "empty": b""}


ON_BOTH = {
    "test_an_exclusive_stage_moves_and_the_index_follows",
    "test_edits_are_journalled",
    "test_a_copy_has_the_same_bytes_and_arrives_unapproved",
    "test_history_lineage_and_download_know_the_copy",
}
"""A sample that runs on PostgreSQL, too: the store's own tests all do."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.definition.originalname in ON_BOTH:
        metafunc.parametrize("settings", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def settings(tmp_path: Path, request: pytest.FixtureRequest) -> Settings:
    config = tmp_path / "fedreg.yaml"
    shared = getattr(request, "param", "sqlite") == "postgresql"
    url = request.getfixturevalue("postgresql_url") if shared else "sqlite:///fedreg.db"
    config.write_text(
        f"store: {{url: '{url}'}}\n"
        "registries:\n"
        f"  left: {{kind: memory, space: '{request.node.nodeid}-left'}}\n"
        f"  right: {{kind: memory, space: '{request.node.nodeid}-right'}}\n"
    )
    return load_settings(config, {})


@pytest.fixture
async def gateway(settings: Settings) -> AsyncIterator[Gateway]:
    async with open_gateway(settings) as opened:
        yield opened


@pytest.fixture
async def receive() -> AsyncIterator[Callable[[], Any]]:
    runners = []

    async def start() -> Receiver:
        receiver, app = Receiver(), web.Application()
        app.router.add_post("/hook", receiver.receive)
        runner = web.AppRunner(app)
        await runner.setup()
        runners.append(runner)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
        return receiver

    yield start
    for runner in runners:
        await runner.cleanup()


async def make_version(
    gateway: Gateway, registry: str, model: str, files: Mapping[str, bytes] = FILES, **fields: object
) -> Version:
    """Put a version into a registry, past the services."""
    adapter = await gateway.registries.get(registry)
    names = [found.name for found in (await adapter.list_models(_all())).items]
    if model not in names:
        await adapter.create_model(ModelDraft(name=model))
    sizes = {path: len(content) for path, content in files.items()}
    draft = VersionDraft(model=model, files=sizes, provenance=Provenance(run_id="run-1"), **fields)  # type: ignore[arg-type]
    state = await adapter.begin_upload(draft, f"seed-{id(files)}-{len(names)}-{fields.get('description')}")
    for path, content in files.items():
        await adapter.put_file(state, FileSource(path=path, size=len(content), open_at=_opener(content)))
    made = await adapter.finish(state)
    assert isinstance(made, Version)
    return made


def _all():  # type: ignore[no-untyped-def]
    from fedreg.domain.models import ModelQuery

    return ModelQuery()


def _opener(content: bytes):  # type: ignore[no-untyped-def]
    async def open_at(offset: int) -> AsyncIterator[bytes]:
        yield content[offset:]

    return open_at
