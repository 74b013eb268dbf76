"""A collector on loopback that takes OTLP over HTTP, and a gateway that sends its traces there."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from fedreg.api.app import create_app
from fedreg.bootstrap import open_gateway
from fedreg.settings import load_settings
from fedreg.telemetry.tracing import open_tracing
from fedreg_adapters.memory.standin import Vendor, drop_space, open_space

SECRET = "hunter2-of-the-test"


@dataclass(frozen=True)
class Seen:
    """A span as the collector got it; ids in hex."""

    name: str
    trace: str
    id: str
    parent: str
    attributes: dict[str, Any]
    failed: bool


@dataclass
class Collector:
    """What has come in: the paths and headers of requests, their bodies, and the spans in them."""

    url: str
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    @property
    def spans(self) -> list[Seen]:
        parsed = [ExportTraceServiceRequest.FromString(body) for body in self.bodies]
        scopes = [scope for one in parsed for resource in one.resource_spans for scope in resource.scope_spans]
        return [_seen(span) for scope in scopes for span in scope.spans]

    @property
    def resource(self) -> dict[str, Any]:
        [first, *_] = ExportTraceServiceRequest.FromString(self.bodies[0]).resource_spans
        return _values(first.resource.attributes)

    def named(self, name: str) -> Seen:
        [span] = [span for span in self.spans if span.name == name]
        return span


def _seen(span: Any) -> Seen:
    ids = (span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex())
    return Seen(span.name, *ids, _values(span.attributes), span.status.code == 2)


def _values(attributes: Any) -> dict[str, Any]:
    return {item.key: getattr(item.value, item.value.WhichOneof("value")) for item in attributes}


@pytest.fixture
def collector() -> Iterator[Collector]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            taken.requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            taken.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    taken = Collector(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield taken
    server.shutdown()
    thread.join(30)
    server.server_close()


@pytest.fixture
def config(tmp_path: Path, collector: Collector) -> Path:
    file = tmp_path / "fedreg.yaml"
    calls = "calls: {backoff: 0.001, backoff_max: 0.002}"
    file.write_text(
        "telemetry:\n"
        f"  endpoint: {collector.url}\n"
        "  service_name: gateway-of-the-test\n"
        f"  headers: {{Authorization: 'Bearer {SECRET}'}}\n"
        "registries:\n"
        f"  left: {{kind: memory, space: 'left of {tmp_path}', {calls}}}\n"
        f"  right: {{kind: memory, space: 'right of {tmp_path}', {calls}}}\n"
    )
    return file


@pytest.fixture
def vendor(tmp_path: Path) -> Iterator[Vendor]:
    """The service behind `left`."""
    yield open_space(f"left of {tmp_path}")
    for name in ("left", "right"):
        drop_space(f"{name} of {tmp_path}")


@asynccontextmanager
async def serve(config: Path) -> AsyncIterator[TestClient[Any, Any]]:
    """The API as `fedreg serve` makes it. All spans are sent when the block has ended."""
    settings = load_settings(config, {})
    async with open_tracing(settings) as tracing, open_gateway(settings, tracing=tracing) as gateway:
        app = create_app(gateway, settings, around=tracing.middlewares())
        async with TestClient(TestServer(app), cookie_jar=aiohttp.DummyCookieJar()) as client:
            yield client
