"""`doctor`: what usually goes wrong with a workspace or registry, and the role or setting that a finding names."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fedreg.domain.models import Severity
from fedreg.testing import steps
from fedreg.testing.backend import Fault, FaultKind, Match

from .backend import AzureMLBackend
from .fixtures import Start
from .fixtures import backend as backend
from .fixtures import certificate as certificate
from .fixtures import start as start

RIGHTS = "Microsoft.MachineLearningServices/workspaces"


def refused(status: int, code: str, action: str) -> dict[str, Any]:
    text = f"The client 'x' does not have authorization to perform action '{action}' over scope 's'."
    return {"status": status, "body": json.dumps({"error": {"code": code, "message": text}})}


@pytest.mark.parametrize(
    ("path", "action"),
    [
        (r"/models\?", f"{RIGHTS}/models/read"),
        (r"/versions\?", f"{RIGHTS}/models/versions/read"),
        (r"/jobs\?", f"{RIGHTS}/jobs/read"),
        (r"/onlineEndpoints\?", f"{RIGHTS}/onlineEndpoints/read"),
    ],
)
async def test_a_missing_role(backend: AzureMLBackend, path: str, action: str) -> None:
    adapter = await backend.open_adapter()
    try:
        await steps.new_version(adapter, backend)
        said = refused(403, "AuthorizationFailed", action)
        backend.service.inject(Fault(kind=FaultKind.STATUS, match=Match(method="GET", path=path), times=0, **said))
        [finding] = [found for found in await adapter.diagnose() if found.severity is not Severity.OK]
    finally:
        await adapter.aclose()
    assert f"a role with {action}, such as AzureML Data Scientist" in (finding.cure or "")


async def test_a_storage_account_that_does_not_let_us_in(backend: AzureMLBackend) -> None:
    body = "<Error><Code>AuthorizationPermissionMismatch</Code><Message>no</Message></Error>"
    match = Match(method="GET", path="comp=list")
    adapter = await backend.open_adapter()
    try:
        backend.blob.inject(Fault(kind=FaultKind.STATUS, match=match, times=0, status=403, body=body))
        [finding] = [found for found in await adapter.diagnose() if found.severity is not Severity.OK]
    finally:
        await adapter.aclose()
    assert "Storage Blob Data Contributor" in (finding.cure or "")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"workspace": "absent"}, "workspace"),
        ({"datastore": "absent"}, "datastore"),
        ({"endpoint": "https://127.0.0.1:9"}, "endpoint"),
    ],
)
async def test_names_that_are_wrong(backend: AzureMLBackend, changes: dict[str, str], said: str) -> None:
    adapter = await backend.open_adapter(**changes)
    try:
        [finding, *_] = [found for found in await adapter.diagnose() if found.severity is not Severity.OK]
    finally:
        await adapter.aclose()
    assert finding.severity is Severity.ERROR and said in (finding.cure or "")


async def test_an_expired_token(backend: AzureMLBackend) -> None:
    said = refused(401, "ExpiredAuthenticationToken", "any")
    backend.service.inject(Fault(kind=FaultKind.STATUS, match=Match(method="GET"), times=0, **said))
    adapter = await backend.open_adapter()
    try:
        [finding, *_] = await adapter.diagnose()
    finally:
        await adapter.aclose()
    assert "renew the credentials" in (finding.cure or "") and "role" not in (finding.cure or "")


async def test_a_registry_that_is_not_there(start: Start) -> None:
    backend = await start(of_registry=True)
    adapter = await backend.open_adapter(registry="absent")
    try:
        [finding] = await adapter.diagnose()
    finally:
        await adapter.aclose()
    assert finding.severity is Severity.ERROR and "registry" in (finding.cure or "")
