"""The stand-in's answers are those of the Hub's OpenAPI, as pyhfapi was generated from it."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest
from pyhfapi import HuggingFace

from .backend import NAMESPACE, TOKEN, HubBackend

REPO = {"namespace": NAMESPACE, "repo": "model"}


@pytest.fixture
def strict(backend: HubBackend) -> Iterator[HuggingFace]:
    with HuggingFace(api_key=TOKEN, base_url=backend.url, max_retries=0, _strict_response_validation=True) as client:
        yield client


@pytest.fixture
async def sha(backend: HubBackend) -> str:
    await backend.sdk(backend.api.create_repo, f"{NAMESPACE}/model")
    return await backend.push("model", {"config.json": b"{}", "weights.bin": b"\0"})


async def test_refs_and_commits(backend: HubBackend, strict: HuggingFace, sha: str) -> None:
    models = strict.api.models
    refs = await backend.sdk(models.list_refs, **REPO)
    assert [(ref.name, ref.target_commit) for ref in refs.branches] == [("main", sha)]
    commits = await backend.sdk(models.list_commits, "main", **REPO, limit=1)
    assert [commit.id for commit in commits] == [sha]


async def test_files(backend: HubBackend, strict: HuggingFace) -> None:
    await backend.sdk(backend.api.create_repo, f"{NAMESPACE}/model")
    sha = await backend.push("model", {"conf/config.json": b"{}", "conf/weights.bin": b"\0"})
    models = strict.api.models
    found = await backend.sdk(models.list_tree_content, "conf", **REPO, rev=sha, recursive=True)
    assert {item.path: item.lfs is not None for item in found} == {"conf/config.json": False, "conf/weights.bin": True}
    [info] = await backend.sdk(models.list_paths_info, sha, **REPO, expand=False, paths=["conf/weights.bin"])
    assert (info.path, info.size) == ("conf/weights.bin", 1.0)


async def test_preupload_and_commit(backend: HubBackend, strict: HuggingFace, sha: str) -> None:
    row = {"path": "a.bin", "sample": base64.b64encode(b"\0").decode(), "size": 1.0}
    answer = await backend.sdk(strict.api.models.check_preupload, "main", **REPO, files=[row])
    assert answer.commit_oid == sha and answer.files[0].upload_mode == "lfs"


async def test_a_branch_moves_in_one_call(backend: HubBackend, strict: HuggingFace, sha: str) -> None:
    branch = strict.api.models.branch
    await backend.sdk(branch.create, "production", **REPO, starting_point=sha)
    newer = await backend.push("model", {"config.json": b"{1}"})
    await backend.sdk(branch.create, "production", **REPO, starting_point=newer, overwrite=True)
    assert backend.repo("model").branches["production"] == newer
    await backend.sdk(branch.create, "empty", **REPO, empty_branch=True)
    assert not backend.repo("model").resolve("empty").files
