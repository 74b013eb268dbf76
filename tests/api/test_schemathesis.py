"""schemathesis over the published OpenAPI document: no 5xx, and no answer outside the schema.

Generated requests hit a real gateway over two in-memory registries; half of their names are of things that exist.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from aiohttp import web
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from fedreg.api.app import create_app
from fedreg.api.openapi import build_openapi
from fedreg.api.routes import ROUTES
from fedreg.bootstrap import open_gateway
from fedreg.domain.models import FileSource, ModelDraft, VersionDraft
from fedreg.settings import load_settings

CHECKS = (not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance)
CASES_OF_A_SOAK = 2000
KNOWN = {
    "registry": ("left", "right"),
    "model": ("churn", "team/churn"),
    "version": ("1", "2", "@alias:champion", "@stage:staging", "@1"),
    "alias": ("champion",),
    "path": ("model.pkl",),
}
REFERENCES = ("left:churn@version:1", "left:churn", "right:churn", "left:team/churn@1", "right:churn@version:1")

document = build_openapi(ROUTES)
schema = schemathesis.openapi.from_dict(document)
schema.config.phases.coverage.enabled = False
operations = sum(len(methods) for methods in document["paths"].values())
quick = settings(
    max_examples=3, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
# Operations without parameters have one case each; the others make up for them.
long = settings(quick, max_examples=-(-CASES_OF_A_SOAK * 3 // (operations * 2)), derandomize=False)
sent: Counter[str] = Counter()


@schema.hook
def map_path_parameters(context: Any, path_parameters: dict[str, Any] | None) -> dict[str, Any] | None:
    """Names of things that exist, in every second place."""
    return path_parameters and {name: _known(KNOWN.get(name, ()), value) for name, value in path_parameters.items()}


@schema.hook
def map_body(context: Any, body: Any) -> Any:
    """References to versions that exist, in every second place."""
    if not isinstance(body, dict):
        return body
    references = {name: _known(REFERENCES, body[name]) for name in ("ref", "source", "target") if name in body}
    return {**body, **references}


def _known(known: tuple[str, ...], value: Any) -> Any:
    """The same for the same value, so that a case can be shrunk and run again."""
    place = sum(map(ord, str(value)))
    return known[place // 2 % len(known)] if known and place % 2 == 0 else value


@contextmanager
def serve(home: Path) -> Iterator[str]:
    """A gateway in a thread of its own; gives its URL."""
    config = home / "fedreg.yaml"
    spaces = "".join(f"  {name}: {{kind: memory, space: '{name} of {home}'}}\n" for name in ("left", "right"))
    config.write_text(f"store: {{url: 'sqlite:///fedreg.db'}}\nserver: {{max_body: 65536}}\nregistries:\n{spaces}")
    ready: asyncio.Queue[str] = asyncio.Queue()
    loop, stop = asyncio.new_event_loop(), asyncio.Event()

    async def run() -> None:
        loaded = load_settings(config, {})
        async with open_gateway(loaded) as gateway:
            await _seed(gateway)
            runner = web.AppRunner(create_app(gateway, loaded), access_log=None, shutdown_timeout=1)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            await ready.put(f"http://127.0.0.1:{runner.addresses[0][1]}")
            await stop.wait()
            await runner.cleanup()

    def work() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as main:
            main.run(run())

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield asyncio.run_coroutine_threadsafe(ready.get(), loop).result(60)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(60)


async def _seed(gateway: Any) -> None:
    adapter = await gateway.registries.get("left")

    async def open_at(offset: int) -> Any:
        yield b"0123456789"[offset:]

    for model in ("churn", "team/churn"):
        await adapter.create_model(ModelDraft(name=model))
        for number in ("1", "2"):
            state = await adapter.begin_upload(VersionDraft(model=model, files={"model.pkl": 10}), f"{model} {number}")
            await adapter.put_file(state, FileSource(path="model.pkl", size=10, open_at=open_at))
            await adapter.finish(state)
        await adapter.set_alias(model, "champion", "1")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serve(tmp_path_factory.mktemp("schemathesis")) as address:
        yield address


@schema.parametrize()
@quick
def test_a_few_requests_of_each_kind(case: schemathesis.Case, url: str) -> None:
    case.call_and_validate(base_url=url, checks=CHECKS)


@pytest.mark.soak
@schema.parametrize()
@long
def test_two_thousand_requests(case: schemathesis.Case, url: str) -> None:
    sent[f"{case.operation.method} {case.operation.path}"] += 1
    case.call_and_validate(base_url=url, checks=CHECKS)


@pytest.mark.soak
def test_there_were_two_thousand() -> None:
    """Runs after the one above, in the same process."""
    print(f"{sent.total()} cases of {len(sent)} operations")
    assert len(sent) == operations
    assert sent.total() >= CASES_OF_A_SOAK
