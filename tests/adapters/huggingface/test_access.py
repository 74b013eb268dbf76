"""Addresses, credentials, rate limits, doctor, and what an error never says."""

from __future__ import annotations

import json
import threading
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from yarl import URL

from fedreg.domain.errors import ConfigError, FedregError, NotFound, RateLimited, RegistryAuthError, RegistryUnavailable
from fedreg.domain.models import Severity
from fedreg.domain.stages import Holder, StageOptions
from fedreg.testing import steps
from fedreg.testing.backend import Fault, FaultKind, Match
from fedreg_adapters.huggingface.adapter import HuggingFaceAdapter
from fedreg_adapters.huggingface.errors import from_answer
from fedreg_adapters.huggingface.manifest import HuggingFaceOptions, narrow

from .backend import NAMESPACE, READER, REPO, STRANGER, TOKEN, HubBackend

ANY = Match(path="^/")


def error_of(status: int, about_repo: bool = True, **headers: str) -> FedregError:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return from_answer(status, given, "", "hf", "get_model", about_repo=about_repo)


@pytest.mark.parametrize("code", ["RepoNotFound", "RevisionNotFound", "EntryNotFound"])
def test_codes_of_what_is_missing(code: str) -> None:
    error = error_of(404, X_Error_Code=code)
    assert isinstance(error, NotFound) and error.upstream_code == code


def test_a_401_on_a_repository_means_that_it_is_missing() -> None:
    assert isinstance(error_of(401), NotFound)
    assert isinstance(error_of(401, about_repo=False), RegistryAuthError)
    assert isinstance(error_of(401, X_Error_Message="Invalid credentials in Authorization header"), RegistryAuthError)


def test_rate_limits() -> None:
    used_up = error_of(429, RateLimit='"api";r=0;t=55', Retry_After="3")
    assert isinstance(used_up, RateLimited) and used_up.retry_after == 55.0
    assert error_of(429, RateLimit='"resolvers";r=7;t=55', Retry_After="3").retry_after == 3.0, "not why"
    assert error_of(429).retry_after is None


async def test_no_token_in_an_error(adapter: HuggingFaceAdapter, backend: HubBackend) -> None:
    reply = f"no: {TOKEN}"
    backend.proxy.inject(
        Fault(kind=FaultKind.STATUS, match=ANY, times=0, status=400, headers={"X-Error-Message": reply}, body=reply)
    )
    with pytest.raises(FedregError) as caught:
        await adapter.get_model("m")
    assert TOKEN not in f"{caught.value!r} {caught.value.to_dict()}" and "hf_***" in caught.value.message
    assert TOKEN not in repr(backend.options())


async def test_the_sdk_does_not_retry_by_itself(backend: HubBackend) -> None:
    """Its http_backoff would sleep out a rate limit in a thread; `Calls` decides here."""
    adapter = await backend.open_adapter()
    refs = Match(path=rf"{REPO}/refs$")
    headers = {"RateLimit": '"api";r=0;t=300'}
    try:
        version = await steps.new_version(adapter, backend)
        backend.proxy.inject(Fault(kind=FaultKind.STATUS, match=refs, times=0, status=429, headers=headers))
        with pytest.raises(RateLimited) as caught:
            await adapter.get_version(version.model, version.version)
        assert caught.value.retry_after == 300.0
    finally:
        await adapter.aclose()


async def test_no_ambient_token(backend: HubBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in HF_TOKEN belongs to huggingface.co, and would go to any configured endpoint."""
    monkeypatch.setenv("HF_TOKEN", "hf_somebodys")
    adapter = await backend.open_adapter(token=None)
    try:
        assert await steps.all_models(adapter) == []
    finally:
        await adapter.aclose()


async def test_nobody_at_the_address(backend: HubBackend) -> None:
    adapter = await backend.open_adapter(endpoint="http://127.0.0.1:9")
    try:
        with pytest.raises(RegistryUnavailable):
            await adapter.ping()
        findings = await adapter.diagnose()
        assert {finding.severity for finding in findings if finding.check in ("address", "credentials")} == {
            Severity.ERROR
        }
    finally:
        await adapter.aclose()


async def test_an_endpoint_below_a_path(backend: HubBackend) -> None:
    """A mirror has the Hub below a path of its own, and the Hub behind it does not know that."""
    asked = []

    async def forward(request: web.Request) -> web.Response:
        path = request.raw_path
        asked.append(path)
        place = URL(backend.url + path.removeprefix("/mirror"), encoded=True)
        headers = {name: value for name, value in request.headers.items() if name != "Transfer-Encoding"}
        async with (
            aiohttp.ClientSession(auto_decompress=False) as session,
            session.request(
                request.method, place, data=await request.read(), headers=headers, allow_redirects=False
            ) as answer,
        ):
            kept = {name: value for name, value in answer.headers.items() if name not in ("Content-Length", "Date")}
            return web.Response(status=answer.status, body=await answer.read(), headers=kept)

    app = web.Application()
    app.router.add_route("*", "/{any:.*}", forward)
    async with TestServer(app, host="127.0.0.1") as server:
        adapter = await backend.open_adapter(endpoint=str(server.make_url("/mirror/")))
        try:
            version = await steps.new_version(adapter, backend)
            assert await steps.read_all(adapter, version) == dict(steps.FILES)
        finally:
            await adapter.aclose()
    outside = {path.split("/")[1] for path in asked if not path.startswith("/mirror/")}
    assert outside == {"lfs", "cdn"}, "only the storage is elsewhere"


async def test_a_hung_request_leaves_its_thread(backend: HubBackend) -> None:
    """The SDK's time limit is the options', so that no thread waits for ever."""
    adapter = await backend.open_adapter(timeout=0.3, max_threads=1)
    refs = Match(path=rf"{REPO}/refs$")
    try:
        version = await steps.new_version(adapter, backend)
        backend.proxy.inject(Fault(kind=FaultKind.SLOW, match=refs, delay=5.0))
        assert (await adapter.get_version(version.model, version.version)) == version
        names = {thread.name for thread in threading.enumerate() if thread.name.startswith("huggingface-")}
        assert len(names) <= 2
    finally:
        backend.proxy.clear()
        await adapter.aclose()


@pytest.mark.parametrize(
    "changes",
    [
        {"namespace": "a/b"},
        {"namespace": ""},
        {"stages": StageOptions(held_by=Holder.ALIAS)},
        {"stages": StageOptions(map={"archived": "old"})},
        {"stages": StageOptions(map={"production": "main"})},
        {"stages": StageOptions(map={"production": "fedreg-x"})},
    ],
    ids=repr,
)
def test_options_that_can_not_be_meant(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        narrow(HuggingFaceOptions(**{"namespace": "acme", **changes}))
    assert caught.value.cure


@pytest.mark.parametrize("endpoint", ["huggingface.co", "ftp://hub", "https://user:pass@hub"])
async def test_bad_endpoints(backend: HubBackend, endpoint: str) -> None:
    with pytest.raises(ConfigError, match="endpoint"):
        await backend.open_adapter(endpoint=endpoint)


async def findings_of(backend: HubBackend, **options: Any) -> dict[str, Any]:
    adapter = await backend.open_adapter(**options)
    try:
        return {finding.check: finding for finding in await adapter.diagnose()}
    finally:
        await adapter.aclose()


async def test_doctor_names_the_permission(backend: HubBackend) -> None:
    permission = f"permission repo.write in {NAMESPACE}"
    well = await findings_of(backend)
    assert {finding.severity for finding in well.values()} == {Severity.OK}
    reading = (await findings_of(backend, token=READER))[permission]
    assert reading.severity is Severity.WARNING and "Write access to contents/settings" in (reading.cure or "")
    foreign = (await findings_of(backend, token=STRANGER))[permission]
    assert foreign.severity is Severity.WARNING and "eve" in (foreign.cure or "")
    wrong = (await findings_of(backend, token="hf_wrong"))["credentials"]
    assert wrong.severity is Severity.ERROR and "token" in (wrong.cure or "")
    none = await findings_of(backend, token=None, webhook_secret=None)
    assert [none[check].severity for check in ("credentials", "webhook_secret")] == [Severity.WARNING] * 2


@pytest.mark.parametrize(("permissions", "severity"), [(["repo.write"], Severity.OK), ([], Severity.WARNING)])
async def test_doctor_reads_fine_grained_tokens(
    backend: HubBackend, permissions: list[str], severity: Severity
) -> None:
    scoped = [{"entity": {"type": "org", "name": NAMESPACE}, "permissions": permissions}]
    token = {"role": "fineGrained", "fineGrained": {"scoped": scoped, "global": []}}
    who = {"name": "ann", "orgs": [{"name": NAMESPACE}], "auth": {"accessToken": token}}
    fault = Fault(
        kind=FaultKind.STATUS, match=Match(path="whoami"), times=0, status=200, headers={}, body=json.dumps(who)
    )
    backend.proxy.inject(fault)
    assert (await findings_of(backend))[f"permission repo.write in {NAMESPACE}"].severity is severity


async def test_a_reader_may_not_write(backend: HubBackend) -> None:
    adapter = await backend.open_adapter(token=READER)
    try:
        with pytest.raises(RegistryAuthError) as caught:
            await steps.new_model(adapter, backend)
        assert "write" in (caught.value.cure or "")
    finally:
        await adapter.aclose()


async def test_doctor_tries_a_gate(backend: HubBackend) -> None:
    """Of somebody else's namespace: whoever is in it is let in."""
    adapter = await backend.open_adapter()
    version = await steps.new_version(adapter, backend)
    await adapter.aclose()
    repo = backend.repo(version.model)
    repo.private, repo.gated = False, "manual"
    outside = (await findings_of(backend, token=STRANGER))["gated repositories"]
    assert outside.severity is Severity.WARNING and "ask for access on the repository's page" in (outside.cure or "")
    inside = (await findings_of(backend))["gated repositories"]
    assert (inside.severity, inside.message) == (Severity.OK, f"{repo.id} lets us in")


async def test_doctor_of_an_odd_answer(backend: HubBackend) -> None:
    who = Fault(kind=FaultKind.STATUS, match=Match(path="whoami"), times=0, status=200, body='{"name": 7, "orgs": 7}')
    backend.proxy.inject(who)
    assert (await findings_of(backend))["credentials"].severity is Severity.ERROR


async def test_nobody_else_is_asked_anything(backend: HubBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK would ask huggingface.co which programs to report, whatever the endpoint."""
    asked: list[str] = []
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY", False)
    monkeypatch.setattr("huggingface_hub.utils._detect_agent._registry", None)
    monkeypatch.setattr("huggingface_hub.utils._detect_agent._fetch_registry", lambda: asked.append("list"))
    adapter = await backend.open_adapter()
    await adapter.ping()
    await adapter.aclose()
    assert asked == []
