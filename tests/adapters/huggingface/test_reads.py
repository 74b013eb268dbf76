"""Versions, pointers and drift; gated, private and disabled repositories; scans of files; renamed repositories."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fedreg.domain.errors import (
    InvalidRequest,
    NotFound,
    PreconditionFailed,
    RegistryAuthError,
    RegistryError,
    Unsupported,
)
from fedreg.domain.models import PageRequest, VersionStatus
from fedreg.domain.stages import StageOptions
from fedreg.testing import steps
from fedreg.testing.backend import Fault, FaultKind, Match
from fedreg_adapters.huggingface.adapter import HuggingFaceAdapter

from .backend import NAMESPACE, REPO, STRANGER, HubBackend


async def test_main_is_no_version(adapter: HuggingFaceAdapter, backend: HubBackend) -> None:
    version = await steps.new_version(adapter, backend)
    with pytest.raises(NotFound):
        await adapter.get_version(version.model, "main")
    with pytest.raises(InvalidRequest):
        await adapter.set_alias(version.model, "main", version.version)
    with pytest.raises(NotFound):
        await adapter.delete_alias(version.model, "main")


async def test_a_commit_is_a_version(adapter: HuggingFaceAdapter, backend: HubBackend) -> None:
    version = await steps.new_version(adapter, backend)
    by_commit = await adapter.get_version(version.model, version.identity)
    assert by_commit == replace(version, version=version.identity)
    assert await steps.read_all(adapter, by_commit) == dict(steps.FILES)
    with pytest.raises(NotFound):
        await adapter.get_version(version.model, "0" * 40)
    with pytest.raises(Unsupported, match="without a tag"):
        untagged = await backend.push(version.model, {"a": b"1"})
        await adapter.delete_version(version.model, untagged)


async def test_versions_are_in_the_order_of_their_numbers(adapter: HuggingFaceAdapter, backend: HubBackend) -> None:
    version = await steps.new_version(adapter, backend)
    repo = backend.repo(version.model)
    for tag in ("v10", "v9", "beta", "v2.1"):
        repo.tags[tag] = (await backend.push(version.model, {"a": tag}))[:40]
    expected = ["beta", "v1", "v2.1", "v9", "v10"]
    assert [found.version for found in await steps.all_versions(adapter, version.model, limit=2)] == expected
    assert (await steps.new_version(adapter, backend, version.model)).version == "v11"


async def test_a_stage_that_drifted(adapter: HuggingFaceAdapter, backend: HubBackend) -> None:
    """Somebody pushes to the branch that holds production: what is in production is no version, and is shown."""
    version = await steps.new_version(adapter, backend)
    await adapter.set_stage(version.id, "production")
    await adapter.set_alias(version.model, "dev", version.version)
    repo = backend.repo(version.model)
    pushed = await backend.push(version.model, {"hotfix.txt": b"x"})
    repo.branches |= {"production": pushed, "dev": pushed}
    first, drifted = await steps.all_versions(adapter, version.model)
    assert (first.version, first.stage, first.aliases) == ("v1", "none", ())
    assert (drifted.version, drifted.identity, drifted.stage) == (pushed, pushed, "production")
    assert drifted.status_message == "drifted: branch 'production' is at a commit without a tag"
    assert dict((await adapter.get_model(version.model)).aliases) == {"dev": pushed}
    assert drifted in [found for batch in await steps.scan_all(adapter) for found in batch.versions]
    with pytest.raises(PreconditionFailed):
        await adapter.set_stage(version.id, "production", "production")
    await adapter.set_stage(version.id, "production")
    assert [found.version for found in await steps.all_versions(adapter, version.model)] == ["v1"]


async def test_two_tags_of_one_commit(adapter: HuggingFaceAdapter, backend: HubBackend) -> None:
    version = await steps.new_version(adapter, backend)
    backend.repo(version.model).tags["stable"] = version.identity
    await adapter.set_stage(version.id, "production")
    await adapter.delete_version(version.model, "stable")
    assert (await adapter.get_version(version.model, "v1")).stage == "production", "the other tag is still there"


async def test_other_words_for_stages(backend: HubBackend) -> None:
    adapter = await backend.open_adapter(stages=StageOptions(map={"production": "live"}))
    try:
        version = await steps.new_version(adapter, backend)
        assert (await adapter.set_stage(version.id, "production")).native_stages == ("live",)
        assert backend.repo(version.model).branches["live"] == version.identity
        with pytest.raises(InvalidRequest):
            await adapter.set_alias(version.model, "live", version.version)
        await adapter.set_alias(version.model, "production", version.version)
    finally:
        await adapter.aclose()


async def test_an_alias_is_no_tag(adapter: HuggingFaceAdapter, backend: HubBackend) -> None:
    version = await steps.new_version(adapter, backend)
    with pytest.raises(InvalidRequest, match="tag"):
        await adapter.set_alias(version.model, "v1", version.version)


async def test_gated(adapter: HuggingFaceAdapter, backend: HubBackend) -> None:
    """A gated repository is listed; its files are behind a request for access, which the error names."""
    version = await steps.new_version(adapter, backend)
    repo = backend.repo(version.model)
    repo.private, repo.gated = False, "manual"
    stranger = await backend.open_adapter(token=STRANGER)
    try:
        found = await stranger.get_version(version.model, version.version)
        [file, *_] = await steps.payload(stranger, found)
        with pytest.raises(RegistryAuthError, match="restricted") as caught:
            await steps.gather(stranger.open_file(version.model, version.version, file))
        assert caught.value.upstream_code == "GatedRepo" and "ask for access" in (caught.value.cure or "")
    finally:
        await stranger.aclose()


async def test_refs_behind_a_gate_do_not_hide_the_others(adapter: HuggingFaceAdapter, backend: HubBackend) -> None:
    behind, open_one = [await steps.new_version(adapter, backend) for _ in range(2)]
    gate = Match(method="GET", path=rf"/{behind.model}/refs$")
    headers = {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access to model is restricted."}
    backend.proxy.inject(Fault(kind=FaultKind.STATUS, match=gate, times=0, status=403, headers=headers))
    assert {model.name for model in await steps.all_models(adapter)} == {behind.model, open_one.model}


async def test_private(adapter: HuggingFaceAdapter, backend: HubBackend) -> None:
    """The Hub does not say of a private repository that it exists."""
    version = await steps.new_version(adapter, backend)
    for token in (STRANGER, None):
        stranger = await backend.open_adapter(token=token)
        try:
            with pytest.raises(NotFound):
                await stranger.get_model(version.model)
            assert await steps.all_models(stranger) == []
        finally:
            await stranger.aclose()


async def test_disabled(adapter: HuggingFaceAdapter, backend: HubBackend) -> None:
    version = await steps.new_version(adapter, backend)
    backend.repo(version.model).disabled = True
    found = await adapter.get_version(version.model, version.version)
    assert (found.status, found.status_message) == (VersionStatus.FAILED, "the Hub has disabled this repository")
    with pytest.raises(RegistryAuthError, match="disabled"):
        await steps.read(adapter, version, "model.bin")


@pytest.mark.parametrize("refuse", [False, True])
async def test_what_the_hubs_scan_found(backend: HubBackend, refuse: bool) -> None:
    adapter = await backend.open_adapter(refuse_unsafe=refuse)
    try:
        version = await steps.new_version(adapter, backend)
        issue = {"path": "model.bin", "level": "unsafe"}
        backend.repo(version.model).issues[version.identity] = [issue]
        found = await adapter.get_version(version.model, version.version)
        assert found.status is (VersionStatus.FAILED if refuse else VersionStatus.READY)
        assert found.status_message == "the Hub's scan: model.bin is unsafe"
    finally:
        await adapter.aclose()


async def test_renamed(adapter: HuggingFaceAdapter, backend: HubBackend) -> None:
    """A redirect of the API is not followed: the name would be that of another model."""
    version = await steps.new_version(adapter, backend)
    moved = Match(method="GET", path=rf"{REPO}$")
    headers = {"Location": f"/api/models/{NAMESPACE}/new-name"}
    backend.proxy.inject(Fault(kind=FaultKind.STATUS, match=moved, times=0, status=307, headers=headers))
    with pytest.raises(RegistryError, match="new-name"):
        await adapter.get_model(version.model)


async def test_many_files(adapter: HuggingFaceAdapter, backend: HubBackend) -> None:
    """A tree of more than a page; a version of more than a page of commits behind it."""
    version = await steps.new_version(adapter, backend)
    repo = backend.repo(version.model)
    commit = repo.commits[version.identity]
    more = {f"shards/{number:05}.json": backend.hub.blob(b"%d" % number) for number in range(1500)}
    repo.commits[version.identity] = replace(commit, files={**commit.files, **more})
    assert len(await steps.payload(adapter, version)) == 1502


async def test_pages_keep_their_place(adapter: HuggingFaceAdapter, backend: HubBackend) -> None:
    version = await steps.new_version(adapter, backend)
    repo = backend.repo(version.model)
    repo.tags |= {f"v{number}": version.identity for number in range(2, 6)}
    page = await adapter.list_versions(version.model, PageRequest(limit=2))
    del repo.tags["v2"]
    following = await adapter.list_versions(version.model, PageRequest(limit=2, token=page.next_token))
    assert [found.version for found in following.items] == ["v3", "v4"], "a deleted version shifts nothing"
