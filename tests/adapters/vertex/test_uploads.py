"""UploadModel and CopyModel: operations that take a while, get lost, come late or fail; one version survives."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any

import pytest

from fedreg.domain.errors import Conflict, FedregError, RegistryError, Unsupported
from fedreg.domain.models import Pending, UploadState, Version, VersionDraft
from fedreg.testing import steps
from fedreg.testing.backend import Fault, FaultKind, Match
from fedreg_adapters.vertex.adapter import VertexAdapter

from .backend import PARENT, VertexBackend
from .fixtures import Start

COPY = Match(path="ModelService/CopyModel$")
UPLOAD = Match(path="ModelService/UploadModel$")


def uploads(backend: VertexBackend) -> int:
    return backend.standin.calls.count("UploadModel")


async def test_takes_a_while(start: Start) -> None:
    backend = await start(pending_polls=2)
    adapter = await backend.open_adapter()
    state = await steps.uploaded(adapter, backend, "churn")
    pending = await adapter.finish(state)
    assert isinstance(pending, Pending)
    assert pending.state.data["operation"].startswith(f"{PARENT}/models/churn/operations/")
    again = UploadState(**asdict(pending.state))
    assert isinstance(await adapter.poll(again), Pending)
    version = await adapter.poll(again)
    assert isinstance(version, Version)
    assert await adapter.finish(state) == version
    assert uploads(backend) == 1
    await adapter.aclose()


async def test_waiting_callers_get_versions(start: Start) -> None:
    """create_version, copy_native and the deletions wait for their operations."""
    backend = await start(pending_polls=1)
    adapter = await backend.open_adapter()
    uri = await backend.place(steps.FILES)
    version = await adapter.create_version(VersionDraft(model="churn", source_uri=uri), "key")
    copy = await adapter.copy_native(version.id, "other", "key")
    await adapter.delete_version("churn", "1")
    assert [model.name for model in await steps.all_models(adapter)] == ["other"]
    assert copy.model == "other"
    await adapter.aclose()


@pytest.mark.parametrize("deaf_to_done", [False, True])
async def test_a_lost_answer_while_vertex_is_at_work(start: Start, deaf_to_done: bool) -> None:
    """There is no version yet and no operation is known: the pending one keeps from uploading again."""
    backend = await start(pending_polls=-1, deaf_to_done=deaf_to_done)
    adapter = await backend.open_adapter()
    state = await steps.uploaded(adapter, backend, "churn")
    backend.faults.inject(Fault(kind=FaultKind.LOST_REPLY, match=UPLOAD))
    assert isinstance(await adapter.finish(state), Pending)
    other = await backend.open_adapter()
    assert isinstance(await other.finish(state), Pending)
    with pytest.raises(Conflict, match="being registered"):
        await other.abort(state)
    assert uploads(backend) == 1
    assert backend.standin.state.release() == 1
    version = await other.poll(state)
    assert isinstance(version, Version)
    assert await steps.read_all(other, version) == dict(steps.FILES)
    assert uploads(backend) == 1
    for each in (adapter, other):
        await each.aclose()


async def test_a_late_twin_of_a_model_that_is_there(backend: VertexBackend, adapter: VertexAdapter) -> None:
    await steps.new_version(adapter, backend, "churn")
    state = await steps.uploaded(adapter, backend, "churn")
    backend.faults.inject(Fault(kind=FaultKind.LATE_APPLY, match=UPLOAD))
    with pytest.raises(FedregError):
        await adapter.finish(state)
    first = await steps.finish(adapter, state)
    assert await backend.faults.release() == 1
    assert [v.version for v in await steps.all_versions(adapter, "churn")] == ["1", "2", "3"]
    assert await steps.finish(adapter, state) == first
    assert [v.version for v in await steps.all_versions(adapter, "churn")] == ["1", "2"]


async def test_metrics_that_did_not_arrive_are_sent_by_the_next_finish(
    backend: VertexBackend, adapter: VertexAdapter
) -> None:
    state = await steps.uploaded(adapter, backend, "churn", metrics={"auc": 0.5})
    refused = Match(path="ModelService/ImportModelEvaluation$")
    backend.faults.inject(Fault(kind=FaultKind.STATUS, status=403, match=refused))
    with pytest.raises(FedregError, match="permit") as caught:
        await adapter.finish(state)
    assert "aiplatform.modelEvaluations.import" in str(caught.value.cure)
    version = await steps.finish(adapter, state)
    assert (version.version, dict(version.metrics)) == ("1", {"auc": 0.5})
    assert await steps.finish(adapter, state) == version
    assert len(backend.row(version).evaluations) == 1


async def test_an_operation_that_fails(start: Start) -> None:
    backend = await start(pending_polls=-1)
    adapter = await backend.open_adapter()
    state = await steps.uploaded(adapter, backend, "churn")
    pending = await adapter.finish(state)
    assert isinstance(pending, Pending)
    [work] = backend.standin.state.operations.values()
    from fedreg_adapters.vertex.standin_state import precondition

    def fail() -> None:
        raise precondition("The image can't be pulled.")

    work.work = fail
    backend.standin.state.release()
    with pytest.raises(RegistryError, match="can't be pulled"):
        await adapter.poll(pending.state)
    await adapter.abort(state)
    assert backend.objects("gs://models/fedreg/churn/") == {}
    await adapter.aclose()


async def test_abort_leaves_no_record(backend: VertexBackend, adapter: VertexAdapter) -> None:
    state = await steps.uploaded(adapter, backend, "churn", params={"a": "1"})
    backend.faults.inject(Fault(kind=FaultKind.STATUS, status=403, match=UPLOAD))
    with pytest.raises(FedregError):
        await adapter.finish(state)
    assert backend.standin.metadata.artifacts
    await adapter.abort(state)
    await adapter.abort(state)
    assert not backend.standin.metadata.artifacts
    assert backend.objects("gs://models/fedreg/") == {}


@pytest.mark.parametrize("kind", [FaultKind.LOST_REPLY, FaultKind.RESET], ids=str)
@pytest.mark.parametrize("copies_labels", [False, True])
async def test_a_copy_whose_answer_is_lost(start: Start, kind: FaultKind, copies_labels: bool) -> None:
    """CopyModel carries no key: the copy that came since the intent was noted is ours."""
    backend = await start(copies_labels=copies_labels)
    adapter = await backend.open_adapter()
    source = await steps.new_version(adapter, backend, "churn")
    await adapter.copy_native(source.id, "other", "earlier")
    backend.faults.inject(Fault(kind=kind, match=COPY))
    try:
        copy = await adapter.copy_native(source.id, "other", "key")
    except FedregError as error:
        assert error.retryable
        copy = await adapter.copy_native(source.id, "other", "key")
    assert copy.version == "2"
    assert [v.id for v in await steps.all_versions(adapter, "other")][1:] == [copy.id]
    assert await adapter.find_version("other", "key") == copy
    await adapter.aclose()


async def test_a_late_copy_goes(backend: VertexBackend, adapter: VertexAdapter) -> None:
    source = await steps.new_version(adapter, backend, "churn")
    await adapter.copy_native(source.id, "other", "earlier")
    backend.faults.inject(Fault(kind=FaultKind.LATE_APPLY, match=COPY))
    with pytest.raises(FedregError):
        await adapter.copy_native(source.id, "other", "key")
    await backend.faults.release()
    copy = await adapter.copy_native(source.id, "other", "key")
    assert [v.id for v in await steps.all_versions(adapter, "other")][1:] == [copy.id]


async def test_a_copy_that_was_there_before_is_not_ours(backend: VertexBackend, adapter: VertexAdapter) -> None:
    source = await steps.new_version(adapter, backend, "churn")
    theirs = {"parent": PARENT, "source_model": backend.resource(source), "model_id": "other"}
    await backend.sdk("copy_model", theirs)
    copy = await adapter.copy_native(source.id, "other", "key")
    assert copy.version == "2"
    assert "fed-key" not in backend.standin.state.version(f"{PARENT}/models/other@1").labels


async def test_two_first_versions_at_once(backend: VertexBackend, adapter: VertexAdapter) -> None:
    """One makes the model, the other one finds it there."""
    states = [await steps.uploaded(adapter, backend, "churn") for _ in range(2)]
    results: list[Any] = await asyncio.gather(*(adapter.finish(s) for s in states), return_exceptions=True)
    made = [
        result if isinstance(result, Version) else await steps.finish(adapter, s)
        for result, s in zip(results, states, strict=True)
    ]
    assert sorted(version.version for version in made) == ["1", "2"]


async def test_a_version_can_not_be_asked_for(adapter: VertexAdapter) -> None:
    with pytest.raises(Unsupported, match="version"):
        await adapter.begin_upload(VersionDraft(model="churn", version="7"), "key")
