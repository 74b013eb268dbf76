"""Spoilt bytes are never taken for good ones."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from fedreg.domain.capabilities import Operation
from fedreg.domain.errors import FedregError, IntegrityError
from fedreg.domain.manifest import Basis
from fedreg.domain.port import RegistryAdapter
from fedreg.testing import steps
from fedreg.testing.backend import Action, Backend, Fault, FaultKind
from fedreg.testing.conformance.faults import faults_of
from fedreg.testing.marks import injects_faults, needs, proves


@pytest.mark.asyncio
@proves("integrity")
@needs(Operation.OPEN_FILE, Operation.LIST_FILES)
class TestIntegrity:
    @injects_faults
    async def test_broken_off_download_goes_on(self, adapter: RegistryAdapter, backend: Backend) -> None:
        faults, data = faults_of(backend), steps.pattern_bytes(300_000)
        version = await steps.new_version(adapter, backend, files={"a.bin": data})
        match = backend.request_of(Action.OPEN_FILE)
        faults.inject(Fault(kind=FaultKind.TRUNCATE, match=match, at=100_000))
        assert await steps.read(adapter, version, "a.bin") == data
        assert faults.fired == 1, "the fault never met its request: request_of() is wrong"

    @injects_faults
    async def test_download_that_never_comes(self, adapter: RegistryAdapter, backend: Backend) -> None:
        """A file that breaks off each time is an error, not a shorter file."""
        faults = faults_of(backend)
        version = await steps.new_version(adapter, backend, files={"a.bin": b"0123456789"})
        match = backend.request_of(Action.OPEN_FILE)
        faults.inject(Fault(kind=FaultKind.TRUNCATE, match=match, at=0, times=0))
        with pytest.raises(FedregError):
            await steps.read(adapter, version, "a.bin")
        assert faults.fired >= 1

    @pytest.mark.parametrize("offset", [0, 4])
    async def test_shorter_than_listed(self, adapter: RegistryAdapter, backend: Backend, offset: int) -> None:
        version = await steps.new_version(adapter, backend, files={"a.bin": b"0123456789"})
        [entry] = await steps.payload(adapter, version)
        longer = replace(entry, size=11, etag=None, sha256=None)
        with pytest.raises(IntegrityError):
            await steps.gather(adapter.open_file(version.model, version.version, longer, offset))

    @injects_faults
    async def test_flipped_on_the_way_out(self, adapter: RegistryAdapter, backend: Backend) -> None:
        """Found by hashing what was read; where the registry vouches for a sha256, by comparing with it."""
        faults = faults_of(backend)
        files = {"a.bin": b"0123456789"}
        version = await steps.new_version(adapter, backend, files=files)
        faults.inject(Fault(kind=FaultKind.FLIP_DOWNLOAD, match=backend.request_of(Action.OPEN_FILE), at=3))
        assert await steps.differs(adapter, version, files)
        assert faults.fired == 1
        assert not await steps.differs(adapter, version, files), "what is stored is sound"

    @injects_faults
    @needs(Operation.UPLOAD)
    async def test_flipped_on_the_way_in(self, adapter: RegistryAdapter, backend: Backend) -> None:
        """Refused where a checksum travels along; else nothing vouches for the bytes that were meant."""
        faults, good, refused = faults_of(backend), {"a.bin": b"0123456789"}, False
        model = await steps.new_model(adapter, backend)
        state = await steps.begin(adapter, backend, model, good, steps.new_key())
        faults.inject(Fault(kind=FaultKind.FLIP_UPLOAD, match=backend.request_of(Action.PUT_FILE), at=3))
        try:
            await steps.put_all(adapter, state, good)
        except IntegrityError:
            refused = True
            await steps.put_all(adapter, state, good)
        assert faults.fired == 1, "the fault never met its request: request_of() is wrong"
        version = await steps.finish(adapter, state)
        stored = await steps.read_all(adapter, version)
        assert not refused or stored == good, "sent again after a refusal, it is sound"
        [entry] = await steps.payload(adapter, version)
        assert entry.sha256 in (None, hashlib.sha256(stored["a.bin"]).hexdigest())
        said = version.digest
        assert said is None or said.basis is Basis.CLAIMED or said.value == steps.manifest_of(stored).digest().value

    async def test_changed_at_the_destination(self, adapter: RegistryAdapter, backend: Backend) -> None:
        version = await steps.new_version(adapter, backend)
        assert not await steps.differs(adapter, version, steps.FILES)
        await backend.tamper(version, "model.bin")
        assert await steps.differs(adapter, version, steps.FILES)

    @pytest.mark.parametrize("path", ["../outside", "/absolute", "a/../../b"])
    async def test_path_that_leads_outside(self, adapter: RegistryAdapter, backend: Backend, path: str) -> None:
        """Where somebody managed to store such a path, it is never listed as if it were sound."""
        version = await steps.new_version(adapter, backend)
        if await backend.plant(version, path):
            with pytest.raises(IntegrityError):
                await adapter.list_files(version.model, version.version)

    async def test_hostile_archives(self, adapter: RegistryAdapter, backend: Backend) -> None:
        said = adapter.capabilities.upload
        if said is None or all(packaging == "files" for packaging in said.packaging):
            pytest.skip("capability not declared: archive packaging")
        hostile = await backend.hostile_archives()
        assert hostile
        for version in hostile:
            with pytest.raises(IntegrityError):
                for file in await adapter.list_files(version.model, version.version):
                    await steps.gather(adapter.open_file(version.model, version.version, file))
