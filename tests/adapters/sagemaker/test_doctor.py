"""`doctor`: what usually goes wrong with an account, and the permission or setting that a finding names for it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fedreg.domain.models import Finding, Severity
from fedreg.testing import steps
from fedreg.testing.backend import Fault, FaultKind, Match

from .backend import SageMakerBackend
from .fixtures import backend as backend
from .fixtures import s3 as s3
from .fixtures import start as start

WHO = "User: arn:aws:sts::123456789012:assumed-role/x/y is not authorized to perform: "


def denied(action: str, code: str = "AccessDeniedException", status: int = 400) -> dict[str, Any]:
    body = json.dumps({"__type": code, "message": f"{WHO}{action} on resource: arn:aws:sagemaker:::x"})
    return {"status": status, "body": body}


async def bad_findings(backend: SageMakerBackend, **options: Any) -> dict[str, Finding]:
    adapter = await backend.open_adapter(**options)
    try:
        found = await adapter.diagnose()
    finally:
        await adapter.aclose()
    return {finding.check: finding for finding in found if finding.severity is not Severity.OK}


@pytest.mark.parametrize(
    ("call", "action"),
    [
        ("ListModelPackageGroups", "sagemaker:ListModelPackageGroups"),
        ("ListModelPackages", "sagemaker:ListModelPackages"),
        ("ListTags", "sagemaker:ListTags"),
        ("Search", "sagemaker:Search"),
    ],
)
@pytest.mark.parametrize("told", [True, False], ids=["told", "not told"])
async def test_a_missing_permission(backend: SageMakerBackend, call: str, action: str, told: bool) -> None:
    """AWS mostly says which one; where it does not, the call says it."""
    adapter = await backend.open_adapter()
    await steps.new_version(adapter, backend)
    await adapter.aclose()
    said = denied(action) if told else {"status": 400, "body": '{"__type": "AccessDeniedException", "message": "no"}'}
    match = Match(headers={"X-Amz-Target": rf"\.{call}$"})
    backend.faults.inject(Fault(kind=FaultKind.STATUS, match=match, times=0, **said))
    [finding] = (await bad_findings(backend)).values()
    assert finding.severity is Severity.ERROR and f"allow {action} " in (finding.cure or "")


async def test_a_role_that_may_not_be_assumed(backend: SageMakerBackend) -> None:
    error = f"<Error><Code>AccessDenied</Code><Message>{WHO}sts:AssumeRole on resource: r</Message></Error>"
    body = f"<ErrorResponse>{error}</ErrorResponse>"
    match = Match(method="POST", headers={"Content-Type": "urlencoded"})
    backend.faults.inject(Fault(kind=FaultKind.STATUS, match=match, times=0, status=403, body=body))
    found = await bad_findings(backend, role_arn="arn:aws:iam::123456789012:role/fedreg")
    assert "allow sts:AssumeRole " in (next(iter(found.values())).cure or "")


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (403, "AccessDenied", ["s3:ListBucket", "s3:PutObject"]),
        (400, "ExpiredToken", ["credentials"]),
        (404, "NoSuchBucket", ["create the bucket"]),
    ],
)
async def test_the_bucket(backend: SageMakerBackend, status: int, code: str, said: list[str]) -> None:
    body = f"<Error><Code>{code}</Code><Message>no</Message></Error>"
    match = Match(method="GET", path="list-type=2")
    backend.faults.inject(Fault(kind=FaultKind.STATUS, match=match, times=0, status=status, body=body))
    finding = (await bad_findings(backend))["artifact_root"]
    assert [word for word in said if word not in (finding.cure or "")] == []
    assert code == "AccessDenied" or "s3:" not in (finding.cure or ""), "no permission helps against that"


async def test_expired_credentials_and_a_wrong_region(backend: SageMakerBackend) -> None:
    said = {"status": 403, "body": '{"__type": "ExpiredTokenException", "message": "The token is expired"}'}
    backend.faults.inject(Fault(kind=FaultKind.STATUS, match=Match(method="POST"), times=0, **said))
    first = next(iter((await bad_findings(backend)).values()))
    assert "renew the credentials" in (first.cure or "") and "sagemaker:" not in (first.cure or "")
    backend.faults.clear()
    elsewhere = await bad_findings(backend, endpoint_url="http://127.0.0.1:9")
    assert "region and endpoint_url" in (next(iter(elsewhere.values())).cure or "")
