"""`doctor`: what usually goes wrong with a project, and the permission or setting that a finding names for it."""

from __future__ import annotations

from typing import Any

import pytest

from fedreg.domain.models import Finding, Severity
from fedreg.testing.backend import Fault, FaultKind, Match

from .backend import VertexBackend


async def bad_findings(backend: VertexBackend, **options: Any) -> list[Finding]:
    adapter = await backend.open_adapter(**options)
    try:
        found = await adapter.diagnose()
    finally:
        await adapter.aclose()
    return [finding for finding in found if finding.severity is not Severity.OK and finding.check != "insecure"]


@pytest.mark.parametrize(
    ("call", "status", "text", "said"),
    [
        ("ListModels", 403, "denied", ["grant aiplatform.models.list", "roles/aiplatform.user", "if it exists"]),
        ("GetModel", 403, "denied", ["grant aiplatform.models.get"]),
        ("GetArtifact", 403, "denied", ["grant aiplatform.artifacts.get"]),
        ("ListOperations", 403, "denied", ["grant aiplatform.operations.list"]),
        (
            "ListModels",
            403,
            "Vertex AI API has not been used in project 7 before",
            ["enable aiplatform.googleapis.com"],
        ),
        ("ListModels", 401, "expired", ["renew the credentials"]),
        ("ListModels", 400, "The location eu is unknown", ["check project and location"]),
    ],
)
async def test_refusals(backend: VertexBackend, call: str, status: int, text: str, said: list[str]) -> None:
    match = Match(path=rf"/{call}$")
    backend.faults.inject(Fault(kind=FaultKind.STATUS, match=match, times=0, status=status, body=text))
    [finding] = await bad_findings(backend)
    assert [word for word in said if word not in (finding.cure or "")] == [], finding


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [(403, "AccessDenied", "storage.objects.create"), (404, "NoSuchBucket", "create the bucket")],
)
async def test_the_bucket(backend: VertexBackend, status: int, code: str, said: str) -> None:
    body = f"<Error><Code>{code}</Code><Message>no</Message></Error>"
    match = Match(method="GET", path="list-type=2")
    backend.faults.inject(Fault(kind=FaultKind.STATUS, match=match, times=0, status=status, body=body))
    [finding] = await bad_findings(backend)
    assert finding.check == "artifact_root" and said in (finding.cure or "") and "None" not in (finding.cure or "")


async def test_an_answer_that_makes_no_sense_is_a_finding(backend: VertexBackend) -> None:
    backend.faults.inject(Fault(kind=FaultKind.HTML, match=Match(path="/ListModels$"), times=0))
    [finding] = await bad_findings(backend)
    assert "proxies" in (finding.cure or "")
