"""Bytes out: exact, from any offset, under any name."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import pytest

from fedreg.domain.capabilities import Operation
from fedreg.domain.errors import NotFound
from fedreg.domain.models import FileEntry
from fedreg.domain.port import RegistryAdapter
from fedreg.testing import steps
from fedreg.testing.backend import Backend
from fedreg.testing.marks import needs, proves

ODD_NAMES = [
    "with space.txt",
    "ümläut-空.bin",
    "per%cent%2Fencoded%20.txt",
    "hash#mark?query=1&x=y.txt",
    "a+b=c.txt",
    "quote'\"`;$.txt",
    ".hidden",
    "-rf",
    "a/b/c/d/e/f/g/h/deep.txt",
    "UPPER.TXT",
    "upper.txt",
    "tilde~star*[1].txt",
    "dots...txt",
    "e\u0301 decomposed",
    "\u00e9 composed",
]


@pytest.mark.asyncio
@proves("open_file")
@needs(Operation.OPEN_FILE, Operation.LIST_FILES)
class TestFiles:
    @pytest.mark.parametrize("size", [0, 1, 65_536])
    async def test_exact_bytes(self, adapter: RegistryAdapter, backend: Backend, size: int) -> None:
        files = {"data.bin": steps.pattern_bytes(size)}
        version = await steps.new_version(adapter, backend, files=files)
        assert await steps.read_all(adapter, version) == files

    async def test_big_file_from_any_offset(self, adapter: RegistryAdapter, backend: Backend) -> None:
        data = steps.pattern_bytes(backend.big_file)
        version = await steps.new_version(adapter, backend, files={"big.bin": data})
        [entry] = await steps.payload(adapter, version)
        assert entry.size == len(data)
        for offset in (0, 1, len(data) // 2, len(data) - 1, len(data)):
            read = await steps.gather(adapter.open_file(version.model, version.version, entry, offset))
            assert hashlib.sha256(read).digest() == hashlib.sha256(data[offset:]).digest(), f"offset {offset}"

    async def test_odd_names(self, adapter: RegistryAdapter, backend: Backend) -> None:
        files = {name: name.encode() for name in ODD_NAMES}
        version = await steps.new_version(adapter, backend, files=files)
        assert await steps.read_all(adapter, version) == files

    async def test_list_is_sorted_and_right(self, adapter: RegistryAdapter, backend: Backend) -> None:
        files: Mapping[str, bytes] = {"b": b"22", "a/z": b"1", "a.txt": b"333", "Z": b"4444", "ä": b""}
        version = await steps.new_version(adapter, backend, files=files)
        listed = await adapter.list_files(version.model, version.version)
        paths = [file.path for file in listed]
        assert paths == sorted(paths, key=str.encode), "sorted by the bytes of the path"
        for file in await steps.payload(adapter, version):
            assert file.size == len(files[file.path])
            assert file.sha256 in (None, hashlib.sha256(files[file.path]).hexdigest())

    async def test_digest_is_the_payloads(self, adapter: RegistryAdapter, backend: Backend) -> None:
        version = await steps.new_version(adapter, backend)
        expected = steps.manifest_of(steps.FILES).digest().value
        assert (await steps.read_manifest(adapter, version)).digest().value == expected
        assert version.digest is None or version.digest.value == expected

    async def test_versions_do_not_share_files(self, adapter: RegistryAdapter, backend: Backend) -> None:
        model = await steps.new_model(adapter, backend)
        first = await steps.new_version(adapter, backend, model, {"a": b"one", "only-first": b"x"})
        second = await steps.new_version(adapter, backend, model, {"a": b"two"})
        assert await steps.read_all(adapter, first) == {"a": b"one", "only-first": b"x"}
        assert await steps.read_all(adapter, second) == {"a": b"two"}

    async def test_unknown_file(self, adapter: RegistryAdapter, backend: Backend) -> None:
        version = await steps.new_version(adapter, backend)
        with pytest.raises(NotFound):
            await steps.gather(adapter.open_file(version.model, version.version, FileEntry(path="absent", size=1)))

    async def test_unknown_version(self, adapter: RegistryAdapter, backend: Backend) -> None:
        version = await steps.new_version(adapter, backend)
        with pytest.raises(NotFound):
            await adapter.list_files(version.model, "999999")
        with pytest.raises(NotFound):
            await adapter.list_files(backend.unique_name("missing"), "1")

    async def test_reader_may_stop_early(self, adapter: RegistryAdapter, backend: Backend) -> None:
        data = steps.pattern_bytes(backend.big_file)
        version = await steps.new_version(adapter, backend, files={"big.bin": data})
        [entry] = await steps.payload(adapter, version)
        stream = adapter.open_file(version.model, version.version, entry)
        first = await anext(aiter(stream))
        await stream.aclose()  # type: ignore[attr-defined]
        assert data.startswith(first) and first
        await adapter.ping()
