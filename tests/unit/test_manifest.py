"""Manifests: one digest for one payload, whatever the order; nothing hostile gets in."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fedreg.domain.errors import IntegrityError, InvalidRequest
from fedreg.domain.manifest import (
    MANIFEST_PATH,
    Basis,
    Manifest,
    ManifestEntry,
    check_path,
    is_payload,
    read_manifest,
)

SHA = hashlib.sha256(b"").hexdigest()
parts = st.text("ab.:é\ud800\n %~", min_size=1, max_size=5).filter(
    lambda part: part not in (".", "..") and not (len(part) == 2 and part[1] == ":")
)
paths = st.lists(parts, min_size=1, max_size=4).map("/".join)
digests = st.sampled_from([hashlib.sha256(bytes([n])).hexdigest() for n in range(4)])
entries = st.builds(ManifestEntry, paths, st.integers(0, 2**63), digests)
payloads = st.lists(entries, max_size=5, unique_by=lambda entry: entry.path)


@given(payloads, st.randoms())
def test_order_does_not_matter(files: list[ManifestEntry], random: object) -> None:
    shuffled = list(files)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert Manifest.of(shuffled) == Manifest.of(files)
    assert Manifest.of(shuffled).digest() == Manifest.of(files).digest()


@given(payloads, payloads)
def test_different_payloads_have_different_digests(one: list[ManifestEntry], other: list[ManifestEntry]) -> None:
    same = Manifest.of(one) == Manifest.of(other)
    assert (Manifest.of(one).digest() == Manifest.of(other).digest()) == same


def test_a_line_feed_in_a_path_can_not_forge_a_second_file() -> None:
    two = Manifest.of([ManifestEntry("a", 1, SHA), ManifestEntry("b", 2, SHA)])
    one = Manifest.of([ManifestEntry(f"a\n{SHA}  2  b", 1, SHA)])
    assert one.digest() != two.digest()


def test_the_digest_is_what_the_docs_say() -> None:
    lines = f"{SHA}  0  B\n{SHA}  0  a/x\n{SHA}  0  a0\n{SHA}  0  ä\n"
    manifest = Manifest.of(ManifestEntry(path, 0, SHA) for path in ("ä", "a0", "a/x", "B"))
    digest = manifest.digest(Basis.CLAIMED)
    assert (digest.value, digest.basis) == (f"sha256:{hashlib.sha256(lines.encode()).hexdigest()}", Basis.CLAIMED)
    assert str(digest) == digest.value


@given(payloads)
def test_written_and_read(files: list[ManifestEntry]) -> None:
    manifest = Manifest.of(files)
    written = manifest.to_json(source="a:m@version:1", key="k", extra={"digest": "forged", "note": 1})
    assert read_manifest(written) == manifest
    content = json.loads(written)
    assert (content["digest"], content["source"], content["note"]) == (manifest.digest().value, "a:m@version:1", 1)
    assert written == manifest.to_json(source="a:m@version:1", key="k", extra={"note": 1, "digest": "forged"})


@given(
    st.binary(max_size=60)
    | st.recursive(st.none() | st.integers() | st.text(max_size=5), st.lists).map(
        lambda value: json.dumps({"files": value, "digest": "x"}).encode()
    )
)
def test_anything_else_is_an_integrity_error(data: bytes) -> None:
    with pytest.raises(IntegrityError):
        read_manifest(data)


@pytest.mark.parametrize(
    "change",
    [
        {"path": "../x"},
        {"path": 7},
        {"size": -1},
        {"size": "5"},
        {"size": 5.0},
        {"size": True},
        {"sha256": "abc"},
        {"sha256": SHA.upper()},
        {"sha256": None},
    ],
)
def test_malformed_files(change: dict[str, object]) -> None:
    file = {"path": "a", "size": 0, "sha256": SHA, **change}
    data = json.dumps({"files": [file], "digest": Manifest.of([]).digest().value}).encode()
    with pytest.raises(IntegrityError, match="not a manifest"):
        read_manifest(data)


def test_an_edited_manifest_does_not_pass() -> None:
    written = Manifest.of([ManifestEntry("a", 1, SHA)]).to_json(source="s", key="k")
    with pytest.raises(IntegrityError, match="digest"):
        read_manifest(written.replace(b'"size": 1', b'"size": 2'))


@given(payloads, entries)
def test_a_path_that_comes_twice(files: list[ManifestEntry], again: ManifestEntry) -> None:
    assume(all(entry.path != again.path for entry in files))
    with pytest.raises(IntegrityError, match="twice"):
        Manifest.of([again, *files, again])


@given(paths)
def test_paths_that_stay_inside(path: str) -> None:
    assert check_path(path) == path


@given(st.lists(parts | st.sampled_from(["", ".", ".."]), min_size=1, max_size=4))
def test_paths_that_do_not(found: list[str]) -> None:
    assume({"", ".", ".."} & set(found))
    with pytest.raises(InvalidRequest):
        check_path("/".join(found))


@pytest.mark.parametrize("path", ["/a", "a/", "a\\b", "nul\0", "C:/x", "é" * 2049, "a/" * 2048 + "a"])
def test_other_paths_that_do_not(path: str) -> None:
    with pytest.raises(InvalidRequest, match="does not stay inside"):
        check_path(path)


def test_manifest_of_a_hostile_path() -> None:
    with pytest.raises(InvalidRequest):
        Manifest.of([ManifestEntry("../../etc/passwd", 1, SHA)])


def test_payload() -> None:
    assert is_payload("model.bin", ["registered_model_meta"])
    assert not is_payload(MANIFEST_PATH)
    assert not is_payload("registered_model_meta", ["registered_model_meta"])
    assert not is_payload("logs/x.txt", ["logs/*"])
    assert is_payload("LOGS/x.txt", ["logs/*"])


@given(payloads)
def test_size(files: list[ManifestEntry]) -> None:
    assert Manifest.of(files).size == sum(entry.size for entry in files)
