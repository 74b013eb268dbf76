"""Uploads: how many commits, which bytes, and one version whatever gets lost or comes late."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from fedreg.domain.errors import (
    Conflict,
    FedregError,
    IntegrityError,
    InvalidRequest,
    NotFound,
    RegistryError,
    Unsupported,
)
from fedreg.domain.manifest import MANIFEST_PATH
from fedreg.domain.models import ModelDraft, Provenance, VersionDraft, VersionStatus
from fedreg.testing import steps
from fedreg.testing.backend import Fault, FaultKind, Match
from fedreg_adapters.huggingface.adapter import HuggingFaceAdapter

from .backend import NAMESPACE, REPO, HubBackend

COMMIT = Match(method="POST", path=rf"{REPO}/commit/main$")
STAGE = Match(method="POST", path=rf"{REPO}/commit/fedreg-upload-")
TAG = Match(method="POST", path=rf"{REPO}/tag/")
UNSTAGE = Match(method="DELETE", path=rf"{REPO}/branch/fedreg-upload-")
KINDS = [FaultKind.LOST_REPLY, FaultKind.LATE_APPLY, FaultKind.RESET]


async def finish_until_done(adapter: HuggingFaceAdapter, state: object) -> object:
    for _ in range(3):
        try:
            return await adapter.finish(state)  # type: ignore[arg-type]
        except FedregError as error:
            assert error.retryable, error
    raise AssertionError("finish never succeeded")


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("match", [COMMIT, TAG, UNSTAGE], ids=["commit", "tag", "drop"])
async def test_one_version_whatever_is_lost(
    adapter: HuggingFaceAdapter, backend: HubBackend, kind: FaultKind, match: Match
) -> None:
    state = await steps.uploaded(adapter, backend, await steps.new_model(adapter, backend))
    backend.proxy.inject(Fault(kind=kind, match=match))
    version = await finish_until_done(adapter, state)
    assert backend.proxy.fired == 1
    await backend.proxy.release()
    assert await adapter.finish(state) == version
    assert [found.version for found in await steps.all_versions(adapter, state.model)] == ["v1"]
    repo = backend.repo(state.model)
    assert [commit.title for commit in repo.history("main")] == ["Version v1", "initial commit"]
    assert set(repo.branches) == {"main"}


@pytest.mark.parametrize("kind", KINDS, ids=str)
async def test_a_late_commit_of_a_file_is_refused(
    adapter: HuggingFaceAdapter, backend: HubBackend, kind: FaultKind
) -> None:
    model = await steps.new_model(adapter, backend)
    state = await steps.begin(adapter, backend, model, {"a": b"second"}, steps.new_key())
    backend.proxy.inject(Fault(kind=kind, match=STAGE))
    await adapter.put_file(state, steps.file_source("a", b"first"))
    await adapter.put_file(state, steps.file_source("a", b"second"))
    await backend.proxy.release()
    assert await steps.read_all(adapter, await steps.finish(adapter, state)) == {"a": b"second"}


async def test_files_that_arrive_together_share_commits(adapter: HuggingFaceAdapter, backend: HubBackend) -> None:
    files = {f"{number}.json": b"x" * number for number in range(1, 25)}
    model = await steps.new_model(adapter, backend)
    state = await steps.begin(adapter, backend, model, files, steps.new_key())
    await asyncio.gather(*(adapter.put_file(state, steps.file_source(path, data)) for path, data in files.items()))
    branch = str(state.data["branch"])
    assert len(backend.repo(model).history(branch)) < len(files), "fewer commits than files"
    assert await steps.read_all(adapter, await steps.finish(adapter, state)) == files


async def test_bytes_that_are_there_are_not_sent_again(adapter: HuggingFaceAdapter, backend: HubBackend) -> None:
    await steps.new_version(adapter, backend)
    puts = Match(method="PUT", path="^/lfs/upload/")
    backend.proxy.inject(Fault(kind=FaultKind.STATUS, match=puts, times=0, status=500))
    await steps.new_version(adapter, backend)
    assert backend.proxy.fired == 0
    model = await steps.new_model(adapter, backend)
    state = await steps.begin(adapter, backend, model, {}, steps.new_key())
    wrong = steps.file_source("a.bin", b"other", sha256=hashlib.sha256(steps.FILES["model.bin"]).hexdigest())
    with pytest.raises(IntegrityError):
        await adapter.put_file(state, wrong)


@pytest.mark.parametrize("resolve_cache", [False, True])
async def test_lfs_in_parts_and_redirects_of_small_files(resolve_cache: bool) -> None:
    backend = HubBackend(multipart_from=6 * 1024 * 1024, resolve_cache=resolve_cache)
    await backend.start()
    adapter = await backend.open_adapter()
    try:
        files = {"big.dat": steps.pattern_bytes(11 * 1024 * 1024 + 3), "small.json": b"0123456789"}
        model = await steps.new_model(adapter, backend)
        state = await steps.begin(adapter, backend, model, files, steps.new_key())
        part = Match(method="PUT", path="^/lfs/upload/[0-9a-f]+/2")
        backend.proxy.inject(Fault(kind=FaultKind.RESET, match=part))
        await steps.put_all(adapter, state, files)
        assert backend.proxy.fired == 1
        version = await steps.finish(adapter, state)
        assert await steps.read_all(adapter, version) == files
        assert await steps.read(adapter, version, "small.json", 4) == b"456789"
        bad = steps.file_source("bad.dat", files["big.dat"], sha256="0" * 64)
        other = await steps.begin(adapter, backend, model, {}, steps.new_key())
        with pytest.raises(IntegrityError):
            await adapter.put_file(other, bad)
    finally:
        await adapter.aclose()
        await backend.aclose()


async def test_others_commit_meanwhile(adapter: HuggingFaceAdapter, backend: HubBackend) -> None:
    """A commit that slips in between is seen by its parent; what it added is no file of the version."""
    state = await steps.uploaded(adapter, backend, await steps.new_model(adapter, backend))
    held = Fault(kind=FaultKind.LATE_APPLY, match=COMMIT, times=1)
    backend.proxy.inject(held)
    task = asyncio.create_task(adapter.finish(state))
    version = await task
    await backend.push(state.model, {"theirs.txt": b"x"})
    await backend.proxy.release()
    assert await steps.read_all(adapter, version) == dict(steps.FILES)
    assert backend.repo(state.model).history("main")[0].title == "Pushed"


async def test_two_uploads_at_once_get_two_numbers(adapter: HuggingFaceAdapter, backend: HubBackend) -> None:
    model = await steps.new_model(adapter, backend)
    states = [await steps.uploaded(adapter, backend, model, {"n.bin": bytes([n])}) for n in range(3)]
    made = await asyncio.gather(*(adapter.finish(state) for state in states))
    assert sorted(version.version for version in made) == ["v1", "v2", "v3"]
    for state, version in zip(states, made, strict=True):
        assert await adapter.find_version(model, state.key) == version


async def test_a_deleted_version_is_not_taken_up_again(adapter: HuggingFaceAdapter, backend: HubBackend) -> None:
    key = steps.new_key()
    first = await steps.new_version(adapter, backend, key=key)
    await adapter.delete_version(first.model, first.version)
    again = await steps.new_version(adapter, backend, first.model, key=key)
    assert (again.version, again.identity != first.identity) == ("v2", True)
    assert [found.version for found in await steps.all_versions(adapter, first.model)] == ["v2"]


async def test_history_that_was_squashed(adapter: HuggingFaceAdapter, backend: HubBackend) -> None:
    key = steps.new_key()
    version = await steps.new_version(adapter, backend, key=key)
    repo = backend.repo(version.model)
    head = repo.resolve("main")
    repo.branches["main"] = backend.hub.commit(repo, None, head.files, "Squashed", "", "ann").oid
    assert await adapter.find_version(version.model, key) == version


async def test_a_key_far_back(adapter: HuggingFaceAdapter, backend: HubBackend) -> None:
    """It is found beyond the first page of commits, and so is that it is not there."""
    key = steps.new_key()
    version = await steps.new_version(adapter, backend, key=key)
    repo = backend.repo(version.model)
    for number in range(120):
        head = repo.resolve("main")
        repo.branches["main"] = backend.hub.commit(repo, head.oid, head.files, f"Edit {number}", "", "ann").oid
    del repo.tags["v1"]
    assert await adapter.find_version(version.model, key) is None
    repo.tags["v1"] = version.identity
    assert await adapter.find_version(version.model, key) == version
    assert await adapter.find_version(version.model, steps.new_key()) is None


@pytest.mark.parametrize("body", ["{}", '{"files": []}', '{"files": [{}]}', "[]"])
async def test_an_odd_answer_about_a_file(adapter: HuggingFaceAdapter, backend: HubBackend, body: str) -> None:
    model = await steps.new_model(adapter, backend)
    state = await steps.begin(adapter, backend, model, {}, steps.new_key())
    asked = Match(method="POST", path="/preupload/")
    backend.proxy.inject(Fault(kind=FaultKind.STATUS, match=asked, times=0, status=200, body=body))
    with pytest.raises(RegistryError):
        await adapter.put_file(state, steps.file_source("a", b"x"))


async def test_finish_without_files(adapter: HuggingFaceAdapter, backend: HubBackend) -> None:
    model = await steps.new_model(adapter, backend)
    empty = await steps.begin(adapter, backend, model, {}, steps.new_key())
    with pytest.raises(InvalidRequest, match="no files"):
        await adapter.finish(empty)
    missing = await steps.begin(adapter, backend, model, steps.FILES, steps.new_key())
    await adapter.put_file(missing, steps.file_source("model.bin", steps.FILES["model.bin"]))
    with pytest.raises(Conflict, match=r"conf/params\.json"):
        await adapter.finish(missing)
    await adapter.abort(missing)
    with pytest.raises(Conflict, match="aborted"):
        await adapter.finish(missing)
    with pytest.raises(Conflict, match="aborted"):
        await adapter.put_file(missing, steps.file_source("a", b"x"))
    with pytest.raises(NotFound):
        await adapter.poll(missing)


async def test_the_hubs_own_file_is_refused(adapter: HuggingFaceAdapter, backend: HubBackend) -> None:
    model = await steps.new_model(adapter, backend)
    with pytest.raises(Unsupported, match="gitattributes"):
        await steps.begin(adapter, backend, model, {".gitattributes": b"x"}, steps.new_key())
    state = await steps.begin(adapter, backend, model, {}, steps.new_key())
    with pytest.raises(InvalidRequest, match="gitattributes"):
        await adapter.put_file(state, steps.file_source(".gitattributes", b"x"))
    with pytest.raises(Unsupported, match="version"):
        await adapter.begin_upload(VersionDraft(model=model, version="7"), steps.new_key())


async def test_the_manifest_of_a_copy_comes_without_sha256(adapter: HuggingFaceAdapter, backend: HubBackend) -> None:
    model = await steps.new_model(adapter, backend)
    state = await steps.uploaded(adapter, backend, model)
    await adapter.put_file(state, steps.file_source(MANIFEST_PATH, b"{}", sha256=None))
    version = await steps.finish(adapter, state)
    assert MANIFEST_PATH in {file.path for file in await adapter.list_files(model, version.version)}


async def test_a_license_that_the_hub_does_not_list(adapter: HuggingFaceAdapter, backend: HubBackend) -> None:
    known = Provenance(extra={"license": "acme-internal"})
    version = await steps.new_version(adapter, backend, provenance=known)
    info = await backend.sdk(backend.api.model_info, f"{NAMESPACE}/{version.model}")
    assert info.card_data is not None
    assert (info.card_data.license, info.card_data.license_name) == ("other", "acme-internal")
    assert version.provenance.extra["license"] == "acme-internal", "the record keeps what the source said"


async def test_card_of_the_parent_does_not_stay(backend: HubBackend) -> None:
    """A README.md in the upload replaces a generated one; without cards an inherited one goes."""
    with_cards, without = await backend.open_adapter(), await backend.open_adapter(card=False)
    try:
        model = (await with_cards.create_model(ModelDraft(name="cards"))).name
        await steps.new_version(with_cards, backend, model)
        second = await steps.new_version(without, backend, model, {"a": b"1"})
        files = backend.repo(model).commits[second.identity].files
        assert set(files) == {".gitattributes", "a"}
        assert second.status is VersionStatus.READY
    finally:
        await with_cards.aclose()
        await without.aclose()


@pytest.mark.parametrize("name", ["a.bin", "b.json"])
async def test_sources_are_closed(adapter: HuggingFaceAdapter, backend: HubBackend, name: str) -> None:
    """A source may hold a connection: what is read in part only, for a sample, is closed too."""
    model = await steps.new_model(adapter, backend)
    state = await steps.begin(adapter, backend, model, {}, steps.new_key())
    data = steps.pattern_bytes(600_000)
    source, ends = steps.file_source(name, data), list[str]()

    async def open_at(offset: int) -> AsyncIterator[bytes]:
        ends.append("opened")
        try:
            async for chunk in source.open_at(offset):
                yield chunk
        finally:
            ends.append("closed")

    await adapter.put_file(state, replace(source, open_at=open_at))
    assert ends == ["opened", "closed"] * 2
