"""Connection: credentials, roles, scans over many pages, doctor, closing."""

from __future__ import annotations

import asyncio

import pytest

from fedreg.domain.errors import ConfigError, FedregError, InvalidRequest, RegistryAuthError
from fedreg.domain.models import Severity
from fedreg.testing import steps
from fedreg_adapters.sagemaker.adapter import SageMakerAdapter
from fedreg_adapters.sagemaker.manifest import InferenceOptions

from .backend import ACCESS_KEY, SECRET_KEY, SageMakerBackend
from .fixtures import Start
from .fixtures import adapter as adapter
from .fixtures import backend as backend
from .fixtures import s3 as s3
from .fixtures import start as start

ROLE = "arn:aws:iam::123456789012:role/fedreg"


async def test_a_role_is_assumed_once(start: Start) -> None:
    backend = await start(require_known_credentials={ACCESS_KEY: SECRET_KEY})
    adapter = await backend.open_adapter(role_arn=ROLE, external_id="from-fedreg")
    try:
        version = await steps.new_version(adapter, backend)
        assert await steps.read_all(adapter, version) == dict(steps.FILES)
        calls = (await backend.control("state"))["calls"]
        assert calls["AssumeRole"] == 1, "registry and S3 share the role's credentials"
        [identity] = [finding for finding in await adapter.diagnose() if finding.check == "credentials"]
        assert "assumed-role/fedreg/fedreg" in identity.message
    finally:
        await adapter.aclose()


async def test_a_role_that_ends_in_the_middle_is_assumed_again(start: Start) -> None:
    """Every session of the time of an upload's bytes has ended when it is registered."""
    backend = await start(require_known_credentials={ACCESS_KEY: SECRET_KEY})
    adapter = await backend.open_adapter(role_arn=ROLE)
    try:
        await backend.control("clock", {"advance": -3600 + 660})  # credentials of an hour have eleven minutes left
        state = await steps.uploaded(adapter, backend, await steps.new_model(adapter, backend))
        first = (await backend.control("state"))["calls"]["AssumeRole"]
        await backend.control("clock", {"advance": 3600})
        version = await steps.finish(adapter, state)
        assert await steps.read_all(adapter, version) == dict(steps.FILES)
        assert (await backend.control("state"))["calls"]["AssumeRole"] > first
    finally:
        await adapter.aclose()


async def test_wrong_credentials_are_told_without_quoting_them(start: Start) -> None:
    backend = await start(require_known_credentials={ACCESS_KEY: "another secret"})
    adapter = await backend.open_adapter()
    try:
        with pytest.raises(RegistryAuthError) as caught:
            await adapter.ping()
        assert SECRET_KEY not in str(caught.value.to_dict())
        findings = {finding.check: finding for finding in await adapter.diagnose()}
        assert findings["credentials"].cure
        assert any(finding.severity is Severity.ERROR for finding in findings.values())
    finally:
        await adapter.aclose()


async def test_no_credentials_at_all(backend: SageMakerBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "absent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "absent")
    adapter = await backend.open_adapter(access_key_id=None, secret_access_key=None)
    try:
        with pytest.raises(RegistryAuthError):
            await adapter.ping()
        findings = await adapter.diagnose()
        assert next(f for f in findings if f.check == "artifact_root").severity is Severity.ERROR
    finally:
        await adapter.aclose()


async def test_a_profile_that_is_not_there(backend: SageMakerBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", "absent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "absent")
    adapter = await backend.open_adapter(access_key_id=None, secret_access_key=None, profile="nobody")
    try:
        with pytest.raises(FedregError, match="nobody"):
            await adapter.ping()
    finally:
        await adapter.aclose()


async def test_doctor_names_what_is_missing(backend: SageMakerBackend) -> None:
    adapter = await backend.open_adapter(artifact_root="s3://no-such-bucket/x", inference=InferenceOptions())
    try:
        findings = {finding.check: finding for finding in await adapter.diagnose()}
        assert findings["artifact_root"].severity is Severity.ERROR
        assert "bucket" in (findings["artifact_root"].cure or "")
        assert findings["inference image"].severity is Severity.WARNING
    finally:
        await adapter.aclose()


async def test_an_endpoint_that_refuses(backend: SageMakerBackend) -> None:
    adapter = await backend.open_adapter(endpoint_url="http://127.0.0.1:9", sts_endpoint_url="http://127.0.0.1:9")
    try:
        findings = await adapter.diagnose()
        assert findings[0].severity is Severity.ERROR
        assert "endpoint_url" in (findings[0].cure or "")
    finally:
        await adapter.aclose()


@pytest.mark.parametrize(
    "changes", [{"artifact_root": "ftp://x/y"}, {"artifact_root": "gs://x/y"}, {"packaging": "zip"}]
)
async def test_options_that_can_not_be_used(backend: SageMakerBackend, changes: dict[str, str]) -> None:
    with pytest.raises(ConfigError):
        await backend.open_adapter(**changes)


async def test_scan_goes_over_pages_and_resumes_anywhere(adapter: SageMakerAdapter, backend: SageMakerBackend) -> None:
    groups = [f"group-{number:03d}" for number in range(103)]
    for name in groups:
        await backend.sagemaker("create_model_package_group", ModelPackageGroupName=name)
    uri = "s3://elsewhere/m.tar.gz"
    await asyncio.gather(*(backend.register("group-050", {"ModelDataUrl": uri}) for _ in range(101)))
    cursor, models, versions = None, [], []
    for _ in range(20):
        fresh = await backend.open_adapter()
        batch = await fresh.scan(cursor)
        await fresh.aclose()
        assert batch.full
        models += [model.name for model in batch.models]
        versions += [version.id for version in batch.versions]
        cursor = batch.cursor
        if batch.complete:
            break
    assert models == groups
    assert len(set(versions)) == len(versions) == 101
    quiet = await steps.scan_all(adapter, cursor)
    assert not any(batch.models or batch.versions for batch in quiet)


async def test_increments_come_through_a_search_that_lags(start: Start) -> None:
    backend = await start(search_lag_seconds=60)
    adapter = await backend.open_adapter()
    try:
        version = await steps.new_version(adapter, backend)
        cursor = (await steps.scan_all(adapter))[-1].cursor
        await adapter.set_stage(version.id, "production")
        cursor = (await steps.scan_all(adapter, cursor))[-1].cursor
        await backend.control("clock", {"advance": 61})
        batches = await steps.scan_all(adapter, cursor)
        assert [v.stage for batch in batches for v in batch.versions] == ["production"]
        assert not any(batch.versions for batch in await steps.scan_all(adapter, batches[-1].cursor))
    finally:
        await adapter.aclose()


@pytest.mark.parametrize("cursor", ["", "{", "[]", '{"x": 1}'])
async def test_a_cursor_of_somebody_else(adapter: SageMakerAdapter, cursor: str) -> None:
    with pytest.raises(InvalidRequest, match="cursor"):
        await adapter.scan(cursor)
