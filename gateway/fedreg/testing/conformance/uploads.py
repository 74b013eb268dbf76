"""Bytes in: uploads, versions of bytes already in place, native copies."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime

import pytest

from fedreg.domain.capabilities import Operation, Resume
from fedreg.domain.errors import FedregError, IntegrityError, InvalidRequest, NotFound
from fedreg.domain.models import Provenance, UploadState, Version, VersionDraft, VersionStatus
from fedreg.domain.port import RegistryAdapter
from fedreg.testing import steps
from fedreg.testing.backend import Backend
from fedreg.testing.marks import needs, proves

OUTSIDE = ["../x", "/etc/passwd", "a/../../x", "a//b", "./a", "a/.", "a\\..\\b", "", "C:/x", "nul\0byte", "a/"]


def through_storage(state: UploadState) -> UploadState:
    """The state as another process reads it: JSON values only."""
    stored = json.loads(json.dumps(asdict(state)))
    return UploadState(**stored)


@pytest.mark.asyncio
@proves("upload")
@needs(Operation.UPLOAD)
class TestUploads:
    async def test_arrives_whole(self, adapter: RegistryAdapter, backend: Backend, declared_packaging: str) -> None:
        version = await steps.new_version(adapter, backend, packaging=declared_packaging)
        assert await steps.read_all(adapter, version) == dict(steps.FILES)

    async def test_same_key_same_upload(self, adapter: RegistryAdapter, backend: Backend) -> None:
        model, key = await steps.new_model(adapter, backend), steps.new_key()
        state = await steps.begin(adapter, backend, model, steps.FILES, key)
        assert (state.key, state.model) == (key, model)
        assert await steps.begin(adapter, backend, model, steps.FILES, key) == state

    async def test_state_is_json_without_secrets(self, adapter: RegistryAdapter, backend: Backend) -> None:
        model = await steps.new_model(adapter, backend)
        state = await steps.begin(adapter, backend, model, steps.FILES, steps.new_key(), provenance=_held(adapter))
        assert through_storage(state) == state
        assert not any(secret in json.dumps(asdict(state)) for secret in backend.secrets)

    async def test_unknown_model(self, adapter: RegistryAdapter, backend: Backend) -> None:
        if adapter.capabilities.models == "implicit":
            pytest.skip("capability not declared: explicit models")
        with pytest.raises(NotFound):
            await steps.begin(adapter, backend, backend.unique_name("missing"), steps.FILES, steps.new_key())

    async def test_finish_twice(self, adapter: RegistryAdapter, backend: Backend) -> None:
        state = await steps.uploaded(adapter, backend, await steps.new_model(adapter, backend))
        version = await steps.finish(adapter, state)
        assert await steps.finish(adapter, state) == version
        assert await steps.all_versions(adapter, state.model) == [version]

    async def test_finish_at_once_from_two(self, adapter: RegistryAdapter, backend: Backend) -> None:
        """Two gateways finish the same upload: afterwards there is one ready version, and both know it."""
        state = await steps.uploaded(adapter, backend, await steps.new_model(adapter, backend))
        await asyncio.gather(*(steps.finish(adapter, state) for _ in range(2)), return_exceptions=True)
        version = await steps.finish(adapter, state)
        found = await steps.all_versions(adapter, state.model)
        assert [v.id for v in found if v.status is VersionStatus.READY] == [version.id]

    async def test_not_ready_before_finish(self, adapter: RegistryAdapter, backend: Backend) -> None:
        state = await steps.uploaded(adapter, backend, await steps.new_model(adapter, backend))
        try:
            found = await steps.all_versions(adapter, state.model)
        except NotFound:  # an implicit model that does not exist yet
            found = []
        assert all(version.status is not VersionStatus.READY for version in found)

    async def test_file_sent_again_replaces(self, adapter: RegistryAdapter, backend: Backend) -> None:
        model = await steps.new_model(adapter, backend)
        state = await steps.begin(adapter, backend, model, {"a": b"second"}, steps.new_key())
        await adapter.put_file(state, steps.file_source("a", b"first and longer"))
        receipt = await adapter.put_file(state, steps.file_source("a", b"second"))
        assert (receipt.path, receipt.size) == ("a", 6)
        assert await steps.read_all(adapter, await steps.finish(adapter, state)) == {"a": b"second"}

    async def test_several_at_once(self, adapter: RegistryAdapter, backend: Backend) -> None:
        files = {f"part-{n}.bin": steps.pattern_bytes(1000 + n) for n in range(_parallel(adapter))}
        model = await steps.new_model(adapter, backend)
        state = await steps.begin(adapter, backend, model, files, steps.new_key())
        await asyncio.gather(*(adapter.put_file(state, steps.file_source(p, d)) for p, d in files.items()))
        assert await steps.read_all(adapter, await steps.finish(adapter, state)) == files

    @pytest.mark.parametrize("size", [5, 7])
    async def test_wrong_size(self, adapter: RegistryAdapter, backend: Backend, size: int) -> None:
        await self._refused(adapter, backend, IntegrityError, size=size)

    async def test_wrong_sha256(self, adapter: RegistryAdapter, backend: Backend) -> None:
        await self._refused(adapter, backend, IntegrityError, sha256="0" * 64)

    async def test_sha256_is_optional_or_declared(self, adapter: RegistryAdapter, backend: Backend) -> None:
        said = adapter.capabilities.upload
        if said is not None and said.needs_sha256:
            await self._refused(adapter, backend, InvalidRequest, sha256=None)
            return
        state = await steps.begin(
            adapter, backend, await steps.new_model(adapter, backend), {"a": b"123456"}, steps.new_key()
        )
        await adapter.put_file(state, steps.file_source("a", b"123456", sha256=None))
        assert await steps.read_all(adapter, await steps.finish(adapter, state)) == {"a": b"123456"}

    async def _refused(
        self,
        adapter: RegistryAdapter,
        backend: Backend,
        error: type[FedregError],
        size: int | None = None,
        sha256: str | None = "",
    ) -> None:
        state = await steps.begin(
            adapter, backend, await steps.new_model(adapter, backend), {"a": b"123456"}, steps.new_key()
        )
        with pytest.raises(error):
            await adapter.put_file(state, steps.file_source("a", b"123456", size=size, sha256=sha256))

    @pytest.mark.parametrize("path", OUTSIDE)
    async def test_path_that_leads_outside(self, adapter: RegistryAdapter, backend: Backend, path: str) -> None:
        state = await steps.begin(adapter, backend, await steps.new_model(adapter, backend), {}, steps.new_key())
        with pytest.raises(InvalidRequest):
            await adapter.put_file(state, steps.file_source(path, b"x"))

    async def test_resumes_in_another_process(self, adapter: RegistryAdapter, backend: Backend) -> None:
        """What was put stays, unless nothing of an interrupted upload is kept; then all is put again."""
        model, key = await steps.new_model(adapter, backend), steps.new_key()
        state = await steps.begin(adapter, backend, model, steps.FILES, key)
        first, *rest = steps.FILES
        await adapter.put_file(state, steps.file_source(first, steps.FILES[first]))
        other = await backend.open_adapter()
        try:
            again = through_storage(await steps.begin(other, backend, model, steps.FILES, key))
            assert again == state
            if adapter.capabilities.upload is not None and adapter.capabilities.upload.resume is Resume.NONE:
                rest = list(steps.FILES)
            await steps.put_all(other, again, {path: steps.FILES[path] for path in rest})
            version = await steps.finish(other, through_storage(again))
            assert await steps.read_all(other, version) == dict(steps.FILES)
        finally:
            await other.aclose()

    async def test_reads_back_before_finish(self, adapter: RegistryAdapter, backend: Backend) -> None:
        if adapter.capabilities.upload is None or not adapter.capabilities.upload.readback:
            pytest.skip("capability not declared: upload.readback")
        state = await steps.uploaded(adapter, backend, await steps.new_model(adapter, backend))
        for path, data in steps.FILES.items():
            assert await steps.gather(adapter.open_uploaded(state, path)) == data
            assert await steps.gather(adapter.open_uploaded(state, path, 3)) == data[3:]

    async def test_abort(self, adapter: RegistryAdapter, backend: Backend) -> None:
        model = await steps.new_model(adapter, backend)
        state = await steps.uploaded(adapter, backend, model)
        await adapter.abort(state)
        await adapter.abort(state)
        if adapter.capabilities.models == "explicit":
            assert await steps.all_versions(adapter, model) == []
            assert await adapter.find_version(model, state.key) is None

    async def test_abort_spares_a_ready_version(self, adapter: RegistryAdapter, backend: Backend) -> None:
        state = await steps.uploaded(adapter, backend, await steps.new_model(adapter, backend))
        version = await steps.finish(adapter, state)
        await adapter.abort(state)
        assert await adapter.get_version(version.model, version.version) == version
        assert await steps.read_all(adapter, version) == dict(steps.FILES)

    async def test_abort_spares_other_uploads(self, adapter: RegistryAdapter, backend: Backend) -> None:
        model = await steps.new_model(adapter, backend)
        dropped = await steps.uploaded(adapter, backend, model)
        kept = await steps.uploaded(adapter, backend, model)
        await adapter.abort(dropped)
        assert await steps.read_all(adapter, await steps.finish(adapter, kept)) == dict(steps.FILES)

    async def test_part_of_a_file_is_not_sent_twice(self, adapter: RegistryAdapter, backend: Backend) -> None:
        said = adapter.capabilities.upload
        if said is None or said.resume is not Resume.PART:
            pytest.skip("capability not declared: upload.resume part")
        data = steps.pattern_bytes(backend.big_file)
        state = await steps.begin(
            adapter, backend, await steps.new_model(adapter, backend), {"big": data}, steps.new_key()
        )
        whole = steps.file_source("big", data)

        async def breaks_off(offset: int) -> AsyncIterator[bytes]:
            async for chunk in whole.open_at(offset):
                if offset >= len(data) - steps.CHUNK:
                    raise IntegrityError("the source broke off")
                offset += len(chunk)
                yield chunk

        with pytest.raises(FedregError):
            await adapter.put_file(state, replace(whole, open_at=breaks_off))
        before = (await backend.traffic()).received
        await adapter.put_file(state, whole)
        assert (await backend.traffic()).received - before < len(data)
        assert await steps.read_all(adapter, await steps.finish(adapter, state)) == {"big": data}


@pytest.mark.asyncio
@proves("create_version")
@needs(Operation.CREATE_VERSION)
class TestCreateVersion:
    async def test_of_bytes_in_place(self, adapter: RegistryAdapter, backend: Backend) -> None:
        version = await self._create(adapter, backend, steps.FILES, await steps.new_model(adapter, backend))
        assert version.status is VersionStatus.READY
        if adapter.capabilities.supports(Operation.OPEN_FILE):
            assert await steps.read_all(adapter, version) == dict(steps.FILES)

    async def test_same_key_same_version(self, adapter: RegistryAdapter, backend: Backend) -> None:
        model, key = await steps.new_model(adapter, backend), steps.new_key()
        draft = VersionDraft(model=model, source_uri=await backend.place(steps.FILES))
        version = await adapter.create_version(backend.draft(draft), key)
        assert await adapter.create_version(backend.draft(draft), key) == version
        assert await steps.all_versions(adapter, model) == [version]

    async def _create(
        self, adapter: RegistryAdapter, backend: Backend, files: Mapping[str, bytes], model: str
    ) -> Version:
        draft = VersionDraft(model=model, source_uri=await backend.place(files))
        return await adapter.create_version(backend.draft(draft), steps.new_key())


@pytest.mark.asyncio
@proves("copy_native")
@needs(Operation.COPY_NATIVE)
class TestCopyNative:
    async def test_into_another_model(self, adapter: RegistryAdapter, backend: Backend) -> None:
        source = await steps.new_version(adapter, backend)
        target = await steps.new_model(adapter, backend)
        copy = await adapter.copy_native(source.id, target, steps.new_key())
        assert copy.model == target and copy.identity != source.identity
        if adapter.capabilities.supports(Operation.OPEN_FILE):
            assert await steps.read_all(adapter, copy) == dict(steps.FILES)
        assert await adapter.get_version(source.model, source.version) == source

    async def test_same_key_same_version(self, adapter: RegistryAdapter, backend: Backend) -> None:
        source, key = await steps.new_version(adapter, backend), steps.new_key()
        target = await steps.new_model(adapter, backend)
        copy = await adapter.copy_native(source.id, target, key)
        assert await adapter.copy_native(source.id, target, key) == copy
        assert await steps.all_versions(adapter, target) == [copy]


def _parallel(adapter: RegistryAdapter) -> int:
    return max(adapter.capabilities.upload.parallel, 2) if adapter.capabilities.upload is not None else 2


def _held(adapter: RegistryAdapter) -> Provenance:
    """A provenance with a time in it, which is no JSON value, where provenance is held."""
    time = datetime(2024, 2, 29, 12, tzinfo=UTC)
    return Provenance(created_at=time) if "provenance" in adapter.capabilities.fields else Provenance()
