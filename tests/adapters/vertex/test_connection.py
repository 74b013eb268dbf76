"""Credentials, channels, and what answers that is no Vertex AI."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import google.auth.exceptions
import google.oauth2.credentials
import grpc
import pytest
import trustme
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import impersonated_credentials
from google.oauth2 import service_account

from fedreg.domain.errors import ConfigError, Outcome, RegistryAuthError, RegistryError, RegistryUnavailable
from fedreg.domain.models import Severity
from fedreg.domain.stages import Holder, StageOptions
from fedreg.testing.backend import Fault, FaultKind, Match
from fedreg_adapters.vertex import client as client_module
from fedreg_adapters.vertex.adapter import VertexAdapter
from fedreg_adapters.vertex.client import load_credentials
from fedreg_adapters.vertex.manifest import CAPABILITIES, VertexOptions, narrow

from .backend import VertexBackend
from .grpc_faults import GrpcFaults

EMAIL = "fedreg@acme.iam.gserviceaccount.com"


@pytest.fixture(scope="module")
def key() -> str:
    """A service account's key, of nobody."""
    made = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    info = {"type": "service_account", "client_email": EMAIL, "private_key": made.decode(), "project_id": "acme"}
    return json.dumps(info | {"private_key_id": "k", "token_uri": "http://127.0.0.1:9/token"})


def options(**given: Any) -> VertexOptions:
    return VertexOptions(project="acme", location="europe-west4", **given)


def test_credentials_of_a_key(key: str, tmp_path: Path) -> None:
    (tmp_path / "key.json").write_text(key)
    for given in ({"credentials_json": key}, {"credentials_file": str(tmp_path / "key.json")}):
        found = load_credentials(options(**given))
        assert isinstance(found, service_account.Credentials)
        assert found.service_account_email == EMAIL
    assert "PRIVATE KEY" not in repr(options(credentials_json=key))


def test_application_default_credentials(key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key.json").write_text(key)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
    assert load_credentials(options()).service_account_email == EMAIL


def test_impersonation(key: str) -> None:
    found = load_credentials(options(credentials_json=key, impersonate="other@acme.iam.gserviceaccount.com"))
    assert isinstance(found, impersonated_credentials.Credentials)
    assert found.service_account_email == "other@acme.iam.gserviceaccount.com"


async def test_no_credentials_at_all(tmp_path: Path, backend: VertexBackend) -> None:
    adapter = await backend.open_adapter(insecure=False, credentials_file=str(tmp_path / "absent.json"))
    with pytest.raises(ConfigError, match="can't be read"):
        await adapter.ping()
    findings = await adapter.diagnose()
    assert findings[0].severity is Severity.ERROR and "credentials_file" in findings[0].message
    await adapter.aclose()


async def test_no_application_default_credentials(backend: VertexBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    def default(scopes: list[str]) -> None:
        raise google.auth.exceptions.DefaultCredentialsError("none at all")

    monkeypatch.setattr(google.auth, "default", default)
    adapter = await backend.open_adapter(insecure=False)
    with pytest.raises(RegistryAuthError, match="Google credentials") as caught:
        await adapter.ping()
    assert caught.value.outcome is Outcome.NOT_APPLIED and "gcloud" in str(caught.value.cure)
    await adapter.aclose()


@pytest.mark.parametrize("text", ["{", "[]", '{"type": "authorized_user"}'])
def test_credentials_that_are_none(text: str) -> None:
    with pytest.raises(ConfigError, match="credentials"):
        load_credentials(options(credentials_json=text))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[trustme.CA]:
    """A certificate authority that gRPC trusts. It reads its roots once in a process: one for all tests."""
    made = trustme.CA()
    path = tmp_path_factory.mktemp("tls") / "ca.pem"
    made.cert_pem.write_to_path(str(path))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", str(path))
        yield made


@asynccontextmanager
async def over_tls(backend: VertexBackend, authority: trustme.CA) -> AsyncIterator[tuple[GrpcFaults, str]]:
    """The stand-in behind TLS: what it was sent, and where it is."""
    issued = authority.issue_cert("localhost")
    chain = b"".join(part.bytes() for part in issued.cert_chain_pems)
    server = grpc.aio.server()
    proxy = GrpcFaults(backend.standin.address)
    await proxy.start()
    server.add_generic_rpc_handlers((proxy,))
    secure = grpc.ssl_server_credentials([(issued.private_key_pem.bytes(), chain)])
    port = server.add_secure_port("localhost:0", secure)
    await server.start()
    yield proxy, f"localhost:{port}"
    await server.stop(None)
    await proxy.aclose()


async def test_a_token_travels_over_tls(
    backend: VertexBackend, monkeypatch: pytest.MonkeyPatch, authority: trustme.CA
) -> None:
    monkeypatch.setattr(
        client_module, "load_credentials", lambda _: google.oauth2.credentials.Credentials("s3cr3t-token")
    )
    async with over_tls(backend, authority) as (proxy, endpoint):
        adapter = await backend.open_adapter(insecure=False, endpoint=endpoint)
        await adapter.ping()
        [(path, metadata)] = proxy.metadata
        assert path.endswith("ModelService/ListModels")
        assert metadata["authorization"] == "Bearer s3cr3t-token"
        assert metadata["x-goog-request-params"] == "parent=projects/acme/locations/europe-west4"
        assert adapter._client._provide_token()["token"] == "s3cr3t-token"
        await adapter.aclose()


async def test_a_token_that_ends_in_the_middle_is_renewed(
    key: str, backend: VertexBackend, authority: trustme.CA
) -> None:
    """A service account's tokens come from its token endpoint; each is near its end when it comes."""
    issued: list[str] = []

    async def issue(request: web.Request) -> web.Response:
        assert (await request.post())["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
        issued.append(f"token-{len(issued) + 1}")
        return web.json_response({"access_token": issued[-1], "expires_in": 60, "token_type": "Bearer"})

    tokens = web.Application()
    tokens.router.add_post("/token", issue)
    runner = web.AppRunner(tokens, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    info = json.loads(key) | {"token_uri": f"http://127.0.0.1:{runner.addresses[0][1]}/token"}
    async with over_tls(backend, authority) as (proxy, endpoint):
        adapter = await backend.open_adapter(insecure=False, endpoint=endpoint, credentials_json=json.dumps(info))
        for _ in range(3):
            await adapter.ping()
        assert (await asyncio.to_thread(adapter._client._provide_token))["token"] == "token-4"
        await adapter.aclose()
        assert [metadata["authorization"] for _, metadata in proxy.metadata] == [f"Bearer token-{n}" for n in (1, 2, 3)]
    await runner.cleanup()


async def test_nothing_listens(backend: VertexBackend) -> None:
    adapter = await backend.open_adapter(endpoint="127.0.0.1:9")
    with pytest.raises(RegistryUnavailable) as caught:
        await adapter.ping()
    assert caught.value.outcome is Outcome.NOT_APPLIED
    await adapter.aclose()


async def test_a_web_server_answers(backend: VertexBackend) -> None:
    runner = web.AppRunner(web.Application(), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    adapter = await backend.open_adapter(endpoint=f"127.0.0.1:{runner.addresses[0][1]}")
    with pytest.raises((RegistryError, RegistryUnavailable)) as caught:
        await adapter.ping()
    assert caught.value.cure
    await adapter.aclose()
    await runner.cleanup()


async def test_doctor_names_the_permission(backend: VertexBackend, adapter: VertexAdapter) -> None:
    match = Match(path="ModelService/ListModels$")
    backend.faults.inject(Fault(kind=FaultKind.STATUS, status=403, match=match, times=0))
    finding = (await adapter.diagnose())[0]
    assert finding.severity is Severity.ERROR
    assert "aiplatform.models.list" in str(finding.cure)


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"artifact_root": "s3://models/x"}, "not in GCS"),
        ({"insecure": True}, "without endpoint"),
        ({"credentials_file": "a", "credentials_json": "{}"}, "both set"),
        ({"stages": StageOptions(map={"production": "Live!"})}, "no label's value"),
        ({"stages": StageOptions(held_by=Holder.ALIAS)}, "held_by"),
    ],
)
def test_options_that_can_not_be_used(given: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        narrow(options(**given))


def test_without_a_root_nothing_is_uploaded() -> None:
    said = narrow(options())
    assert said.upload is None and CAPABILITIES.upload is not None


async def test_the_high_level_package_is_never_imported(backend: VertexBackend) -> None:
    """Its import costs twice the time and memory; and nothing of Google is imported before the first request."""
    program = (
        "import asyncio, sys\n"
        "from fedreg_adapters.vertex.adapter import VertexAdapter\n"
        "assert not [m for m in sys.modules if m.startswith(('google.cloud.', 'google.auth', 'grpc'))]\n"
        "from fedreg.registries.calls import GuardedCalls\n"
        "from fedreg.registries.policy import CallPolicy\n"
        "from fedreg_adapters.vertex.manifest import VertexOptions\n"
        f"options = VertexOptions(project='acme', location='l', endpoint={backend.standin.address!r}, insecure=True)\n"
        "async def main():\n"
        "    adapter = VertexAdapter('vx', options, GuardedCalls('vx', CallPolicy()))\n"
        "    await adapter.ping()\n"
        "    await adapter.aclose()\n"
        "asyncio.run(main())\n"
        "assert 'google.cloud.aiplatform_v1' in sys.modules and 'google.cloud.aiplatform' not in sys.modules\n"
    )
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
