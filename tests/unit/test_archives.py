"""Archives: the same bytes each time, and nothing of a hostile one let in."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedreg.domain.errors import IntegrityError, InvalidRequest
from fedreg.domain.models import FileSource
from fedreg_adapters.shared.archives import ArchiveLimits, pack, packed_at_most, read_member, unpack


def source(path: str, data: bytes, *, size: int | None = None, sha256: str | None = None) -> FileSource:
    async def open_at(offset: int) -> AsyncIterator[bytes]:
        for start in range(offset, len(data), 1000):
            yield data[start : start + 1000]

    return FileSource(path=path, size=len(data) if size is None else size, open_at=open_at, sha256=sha256)


async def packed(files: dict[str, bytes]) -> bytes:
    return b"".join([chunk async for chunk in pack([source(path, data) for path, data in files.items()])])


async def stream(data: bytes, step: int = 777) -> AsyncIterator[bytes]:
    for start in range(0, len(data), step):
        yield data[start : start + step]


async def content(chunks: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in chunks])


def tar_gz(*entries: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for entry, data in entries:
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def entry(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


async def test_known_bytes_and_order_of_members() -> None:
    files = {"b/x": b"2", "a": b"1", "b-x": b"3"}
    first = await packed(files)
    assert first == await packed(dict(reversed(files.items())))
    with tarfile.open(fileobj=io.BytesIO(first)) as archive:
        members = archive.getmembers()
    assert [m.name for m in members] == ["a", "b-x", "b/x"]
    assert {(m.mtime, m.uid, m.gid, m.mode, m.uname, m.gname) for m in members} == {(0, 0, 0, 0o644, "", "")}
    assert first[:10] == b"\x1f\x8b\x08\0\0\0\0\0\0\xff"


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(
        st.text(
            st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="/\\:"), min_size=1, max_size=130
        ).filter(lambda path: path not in (".", "..")),
        st.binary(max_size=3000),
        max_size=5,
    )
)
async def test_what_is_packed_is_read_back(files: dict[str, bytes]) -> None:
    import tempfile

    data = await packed(files)
    assert len(data) <= packed_at_most([source(path, body) for path, body in files.items()])
    with tempfile.TemporaryDirectory() as directory:
        plain = Path(directory) / "plain.tar"
        members = await unpack(stream(data), plain)
        assert {m.path: await content(read_member(plain, m)) for m in members} == files
        for member in members:
            half = member.size // 2
            assert await content(read_member(plain, member, half)) == files[member.path][half:]
            with pytest.raises(InvalidRequest, match="past the end"):
                await content(read_member(plain, member, member.size + 1))


async def test_standard_tools_read_it(tmp_path: Path) -> None:
    deep = "d/" * 60 + "é" * 40
    data = await packed({deep: b"x" * 5000, "empty": b""})
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        archive.extractall(tmp_path, filter="data")
    assert (tmp_path / deep).read_bytes() == b"x" * 5000
    assert (tmp_path / "empty").read_bytes() == b""


@pytest.mark.parametrize(
    "bad", [source("f", b"12", size=3), source("f", b"12", size=1), source("f", b"12", sha256="0" * 64)]
)
async def test_a_member_that_is_not_as_announced(bad: FileSource) -> None:
    with pytest.raises(IntegrityError, match="'f'"):
        await content(pack([bad]))


@pytest.mark.parametrize("paths", [["../x"], ["/x"], ["a", "a"], ["a//b"]])
async def test_a_path_that_can_not_be_packed(paths: list[str]) -> None:
    with pytest.raises(InvalidRequest):
        await content(pack([source(path, b"") for path in paths]))


@pytest.mark.parametrize(
    ("hostile", "names"),
    [
        (entry("../evil"), "'../evil'"),
        (entry("/etc/evil"), "'/etc/evil'"),
        (entry("a/../../evil"), "evil"),
        (entry(".//../evil"), "evil"),
        (entry("../evil", tarfile.DIRTYPE), "'../evil'"),
        (entry("link", tarfile.SYMTYPE, "/etc/passwd"), "'link'"),
        (entry("inner", tarfile.SYMTYPE, "ok"), "'inner'"),
        (entry("hard", tarfile.LNKTYPE, "ok"), "'hard'"),
        (entry("null", tarfile.CHRTYPE), "'null'"),
        (entry("pipe", tarfile.FIFOTYPE), "'pipe'"),
        (entry("./ok"), "'ok' comes twice"),
    ],
)
async def test_hostile_members_are_refused_by_name(tmp_path: Path, hostile: tarfile.TarInfo, names: str) -> None:
    data = tar_gz((entry("ok"), b"fine"), (hostile, b""))
    with pytest.raises(IntegrityError, match=names):
        await unpack(stream(data), tmp_path / "plain")
    assert list(tmp_path.iterdir()) == []


async def test_what_tar_dot_writes_is_fine(tmp_path: Path) -> None:
    data = tar_gz(
        (entry(".", tarfile.DIRTYPE), b""), (entry("./code/", tarfile.DIRTYPE), b""), (entry("./code/m"), b"1")
    )
    assert [m.path for m in await unpack(stream(data), tmp_path / "plain")] == ["code/m"]


async def test_truncation_and_damage(tmp_path: Path) -> None:
    data = await packed({"f": os.urandom(5000)})
    for bad in (data[:-1], data[:-9], data[: len(data) // 2], data[:5], b""):
        with pytest.raises(IntegrityError, match="truncated"):
            await unpack(stream(bad), tmp_path / "plain")
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 1
    with pytest.raises(IntegrityError, match="damaged"):
        await unpack(stream(bytes(flipped)), tmp_path / "plain")
    with pytest.raises(IntegrityError):
        await unpack(stream(gzip.compress(b"no tar at all" * 100)), tmp_path / "plain")
    with pytest.raises(IntegrityError, match="damaged"):
        await unpack(stream(data + b"garbage"), tmp_path / "plain")


async def test_a_tar_cut_inside_a_sound_gzip(tmp_path: Path) -> None:
    plain = gzip.decompress(await packed({"f": b"z" * 5000}))
    with pytest.raises(IntegrityError):
        await unpack(stream(gzip.compress(plain[:3000])), tmp_path / "plain")


async def test_gzip_in_several_members(tmp_path: Path) -> None:
    plain = gzip.decompress(await packed({"f": b"z" * 5000}))
    data = gzip.compress(plain[:1000]) + gzip.compress(plain[1000:]) + b"\0" * 600
    assert [m.size for m in await unpack(stream(data), tmp_path / "plain")] == [5000]


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        (ArchiveLimits(members=1), "more than 1 members"),
        (ArchiveLimits(total_bytes=100_000), "more than 100000 bytes"),
        (ArchiveLimits(ratio_from=1000, ratio=10), "bomb"),
    ],
)
async def test_bombs(tmp_path: Path, limits: ArchiveLimits, says: str) -> None:
    data = await packed({"f": b"\0" * 1_000_000, "g": b""})
    with pytest.raises(IntegrityError, match=says):
        await unpack(stream(data), tmp_path / "plain", limits)
    assert list(tmp_path.iterdir()) == []
