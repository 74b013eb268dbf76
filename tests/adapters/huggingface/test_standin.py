"""The stand-in is a Hub to huggingface_hub: every call that the tests and users make of it, and its refusals."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    HfApi,
    hf_hub_download,
    metadata_load,
    snapshot_download,
)
from huggingface_hub.errors import (
    BadRequestError,
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from fedreg.testing.steps import pattern_bytes

from .backend import NAMESPACE, READER, STRANGER, HubBackend

REPO = f"{NAMESPACE}/model"
BIG = pattern_bytes(11 * 1024 * 1024 + 5)


async def make(backend: HubBackend, *, private: bool = False) -> str:
    await backend.sdk(backend.api.create_repo, REPO, private=private)
    return REPO


async def test_commit_and_download(backend: HubBackend, tmp_path: Path) -> None:
    await make(backend)
    files = {"config.json": b"{}", "weights.bin": b"\0\1", "empty.txt": b"", "odd name #1?.txt": b"x"}
    sha = await backend.push("model", files)
    place = await backend.sdk(snapshot_download, REPO, endpoint=backend.url, cache_dir=tmp_path, token=False)
    assert {path: (Path(place) / path).read_bytes() for path in files} == files
    assert place.endswith(sha)
    info = await backend.sdk(backend.api.model_info, REPO, files_metadata=False, securityStatus=True)
    assert info.sha == sha and info.security_repo_status["scansDone"]
    assert {found.rfilename for found in info.siblings or []} == {*files, ".gitattributes"}


async def test_lfs_in_parts(tmp_path: Path) -> None:
    backend = HubBackend(multipart_from=6 * 1024 * 1024)
    await backend.start()
    try:
        await make(backend)
        await backend.push("model", {"big.dat": BIG})
        [found] = await backend.sdk(backend.api.get_paths_info, REPO, "big.dat")
        assert found.lfs.sha256 == hashlib.sha256(BIG).hexdigest()
        place = await backend.sdk(hf_hub_download, REPO, "big.dat", endpoint=backend.url, cache_dir=tmp_path)
        assert Path(place).read_bytes() == BIG
        attributes = backend.hub.read(backend.repo("model").resolve("main").files[".gitattributes"]).decode()
        assert "big.dat filter=lfs" in attributes, "the Hub adds a rule for a file that no rule names"
    finally:
        await backend.aclose()


async def test_stale_parent_is_refused(backend: HubBackend) -> None:
    await make(backend)
    first = await backend.push("model", {"a": b"1"})
    await backend.push("model", {"a": b"2"})
    with pytest.raises(HfHubHTTPError) as caught:
        operations = [CommitOperationAdd("a", b"3")]
        await backend.sdk(
            backend.api.create_commit, REPO, operations=operations, commit_message="late", parent_commit=first
        )
    assert caught.value.response.status_code == 412


async def test_delete_in_a_commit(backend: HubBackend) -> None:
    await make(backend)
    await backend.push("model", {"a": b"1", "b": b"2"})
    operations = [CommitOperationDelete("a")]
    await backend.sdk(backend.api.create_commit, REPO, operations=operations, commit_message="less")
    assert set(await backend.sdk(backend.api.list_repo_files, REPO)) == {"b", ".gitattributes"}
    with pytest.raises(EntryNotFoundError):
        await backend.sdk(backend.api.create_commit, REPO, operations=operations, commit_message="again")


async def test_refs(backend: HubBackend) -> None:
    await make(backend)
    sha = await backend.push("model", {"a": b"1"})
    await backend.sdk(backend.api.create_tag, REPO, tag="v1", revision=sha)
    await backend.sdk(backend.api.create_branch, REPO, branch="team/dev", revision="v1")
    refs = await backend.sdk(backend.api.list_repo_refs, REPO)
    assert {ref.name: ref.target_commit for ref in refs.branches} == {"main": sha, "team/dev": sha}
    assert [(ref.name, ref.target_commit) for ref in refs.tags] == [("v1", sha)]
    for call in (
        lambda: backend.api.create_tag(REPO, tag="v1"),
        lambda: backend.api.create_branch(REPO, branch="main"),
    ):
        with pytest.raises(HfHubHTTPError) as caught:
            await backend.sdk(call)
        assert caught.value.response.status_code == 409
    await backend.sdk(backend.api.delete_tag, REPO, tag="v1")
    await backend.sdk(backend.api.delete_branch, REPO, branch="team/dev")
    with pytest.raises(RevisionNotFoundError):
        await backend.sdk(backend.api.model_info, REPO, revision="v1")


async def test_pages(backend: HubBackend) -> None:
    for number in range(3):
        await backend.sdk(backend.api.create_repo, f"{NAMESPACE}/m{number}")
    await backend.sdk(backend.api.create_repo, "ann/other")
    listed = await backend.sdk(lambda: [m.id for m in backend.api.list_models(author=NAMESPACE, limit=2)])
    assert listed == [f"{NAMESPACE}/m0", f"{NAMESPACE}/m1"]
    every = await backend.sdk(lambda: [m.id for m in backend.api.list_models(author=NAMESPACE)])
    assert len(every) == 3
    for number in range(55):
        await backend.push("m0", {"a": str(number)})
    commits = await backend.sdk(backend.api.list_repo_commits, f"{NAMESPACE}/m0")
    assert len({commit.commit_id for commit in commits}) == 56, "two pages"


async def test_who_may_what(backend: HubBackend, tmp_path: Path) -> None:
    await make(backend, private=True)
    await backend.push("model", {"a": b"1"})
    reader, stranger = (HfApi(endpoint=backend.url, token=token) for token in (READER, STRANGER))
    assert (await backend.sdk(reader.model_info, REPO)).private
    with pytest.raises(HfHubHTTPError) as caught:
        await backend.sdk(reader.create_tag, REPO, tag="v1")
    assert caught.value.response.status_code == 403
    with pytest.raises(RepositoryNotFoundError):
        await backend.sdk(stranger.model_info, REPO)
    with pytest.raises(HfHubHTTPError) as invalid:
        await backend.sdk(HfApi(endpoint=backend.url, token="hf_wrong").model_info, REPO)
    assert invalid.value.response.status_code == 401
    await backend.sdk(backend.api.update_repo_settings, REPO, private=False, gated="manual")
    with pytest.raises(GatedRepoError):
        await backend.sdk(hf_hub_download, REPO, "a", endpoint=backend.url, cache_dir=tmp_path, token=STRANGER)


async def test_bad_card(backend: HubBackend) -> None:
    await make(backend)
    with pytest.raises(ValueError, match="license"):
        await backend.push("model", {"README.md": "---\nlicense: my-own\n---\n"})
    with pytest.raises(ValueError, match="base_model_relation"):
        await backend.push("model", {"README.md": "---\nbase_model: a/b\nbase_model_relation: cousin\n---\n"})


async def test_bad_names(backend: HubBackend) -> None:
    for name in ("a--b", "a..b", "-a", "a.git"):
        with pytest.raises((BadRequestError, ValueError)):
            await backend.sdk(backend.api.create_repo, f"{NAMESPACE}/{name}")


async def test_token_never_reaches_the_storage(backend: HubBackend, tmp_path: Path) -> None:
    """The trap: a redirect within the origin is followed with credentials, and its answer has no X-Repo-Commit."""
    await make(backend, private=True)
    await backend.push("model", {"weights.bin": b"w"})
    place = await backend.sdk(backend.api.hf_hub_download, REPO, "weights.bin", cache_dir=tmp_path)
    assert Path(place).read_bytes() == b"w"


async def test_card_is_read_back(backend: HubBackend, tmp_path: Path) -> None:
    await make(backend)
    await backend.push("model", {"README.md": "---\nlicense: mit\nbase_model: acme/base\n---\n# Hello\n"})
    info = await backend.sdk(backend.api.model_info, REPO)
    assert info.card_data is not None and info.card_data.license == "mit" and info.card_data.base_model == "acme/base"
    place = await backend.sdk(hf_hub_download, REPO, "README.md", endpoint=backend.url, cache_dir=tmp_path)
    assert metadata_load(place) == {"license": "mit", "base_model": "acme/base"}
