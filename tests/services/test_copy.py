"""Copies between two registries: verified, idempotent, remembered."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from fedreg.client.local import LocalClient
from fedreg.domain.errors import InvalidRequest, NotFound, RegistryUnavailable
from fedreg.domain.lineage import NodeKind, Relation
from fedreg.domain.models import VersionStatus
from fedreg.domain.refs import Ref
from fedreg.domain.stages import Approval
from fedreg.services import audit, check, copy, lineage
from fedreg.services import intents as promises
from fedreg.services.copy_plan import plan_copy
from fedreg.services.copy_steps import CopySteps
from fedreg.services.gateway import Gateway

from .conftest import ACTOR, FILES, make_version

TARGET = Ref("right", "churn")


async def copied(gateway: Gateway, source: str = "left:churn@version:1") -> copy.CopyReport:
    return await copy.copy_version(gateway, Ref.parse(source), TARGET, actor=ACTOR, reason="why not")


async def test_a_copy_has_the_same_bytes_and_arrives_unapproved(gateway: Gateway) -> None:
    await make_version(gateway, "left", "churn", description="second", tags={"team": "growth"})
    report = await copied(gateway)
    assert (report.moved, report.files, report.bytes) == (True, len(FILES), sum(map(len, FILES.values())))
    adapter = await gateway.registries.get("right")
    arrived = await adapter.get_version("churn", "1")
    assert arrived.status is VersionStatus.READY
    assert (arrived.approval, arrived.stage, arrived.aliases) == (Approval.PENDING, "none", ())
    assert (arrived.description, dict(arrived.tags)) == ("second", {"team": "growth"})
    assert arrived.provenance.run_id == "run-1"
    assert arrived.provenance.extra["copied_from"] == "left:churn@version:1"
    compared = await check.check(gateway, Ref.parse("left:churn@version:1"), Ref.parse("right:churn@1"), download=True)
    assert compared.same
    assert compared.source_digest == compared.target_digest
    assert compared.source_digest is not None and compared.source_digest.value == report.digest


async def test_a_second_copy_moves_nothing(gateway: Gateway) -> None:
    await make_version(gateway, "left", "churn")
    first = await copied(gateway)
    again = await copied(gateway)
    assert (again.moved, again.target, again.digest) == (False, first.target, first.digest)


async def test_a_failed_copy_is_asked_for_again_before_its_workflow_has_ended(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make_version(gateway, "left", "churn")
    failed, ended, record = asyncio.Event(), asyncio.Event(), promises.fail

    async def fail(*given: Any) -> None:
        await record(*given)
        failed.set()
        await ended.wait()

    monkeypatch.setattr(promises, "fail", fail)
    monkeypatch.setattr(CopySteps, "finish", _unavailable)
    first = asyncio.create_task(copied(gateway))
    await failed.wait()
    monkeypatch.undo()
    again = asyncio.create_task(copied(gateway))
    done, _ = await asyncio.wait((again,), timeout=0.2)
    assert not done
    ended.set()
    assert (await again).moved
    with suppress(RegistryUnavailable):  # or it hears of the end that the second one reached
        await first


async def _unavailable(*_: Any) -> None:
    raise RegistryUnavailable("gone for a moment", registry="right")


async def test_a_copy_is_made_again_when_its_target_was_deleted(gateway: Gateway) -> None:
    await make_version(gateway, "left", "churn")
    await copied(gateway)
    await (await gateway.registries.get("right")).delete_version("churn", "1")
    again = await copied(gateway)
    assert again.moved and again.target == "right:churn@version:2"


async def test_history_lineage_and_download_know_the_copy(gateway: Gateway, tmp_path) -> None:  # type: ignore[no-untyped-def]
    await make_version(gateway, "left", "churn")
    report = await copied(gateway)
    target = Ref.parse(report.target)
    entries = await audit.list_history(gateway, target)
    assert [entry.change.action for entry in entries] == ["copied"]
    assert entries[0].change.reason == "why not" and entries[0].change.actor == ACTOR
    assert (await audit.verify_audit(gateway)).ok
    graph = await lineage.get_lineage(gateway, target)
    assert "left:churn@version:1" in [node.label for node in graph.nodes]
    assert [edge.target.label for edge in graph.edges if edge.relation is Relation.PRODUCED_BY] == [
        "left:churn@version:1"
    ], "the run that the copy's provenance names too is told once, of the original"
    assert [node.key for node in graph.nodes if node.kind is NodeKind.RUN] == ["run:left:run-1"]
    saved = await LocalClient(gateway).download(target, tmp_path / "out")
    assert saved.digest == report.digest
    assert {path: (tmp_path / "out" / path).read_bytes() for path in FILES} == FILES


async def test_a_plan_writes_nothing_and_names_what_the_gateway_will_hold(gateway: Gateway) -> None:
    await make_version(gateway, "left", "churn", tags={"k": "v"})
    plan = await plan_copy(gateway, Ref.parse("left:churn@1"), TARGET)
    assert (len(plan.files), plan.already_at) == (len(FILES), None)
    with pytest.raises(NotFound):
        await (await gateway.registries.get("right")).get_model("churn")


@pytest.mark.parametrize(
    ("source", "target", "error", "words"),
    [
        ("left:churn", "right:churn", InvalidRequest, "names a model"),
        ("left:churn@9", "right:churn", NotFound, "matches no version"),
        ("left:nope@1", "right:churn", NotFound, "nope"),
        ("left:churn@1", "right:churn@1", InvalidRequest, "names a version"),
        ("left:churn@1", "left:churn", InvalidRequest, "same model"),
        ("left:churn@1", "middle:churn", NotFound, "middle"),
    ],
)
async def test_bad_references_change_nothing(
    gateway: Gateway, source: str, target: str, error: type[Exception], words: str
) -> None:
    await make_version(gateway, "left", "churn")
    with pytest.raises(error, match=words):
        await copy.start_copy(gateway, Ref.parse(source), Ref.parse(target), actor=ACTOR)
    assert await audit.list_audit(gateway) == []
