"""Credentials, TLS, and what is said when they are wrong."""

from __future__ import annotations

import base64
import ssl
from pathlib import Path

import pytest
import trustme
from mlflow import MlflowClient

from fedreg.domain.errors import ConfigError, RegistryAuthError, RegistryError, RegistryUnavailable
from fedreg.domain.models import Severity
from fedreg.testing.backend import Fault, FaultKind, Match
from fedreg.testing.faults import FaultProxy
from fedreg_adapters.mlflow.manifest import MlflowOptions

from .conftest import Opener
from .fakes import guarded
from .server import MlflowServer
from .steps import read_all, upload

BASIC = "Basic " + base64.b64encode("ann:pä:ss".encode()).decode()


@pytest.mark.parametrize(
    ("header", "options"),
    [
        ("Bearer t0ken", {"token": "t0ken"}),
        (BASIC, {"username": "ann", "password": "pä:ss"}),
    ],
)
async def test_credentials(connect: Opener, server: MlflowServer, header: str, options: dict[str, str]) -> None:
    async with guarded(server.url, lambda request: request.headers.get("Authorization") == header) as url:
        adapter = connect(url=url, **options)
        await adapter.ping()
        version = await upload(adapter)
        assert await read_all(adapter, version)
        with pytest.raises(RegistryAuthError, match="who are you"):
            await connect(url=url).ping()
        findings = await connect(url=url).diagnose()
        assert [found.severity for found in findings] == [Severity.ERROR]
        assert findings[0].cure


async def test_credentials_in_the_url(connect: Opener, server: MlflowServer) -> None:
    async with guarded(server.url, lambda request: request.headers.get("Authorization") == BASIC) as url:
        adapter = connect(url=url.replace("://", "://ann:p%C3%A4%3Ass@"))
        await adapter.ping()
        assert all("p%C3%A4" not in found.message and "pä" not in found.message for found in await adapter.diagnose())


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


def server_side(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


async def test_client_certificate(connect: Opener, server: MlflowServer, authority: trustme.CA, tmp_path: Path) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    issued = authority.issue_cert("gateway@example.com")
    issued.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    issued.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    trust = {"ca_bundle": str(tmp_path / "ca.pem")}
    ours = {**trust, "client_cert": str(tmp_path / "cert.pem"), "client_key": str(tmp_path / "key.pem")}

    def known(request: object) -> bool:
        return bool(request.transport.get_extra_info("ssl_object").getpeercert())  # type: ignore[attr-defined]

    async with guarded(server.url, known, server_side(authority)) as url:
        await connect(url=url, **ours).ping()
        with pytest.raises(RegistryAuthError):
            await connect(url=url, **trust).ping()
        with pytest.raises(RegistryError, match="certificate"):
            await connect(url=url).ping()
        with pytest.raises(RegistryAuthError):
            await connect(url=url, verify=False).ping()


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"token": "a", "username": "b"}, "token"),
        ({"artifact_access": "teleport"}, "teleport"),
    ],
)
def test_options_that_contradict_each_other(options: dict[str, str], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        MlflowOptions(url="http://127.0.0.1", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("url", ["127.0.0.1:5000", "ftp://host", "http://"])
def test_url_that_is_none(connect: Opener, url: str) -> None:
    with pytest.raises(ConfigError, match="url"):
        connect(url=url)


async def test_unreadable_certificate(connect: Opener, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="ca_bundle"):
        await connect(url="https://127.0.0.1:1", ca_bundle=str(tmp_path / "absent.pem")).ping()


async def test_nobody_there(connect: Opener) -> None:
    adapter = connect(url="http://127.0.0.1:1")
    await adapter.open()
    with pytest.raises(RegistryUnavailable) as caught:
        await adapter.ping()
    assert caught.value.outcome.value == "not_applied"
    [finding] = await adapter.diagnose()
    assert finding.severity is Severity.ERROR


async def test_a_deleted_experiment_is_a_finding(connect: Opener, server: MlflowServer) -> None:
    adapter = connect(url=server.url, experiment="in-the-bin")
    assert {finding.severity for finding in await adapter.diagnose()} == {Severity.OK}
    client = MlflowClient(server.url)
    client.delete_experiment(client.create_experiment("in-the-bin"))
    [broken] = [finding for finding in await adapter.diagnose() if finding.severity is not Severity.OK]
    assert (broken.check, broken.severity) == ("experiment", Severity.ERROR)
    assert "in-the-bin" in broken.message and broken.cure is not None and "restore" in broken.cure


def test_no_secret_in_a_repr() -> None:
    options = MlflowOptions(
        url="http://x", password="p4ss", username="u", webhook_secret="h00k", store_account_key="k3y"
    )
    assert not any(secret in repr(options) for secret in ("p4ss", "h00k", "k3y"))


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("registered-models/search", 403, "READ on the registered models, and EDIT or MANAGE"),
        ("model-versions/search", 403, "READ on the registered models"),
        ("experiments/get-by-name", 403, "EDIT on experiment 'fedreg'"),
        ("mlflow-artifacts/artifacts", 403, "READ on the runs' experiments"),
        ("registered-models/search", 401, "renew token"),
        ("server-info", 401, "renew token"),
        ("server-info", 404, "check that url is the server's"),
    ],
)
async def test_doctor_names_the_permission(
    connect: Opener, server: MlflowServer, path: str, status: int, said: str
) -> None:
    code = {401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "ENDPOINT_NOT_FOUND"}[status]
    body = f'{{"error_code": "{code}", "message": "Permission denied"}}'
    async with FaultProxy(server.url) as proxy:
        fault = Fault(kind=FaultKind.STATUS, match=Match(path=path), times=0, status=status, body=body)
        proxy.inject(fault)
        [finding] = [found for found in await connect(url=proxy.url).diagnose() if found.severity is not Severity.OK]
    assert said in (finding.cure or "")
