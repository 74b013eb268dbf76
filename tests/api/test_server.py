"""Listening, stopping, metrics and logs."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
import structlog
from structlog.testing import capture_logs

from fedreg.api.app import create_app
from fedreg.api.context import STOPPING
from fedreg.api.logs import configure_logging
from fedreg.api.server import open_server
from fedreg.domain.errors import ConfigError
from fedreg.registries.metrics import CallMetrics
from fedreg.services.gateway import Gateway
from fedreg.settings import Settings
from fedreg_adapters.memory.standin import Vendor


async def test_a_request_in_flight_is_finished_and_a_stream_ended(
    gateway: Gateway, settings: Settings, vendor: Vendor, seed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await seed()
    app = create_app(gateway, settings)
    reached, release, call = asyncio.Event(), asyncio.Event(), vendor.call

    async def held(name: str, /, **given: Any) -> Any:
        if name == "shelf.get":
            reached.set()
            await release.wait()
        return await call(name, **given)

    async def let_go(_: object) -> None:
        assert app[STOPPING].is_set()
        release.set()

    monkeypatch.setattr(vendor, "call", held)
    app.on_shutdown.append(let_go)
    async with aiohttp.ClientSession() as session:
        async with open_server(app, settings, port=0) as url:
            assert url.startswith("http://127.0.0.1:")
            under_way = asyncio.create_task(read(session, f"{url}/v1/registries/left/models/churn"))
            await reached.wait()
        status, body = await under_way
        assert (status, json.loads(body)["name"]) == (200, "churn")
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(f"{url}/healthz")


async def read(session: aiohttp.ClientSession, url: str) -> tuple[int, bytes]:
    async with session.get(url) as response:
        return response.status, await response.read()


async def test_addresses_that_can_not_be_used(gateway: Gateway, settings: Settings) -> None:
    with pytest.raises(ConfigError, match=r"auth\.tokens"):
        async with open_server(create_app(gateway, settings), settings, host="0.0.0.0"):
            pytest.fail("it listens")
    async with open_server(create_app(gateway, settings), settings, port=0) as url:
        port = int(url.rpartition(":")[2])
        with pytest.raises(ConfigError, match="can't listen"):
            async with open_server(create_app(gateway, settings), settings, port=port):
                pytest.fail("it listens")


async def test_readiness_while_stopping(api: Any) -> None:
    api.client.app[STOPPING].set()
    answer = await api("GET", "/readyz", expect=503)
    assert answer.json["status"] == "stopping"
    await api("GET", "/healthz", expect=200)


async def test_metrics_know_patterns_not_names(gateway: Gateway, settings: Settings) -> None:
    calls = CallMetrics()
    app = create_app(gateway, settings, collector=calls.collector)
    async with aiohttp.ClientSession() as session, open_server(app, settings, port=0) as url:
        await read(session, f"{url}/v1/registries/left/models/secret-model")
        await read(session, f"{url}/nowhere")
        async with session.request("PURGE", url):
            pass
        text = (await read(session, f"{url}/metrics"))[1].decode()
    pattern = 'route="/v1/registries/{registry}/models/{model}"'
    assert f'fedreg_http_requests_total{{method="GET",{pattern},status="404"}} 1.0' in text
    assert 'fedreg_http_requests_total{method="GET",route="unmatched",status="404"} 1.0' in text
    assert 'method="other"' in text
    assert "secret-model" not in text
    assert "# TYPE fedreg_registry_requests_total counter" in text


async def test_the_access_log_keeps_secrets_out(api: Any) -> None:
    with capture_logs() as logs:
        await api("GET", "/v1/models", query={"search": "hunter2"}, headers={"Authorization": "Bearer hunter2"})
    entry = next(entry for entry in logs if entry["event"] == "request")
    assert (entry["method"], entry["path"], entry["status"], entry["actor"]) == ("GET", "/v1/models", 200, "anonymous")
    assert "hunter2" not in repr(logs)


@pytest.fixture
def log_stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    stream = io.StringIO()
    configure_logging(stream=stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_logs_are_json_and_masked(log_stream: io.StringIO) -> None:
    structlog.get_logger("x").info("hello", url="http://u:pw@h/?sig=abc", api_token="abc", note="Bearer abcdefgh", n=1)
    logging.getLogger("lib").warning("failed for %s", "https://u:pw@host/")
    try:
        raise RuntimeError("Authorization: Bearer abcdefgh")
    except RuntimeError as error:
        structlog.get_logger("x").error("broken", exc_info=error)
    lines = [json.loads(line) for line in log_stream.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["hello", "failed for https://u:***@host/", "broken"]
    assert (lines[0]["api_token"], lines[0]["note"], lines[0]["n"]) == ("***", "Bearer ***", 1)
    assert lines[0]["level"] == "info" and lines[1]["level"] == "warning"
    for secret in ("pw", "sig=abc", "abcdefgh"):
        assert secret not in log_stream.getvalue()
