"""What the adapter writes huggingface_hub reads back the same, and the other way round."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from huggingface_hub import ModelCard, snapshot_download
from huggingface_hub.repocard_data import model_index_to_eval_results

from fedreg.domain.models import PageRequest, Provenance, VersionStatus
from fedreg.testing import steps
from fedreg_adapters.huggingface.adapter import HuggingFaceAdapter

from .backend import NAMESPACE, TOKEN, HubBackend

CARD = """---
license: mit
base_model:
- acme/base
- acme/other
base_model_relation: merge
datasets:
- acme/data
tags:
- churn
model-index:
- name: model
  results:
  - task: {type: tabular-classification}
    dataset: {type: acme/data, name: Data}
    metrics:
    - {type: auc, value: 0.75}
---
# Model
"""


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.mark.oracle("create_model", "upload")
async def test_sdk_reads_a_version(adapter: HuggingFaceAdapter, backend: HubBackend, tmp_path: Path) -> None:
    known = Provenance(
        run_id="r1", extra={"base_model": "acme/base", "base_model_relation": "finetune", "license": "mit"}
    )
    version = await steps.new_version(
        adapter, backend, description="Ümläut | <b>", metrics={"auc": 0.5}, params={"depth": "3"}, provenance=known
    )
    repo = f"{NAMESPACE}/{version.model}"
    refs = await backend.sdk(backend.api.list_repo_refs, repo)
    assert {tag.name: tag.target_commit for tag in refs.tags} == {version.version: version.identity}
    assert [branch.name for branch in refs.branches] == ["main"], "the branch of the upload is gone"
    info = await backend.sdk(backend.api.model_info, repo, revision=version.version)
    assert (info.sha, info.private) == (version.identity, True)
    assert info.card_data is not None
    assert (info.card_data.base_model, info.card_data.license, info.card_data.metrics) == ("acme/base", "mit", ["auc"])
    place = Path(
        await backend.sdk(snapshot_download, repo, revision="v1", endpoint=backend.url, token=TOKEN, cache_dir=tmp_path)
    )
    assert {path: (place / path).read_bytes() for path in steps.FILES} == dict(steps.FILES)
    [lfs] = await backend.sdk(backend.api.get_paths_info, repo, "model.bin", revision="v1")
    assert lfs.lfs.sha256 == sha256(steps.FILES["model.bin"])
    card = ModelCard.load(place / "README.md")
    assert card.data.base_model_relation == "finetune" and card.data.eval_results is None
    for text in ("Version `v1`", "| auc | 0.5 |", "| depth | 3 |", "| run | r1 |", "Ümläut | <b>"):
        assert text in card.text


async def test_results_with_task_and_dataset_become_a_model_index(
    adapter: HuggingFaceAdapter, backend: HubBackend
) -> None:
    known = Provenance(extra={"task": "tabular-classification", "dataset": "Data", "dataset_type": "acme/data"})
    version = await steps.new_version(adapter, backend, metrics={"auc": 0.5}, provenance=known)
    info = await backend.sdk(backend.api.model_info, f"{NAMESPACE}/{version.model}", revision="v1")
    _, [result] = model_index_to_eval_results(info.model_index)
    assert (result.task_type, result.dataset_name, result.metric_type, result.metric_value) == (
        "tabular-classification",
        "Data",
        "auc",
        0.5,
    )


@pytest.mark.oracle("list_files", "open_file", "lineage")
async def test_adapter_reads_what_the_sdk_pushed(adapter: HuggingFaceAdapter, backend: HubBackend) -> None:
    await backend.sdk(backend.api.create_repo, f"{NAMESPACE}/theirs")
    files = {"README.md": CARD, "weights.bin": b"\0\1", "config.json": b"{}"}
    sha = await backend.push("theirs", files)
    await backend.sdk(backend.api.create_tag, f"{NAMESPACE}/theirs", tag="release-1", revision=sha)
    await backend.sdk(backend.api.create_branch, f"{NAMESPACE}/theirs", branch="production", revision=sha)
    await backend.sdk(backend.api.create_branch, f"{NAMESPACE}/theirs", branch="champion", revision="release-1")
    [version] = await steps.all_versions(adapter, "theirs")
    assert (version.version, version.identity, version.stage) == ("release-1", sha, "production")
    assert (version.aliases, dict(version.metrics), version.status) == (
        ("champion",),
        {"auc": 0.75},
        VersionStatus.READY,
    )
    assert dict(version.provenance.extra) == {
        "base_model": "acme/base, acme/other",
        "base_model_relation": "merge",
        "datasets": "acme/data",
        "license": "mit",
        "tags": "churn",
    }
    assert version.provenance.created_by == "ann" and version.created_at is not None
    given = {path: data.encode() if isinstance(data, str) else data for path, data in files.items()}
    assert await steps.read_all(adapter, version) == given, "a card that people wrote is a file of the version"
    edges = await adapter.lineage("theirs", "release-1")
    assert {(edge.relation.value, edge.source.label, edge.source.attributes.get("relation")) for edge in edges} == {
        ("derived_from", "acme/base", "merge"),
        ("derived_from", "acme/other", "merge"),
        ("used", "acme/data", None),
    }
    assert dict((await adapter.get_model("theirs")).aliases) == {"champion": "release-1"}


@pytest.mark.oracle("set_stage", "set_alias", "delete_version")
async def test_sdk_sees_stage_and_alias(adapter: HuggingFaceAdapter, backend: HubBackend) -> None:
    version = await steps.new_version(adapter, backend)
    await adapter.set_stage(version.id, "production")
    await adapter.set_alias(version.model, "champion", version.version)
    repo = f"{NAMESPACE}/{version.model}"
    refs = await backend.sdk(backend.api.list_repo_refs, repo)
    heads = {branch.name: branch.target_commit for branch in refs.branches if branch.name != "main"}
    assert heads == {"production": version.identity, "champion": version.identity}
    assert (await backend.sdk(backend.api.model_info, repo, revision="production")).sha == version.identity
    await adapter.delete_version(version.model, version.version)
    refs = await backend.sdk(backend.api.list_repo_refs, repo)
    assert not refs.tags and [branch.name for branch in refs.branches] == ["main"]


async def test_a_readme_that_the_source_has_stays_as_it_is(adapter: HuggingFaceAdapter, backend: HubBackend) -> None:
    files = {"README.md": CARD.encode(), "weights.bin": b"w"}
    version = await steps.new_version(adapter, backend, files=files, metrics={"auc": 0.5}, params={"a": "b"})
    assert await steps.read_all(adapter, version) == files
    assert (dict(version.metrics), dict(version.params)) == ({"auc": 0.5}, {"a": "b"})
    assert version.provenance.extra["license"] == "mit"


async def test_without_cards(backend: HubBackend) -> None:
    adapter = await backend.open_adapter(card=False)
    try:
        version = await steps.new_version(adapter, backend)
        listed = await backend.sdk(backend.api.list_repo_files, f"{NAMESPACE}/{version.model}", revision="v1")
        assert set(listed) == {".gitattributes", *steps.FILES}
    finally:
        await adapter.aclose()


async def test_files_of_an_earlier_version_are_not_inherited(adapter: HuggingFaceAdapter, backend: HubBackend) -> None:
    first = await steps.new_version(adapter, backend, files={"a.bin": b"1", "old/b.json": b"2"})
    await backend.push(first.model, {"notes.txt": b"pushed to main by somebody"})
    second = await steps.new_version(adapter, backend, first.model, files={"a.bin": b"3"})
    repo = f"{NAMESPACE}/{first.model}"
    listed = await backend.sdk(backend.api.list_repo_files, repo, revision=second.version)
    assert set(listed) == {".gitattributes", "README.md", "a.bin"}
    assert await steps.read_all(adapter, first) == {"a.bin": b"1", "old/b.json": b"2"}
    page = await adapter.list_versions(first.model, PageRequest(limit=10))
    assert [version.version for version in page.items] == ["v1", "v2"]
