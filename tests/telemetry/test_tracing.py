"""Spans of requests, operations and vendor requests, in one trace; and nothing at all where it isn't configured."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import fedreg
from fedreg import aio
from fedreg.domain.errors import ConfigError, NotFound
from fedreg.settings import load_settings
from fedreg_adapters.memory.standin import Vendor
from fedreg_adapters.memory.standin_faults import Mishap, VendorError

from .conftest import SECRET, Collector, serve

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
INCOMING = {"traceparent": f"00-{TRACE}-{CALLER}-01", "X-Request-Id": "request-of-the-test"}
QUIET = """
import asyncio, sys
from fedreg.bootstrap import open_gateway
from fedreg.settings import load_settings
async def main():
    async with open_gateway(load_settings(sys.argv[1], {})) as gateway:
        await gateway.launched_engine()
        await gateway.registries.get("left")
    import fedreg.api.app
asyncio.run(main())
print([name for name in sys.modules if name.startswith(("opentelemetry", "fedreg.telemetry."))])
"""


async def test_a_request_is_a_span_of_the_callers_trace(config: Path, collector: Collector, vendor: Vendor) -> None:
    async with serve(config) as client:
        async with client.get(f"/v1/registries/left/models/gone?from=live&x={SECRET}", headers=INCOMING) as response:
            assert response.status == 400
        async with client.get("/v1/registries/left/models/gone", headers=INCOMING) as response:
            assert response.status == 404
    asked, refused = [span for span in collector.spans if span.name == "GET /v1/registries/{registry}/models/{model}"]
    if asked.attributes["http.response.status_code"] == 400:
        asked, refused = refused, asked
    assert (asked.trace, asked.parent, asked.failed) == (TRACE, CALLER, False)
    assert asked.attributes == {
        "http.request.method": "GET",
        "http.route": "/v1/registries/{registry}/models/{model}",
        "http.response.status_code": 404,
        "url.scheme": "http",
        "url.path": "/v1/registries/left/models/gone",
        "network.protocol.version": "1.1",
        "fedreg.request_id": "request-of-the-test",
    }
    call = collector.named("memory get_model")
    assert (call.trace, call.parent, call.failed) == (TRACE, asked.id, False)
    assert call.attributes == {
        "fedreg.registry": "left",
        "fedreg.kind": "memory",
        "fedreg.operation": "get_model",
        "fedreg.attempt": 1,
        "fedreg.outcome": "not_found",
    }


async def test_an_operation_is_in_the_trace_of_the_request_that_asked_for_it(
    config: Path, collector: Collector, vendor: Vendor
) -> None:
    await vendor.call("shelf.create", name="churn", title="churn", notes=None, labels={})
    async with serve(config) as client:
        body = {"source": "left:churn@version:1", "target": "right:churn"}
        async with client.put(
            "/v1/registries/left/models/churn/aliases/best", json={"version": "1"}, headers=INCOMING
        ) as response:
            assert response.status == 404
        async with client.patch(
            "/v1/registries/left/models/churn", json={"description": "new"}, headers=INCOMING
        ) as response:
            assert response.status == 200
        async with client.post("/v1/copies", json=body, headers=INCOMING) as response:
            assert response.status == 404
    request = collector.named("PATCH /v1/registries/{registry}/models/{model}")
    change = collector.named("change")
    assert (change.trace, change.parent, change.failed) == (TRACE, request.id, False)
    assert change.attributes["fedreg.operation.id"].startswith("change-")
    assert change.attributes["fedreg.outcome"] == "ok"
    written = collector.named("memory update_model")
    assert (written.trace, written.parent) == (TRACE, change.id)


async def test_every_attempt_is_a_span_with_its_number(config: Path, collector: Collector, vendor: Vendor) -> None:
    busy = VendorError("busy", f"token {SECRET}")
    vendor.mishaps.planned.append(Mishap("refuse", "shelf.get", times=2, error=busy))
    async with aio.open(config) as fed:
        for _ in range(2):
            with pytest.raises(NotFound):
                await fed.show("left:gone")
    calls = [span for span in collector.spans if span.name == "memory get_model"]
    told = [(call.attributes["fedreg.attempt"], call.attributes["fedreg.outcome"], call.failed) for call in calls]
    assert told == [
        (1, "rate_limited", True),
        (2, "rate_limited", True),
        (3, "not_found", False),
        (1, "not_found", False),
    ]


async def test_promotions_and_failures(config: Path, collector: Collector, vendor: Vendor) -> None:
    await vendor.call("shelf.create", name="churn", title="churn", notes=None, labels={})
    vendor.uploads["u"] = {"model.pkl": b"x"}
    await vendor.call("release.publish", name="churn", upload="u", token="t", fields={})
    async with aio.open(config) as fed:
        await fed.promote("left:churn@version:1", "production")
        refused = VendorError("not-allowed", SECRET)
        vendor.mishaps.planned.append(Mishap("refuse", "pointer.set", times=0, error=refused))
        with pytest.raises(fedreg.FedregError):
            await fed.set_alias("left:churn@version:1", "best")
        await fed.copy("left:churn@version:1", "right:churn")
    assert collector.named("promotion").attributes["fedreg.outcome"] == "ok"
    failed = collector.named("change")
    assert failed.failed and failed.attributes["error.type"] == "registry_auth_error"
    copied = collector.named("copy")
    assert copied.attributes["fedreg.operation.kind"] == "copy" and not copied.failed
    into = {span.attributes["fedreg.registry"] for span in collector.spans if span.parent == copied.id}
    assert into == {"left", "right"}


async def test_what_the_collector_gets(config: Path, collector: Collector, vendor: Vendor) -> None:
    async with aio.open(config) as fed:
        await fed.registries()
    path, headers = collector.requests[0]
    assert path == "/v1/traces" and headers["authorization"] == f"Bearer {SECRET}"
    assert collector.resource["service.name"] == "gateway-of-the-test"
    assert collector.resource["service.version"] == fedreg.__version__
    assert all(SECRET.encode() not in body for body in collector.bodies)
    settings = load_settings(config, {})
    assert SECRET not in repr(settings) and SECRET not in str(settings.redacted())


async def test_no_collector_costs_spans_only(config: Path, collector: Collector, vendor: Vendor) -> None:
    config.write_text(
        config.read_text()
        .replace(collector.url, "http://127.0.0.1:9, timeout: 0.5")
        .replace("  endpoint: http://127.0.0.1:9, timeout: 0.5", "  endpoint: http://127.0.0.1:9\n  timeout: 0.5")
    )
    async with serve(config) as client, client.get("/v1/registries") as response:
        assert response.status == 200
    assert collector.bodies == []


def test_nothing_is_loaded_unless_configured(tmp_path: Path) -> None:
    config = tmp_path / "fedreg.yaml"
    config.write_text(f"registries:\n  left: {{kind: memory, space: 'left of {tmp_path}'}}\n")
    done = subprocess.run(
        [sys.executable, "-c", QUIET, str(config)], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "['fedreg.telemetry.tracing']\n"


async def test_the_extra_is_not_installed(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "fedreg.telemetry.exporting", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(ConfigError) as caught:
        async with aio.open(config):
            pass
    assert "telemetry" in caught.value.message and "pip install 'fedreg[telemetry]'" in str(caught.value.cure)


@pytest.mark.parametrize(
    ("section", "named"),
    [
        ("{endpoint: collector}", "endpoint 'collector'"),
        ("{endpoint: 'http://me:hunter2-of-the-test@collector:4318'}", "endpoint has credentials"),
        ("{endpoint: 'http://collector:4318', sample_ratio: 2}", "sample_ratio 2"),
        ("{endpoint: 'http://collector:4318', timeout: 0}", "timeout 0"),
        ("{service_name: me}", "'endpoint' is missing"),
    ],
)
def test_mistakes(config: Path, section: str, named: str) -> None:
    rest = config.read_text().partition("registries:")[2]
    config.write_text(f"telemetry: {section}\nregistries:{rest}")
    with pytest.raises(ConfigError) as caught:
        load_settings(config, {})
    assert named in caught.value.message and caught.value.cure and SECRET not in str(caught.value)
