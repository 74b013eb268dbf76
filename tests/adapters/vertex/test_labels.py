"""Labels of model and version are merged when Vertex answers; the adapter never writes one level's to the other."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from fedreg.domain.errors import Conflict, FedregError, InvalidRequest, PreconditionFailed
from fedreg.domain.models import Version
from fedreg.domain.stages import Approval
from fedreg.testing import steps
from fedreg_adapters.vertex.adapter import VertexAdapter

from .backend import PARENT, VertexBackend
from .fixtures import Start

MODEL = f"{PARENT}/models/churn"


async def label(backend: VertexBackend, name: str, labels: dict[str, str]) -> None:
    """Set all labels of a level, past the adapter."""
    await backend.sdk("update_model", {"model": {"name": name, "labels": labels}, "update_mask": {"paths": ["labels"]}})


def model_labels(backend: VertexBackend) -> dict[str, str]:
    return dict(backend.standin.state.models[MODEL].labels)


def version_labels(backend: VertexBackend, version: Version) -> dict[str, str]:
    own = backend.row(version).labels
    return {key: value for key, value in own.items() if key not in ("fed-key", "fed-tags", "fed-done")}


async def test_a_models_label_stays_at_the_model(backend: VertexBackend, adapter: VertexAdapter) -> None:
    version = await steps.new_version(adapter, backend, "churn")
    await label(backend, MODEL, {"env": "prod"})
    await adapter.set_version_tags("churn", "1", {"team": "growth"})
    await adapter.set_stage(version.id, "production")
    await adapter.set_approval(version.id, Approval.APPROVED)
    await adapter.set_model_tags("churn", {"tier": "1"})
    assert model_labels(backend) == {"env": "prod", "fed-m-tier": "1"}
    own = {"team": "growth", "fed-stage": "production", "fed-approval": "approved"}
    assert version_labels(backend, version) == own
    live = await adapter.get_version("churn", "1")
    assert dict(live.tags) == {"env": "prod", "team": "growth"}, "Vertex shows it on every version"


async def test_a_versions_label_of_others_stays(backend: VertexBackend, adapter: VertexAdapter) -> None:
    version = await steps.new_version(adapter, backend, "churn")
    await label(backend, backend.resource(version), {**backend.row(version).labels, "theirs": "x"})
    await adapter.set_version_tags("churn", "1", {"ours": "y"})
    await adapter.set_model_tags("churn", {"tier": "1"})
    assert version_labels(backend, version) == {"theirs": "x", "ours": "y"}
    assert model_labels(backend) == {"fed-m-tier": "1"}
    await adapter.set_version_tags("churn", "1", {}, remove=["theirs"])
    assert version_labels(backend, version) == {"ours": "y"}


async def test_a_stage_is_never_the_models(backend: VertexBackend, adapter: VertexAdapter) -> None:
    first = await steps.new_version(adapter, backend, "churn")
    second = await steps.new_version(adapter, backend, "churn")
    await adapter.set_stage(first.id, "production")
    await adapter.set_model_tags("churn", {"tier": "1"})
    assert model_labels(backend) == {"fed-m-tier": "1"}
    live = await adapter.get_version("churn", second.version)
    assert (live.stage, dict(live.tags)) == ("none", {})


async def test_one_key_at_both_levels(backend: VertexBackend, adapter: VertexAdapter) -> None:
    await steps.new_version(adapter, backend, "churn", tags={"team": "version"})
    await adapter.set_model_tags("churn", {"team": "model"})
    assert dict((await adapter.get_version("churn", "1")).tags) == {"team": "version"}
    assert dict((await adapter.get_model("churn")).tags) == {"team": "model"}


@pytest.mark.parametrize("upper_label", ["version", "model"])
async def test_a_models_label_in_the_way(start: Start, upper_label: str) -> None:
    """It can't be removed from a version, and covers the version's own if Vertex has it so: told, never ignored."""
    backend = await start(upper_label=upper_label)
    adapter = await backend.open_adapter()
    await steps.new_version(adapter, backend, "churn")
    await label(backend, MODEL, {"env": "prod"})
    with pytest.raises(Conflict, match="label of the model"):
        await adapter.set_version_tags("churn", "1", {}, remove=["env"])
    if upper_label == "version":
        await adapter.set_version_tags("churn", "1", {"env": "test"})
        assert dict((await adapter.get_version("churn", "1")).tags) == {"env": "test"}
    else:
        with pytest.raises(Conflict, match="label of the model"):
            await adapter.set_version_tags("churn", "1", {"env": "test"})
    assert model_labels(backend) == {"env": "prod"}
    await adapter.aclose()


@pytest.mark.parametrize("upload_labels", ["version", "model"])
async def test_what_an_upload_brings_is_its_versions_own(start: Start, upload_labels: str) -> None:
    """At whichever level UploadModel puts labels: no other version gets tags, records or approvals by it."""
    backend = await start(upload_labels=upload_labels)
    adapter = await backend.open_adapter()
    drafted: dict[str, Any] = {"tags": {"team": "growth"}, "approval": Approval.APPROVED, "params": {"a": "1"}}
    state = await steps.uploaded(adapter, backend, "churn", **drafted)
    first = await steps.finish(adapter, state)
    assert (dict(first.tags), first.approval, dict(first.params)) == ({"team": "growth"}, Approval.APPROVED, {"a": "1"})
    theirs = {"display_name": "churn", "artifact_uri": "gs://models/theirs"}
    await backend.sdk("upload_model", {"parent": PARENT, "parent_model": MODEL, "model": theirs})
    ours = await steps.new_version(adapter, backend, "churn")
    for number in ("2", ours.version):
        other = await adapter.get_version("churn", number)
        assert (dict(other.tags), other.approval, dict(other.params)) == ({}, Approval.NONE, {})
    await adapter.set_approval(first.id, Approval.REJECTED)
    again = await steps.finish(adapter, state)
    assert (again.id, again.approval) == (first.id, Approval.REJECTED), "a repeated finish sets nothing back"
    assert [version.version for version in await steps.all_versions(adapter, "churn")] == ["1", "2", "3"]
    await adapter.aclose()


@pytest.mark.parametrize("key", ["fed-stage", "fed-x", "1st", "-a", "_a", ""])
async def test_keys_that_no_tag_has(backend: VertexBackend, adapter: VertexAdapter, key: str) -> None:
    await steps.new_version(adapter, backend, "churn")
    with pytest.raises(InvalidRequest):
        await adapter.set_version_tags("churn", "1", {key: "x"})
    with pytest.raises(InvalidRequest):
        await adapter.set_model_tags("churn", {key: "x"})


async def test_international_labels(backend: VertexBackend, adapter: VertexAdapter) -> None:
    version = await steps.new_version(adapter, backend, "churn", tags={"équipe": "空", "leer": ""})
    assert dict(version.tags) == {"équipe": "空", "leer": ""}


@pytest.mark.parametrize("code", [grpc.StatusCode.ABORTED, grpc.StatusCode.FAILED_PRECONDITION], ids=str)
async def test_changes_at_once_lose_nothing(start: Start, code: grpc.StatusCode) -> None:
    backend = await start(etag_code=code)
    adapter = await backend.open_adapter()
    version = await steps.new_version(adapter, backend, "churn")
    await asyncio.gather(
        adapter.set_stage(version.id, "production"),
        adapter.set_version_tags("churn", "1", {"a": "1"}),
        adapter.set_version_tags("churn", "1", {"b": "2"}),
        adapter.set_approval(version.id, Approval.APPROVED),
    )
    live = await adapter.get_version("churn", "1")
    assert (live.stage, live.approval, dict(live.tags)) == ("production", Approval.APPROVED, {"a": "1", "b": "2"})
    await adapter.aclose()


@pytest.mark.parametrize("code", [grpc.StatusCode.ABORTED, grpc.StatusCode.FAILED_PRECONDITION], ids=str)
async def test_one_of_several_that_expect_the_same_wins(start: Start, code: grpc.StatusCode) -> None:
    backend = await start(etag_code=code)
    adapter = await backend.open_adapter()
    version = await steps.new_version(adapter, backend, "churn")
    tries: list[Any] = [adapter.set_stage(version.id, stage, "none") for stage in ("staging", "production", "shadow")]
    results = await asyncio.gather(*tries, return_exceptions=True)
    lost = [result for result in results if isinstance(result, FedregError)]
    assert [type(error) for error in lost] == [PreconditionFailed, PreconditionFailed]
    await adapter.aclose()


async def test_a_stage_of_another_word(backend: VertexBackend) -> None:
    from fedreg.domain.stages import StageOptions

    adapter = await backend.open_adapter(stages=StageOptions(map={"production": "live"}))
    version = await steps.new_version(adapter, backend, "churn")
    changed = await adapter.set_stage(version.id, "production")
    assert (changed.stage, changed.native_stages) == ("production", ("live",))
    assert backend.row(version).labels["fed-stage"] == "live"
    await adapter.aclose()
