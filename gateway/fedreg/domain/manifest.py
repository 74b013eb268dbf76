"""The manifest of a version's payload and its digest.

The digest is sha256 over the lines `sha256  size  path\\n`, sorted by path bytes; a line feed in a path is written
as `\\n`, so that no path can look like two lines (a backslash is in none). The payload leaves out files
that the registry adds by itself (declared in its capabilities) and `.fedreg/manifest.json`, which a copy
writes last. For an archive the payload is its members.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from itertools import pairwise
from typing import Any

from fedreg.domain.errors import IntegrityError, InvalidRequest

MANIFEST_PATH = ".fedreg/manifest.json"
_MAX_PATH_BYTES = 4096
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Basis(StrEnum):
    """What a digest rests on: bytes read, the registry's own checksums, or somebody's word (a tag)."""

    READ = "read"
    REGISTRY = "registry"
    CLAIMED = "claimed"


@dataclass(frozen=True, slots=True)
class Digest:
    """`value` is `sha256:` + 64 hex digits."""

    value: str
    basis: Basis

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True, order=True)
class ManifestEntry:
    """One payload file: its path, size in bytes, and sha256 as 64 hex digits."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """The payload's files, sorted by path bytes."""

    entries: tuple[ManifestEntry, ...]

    @classmethod
    def of(cls, entries: Iterable[ManifestEntry]) -> Manifest:
        """Sort, check each path, and refuse a path that comes twice (IntegrityError)."""
        ordered = tuple(sorted(entries, key=lambda entry: entry.path.encode("utf-8", "surrogatepass")))
        for before, after in pairwise(ordered):
            if before.path == after.path:
                raise IntegrityError(f"file {after.path!r} is listed twice")
        for entry in ordered:
            check_path(entry.path)
        return cls(ordered)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(entry.size for entry in self.entries)

    def digest(self, basis: Basis = Basis.READ) -> Digest:
        """The payload's digest, resting on `basis`."""
        whole = hashlib.sha256()
        for entry in self.entries:
            line = "{}  {}  {}\n".format(entry.sha256, entry.size, entry.path.replace("\n", "\\n"))
            whole.update(line.encode("utf-8", "surrogatepass"))
        return Digest(f"sha256:{whole.hexdigest()}", basis)

    def to_json(self, *, source: str, key: str, extra: Mapping[str, Any] | None = None) -> bytes:
        """The content of `.fedreg/manifest.json`: source, key, digest, files. Deterministic."""
        files = [{"path": e.path, "size": e.size, "sha256": e.sha256} for e in self.entries]
        content = {"fedreg": 1, "source": source, "key": key, "digest": self.digest().value, "files": files}
        return json.dumps({**(extra or {}), **content}, sort_keys=True, indent=1).encode() + b"\n"


def read_manifest(data: bytes) -> Manifest:
    """The manifest in a `.fedreg/manifest.json`. Raises IntegrityError for anything malformed.

    Its digest must be that of its files: a file that was edited, or cut and mended, does not pass.
    """
    try:
        content = json.loads(data)
        manifest = Manifest.of(_read_entry(file) for file in content["files"])
        claimed = content["digest"]
    except (ValueError, KeyError, TypeError, RecursionError, InvalidRequest) as error:
        raise IntegrityError(f"{MANIFEST_PATH} is not a manifest: {error}") from error
    if claimed != manifest.digest().value:
        raise IntegrityError(f"{MANIFEST_PATH}: its digest {claimed!r} is not that of its files")
    return manifest


def _read_entry(file: Any) -> ManifestEntry:
    path, size, sha256 = file["path"], file["size"], file["sha256"]
    sound = isinstance(path, str) and type(size) is int and size >= 0 and isinstance(sha256, str)
    if not sound or not _SHA256.fullmatch(sha256):
        raise ValueError(f"file {path!r} has a malformed size or sha256")
    return ManifestEntry(path, size, sha256)


def is_payload(path: str, registry_files: Iterable[str] = ()) -> bool:
    """Whether a file counts: neither our manifest nor one the registry adds itself (glob patterns)."""
    return path != MANIFEST_PATH and not any(fnmatchcase(path, pattern) for pattern in registry_files)


def check_path(path: str) -> str:
    """A path that stays inside its version, or InvalidRequest naming what is wrong with it.

    Relative, `/` between parts, no empty, `.` or `..` part, no NUL, backslash or drive, 4096 bytes at most.
    """
    parts = path.split("/")
    bad = (
        not path
        or any(part in ("", ".", "..") for part in parts)
        or any(char in path for char in "\0\\")
        or (len(parts[0]) == 2 and parts[0][1] == ":")
        or len(path.encode("utf-8", "surrogatepass")) > _MAX_PATH_BYTES
    )
    if bad:
        raise InvalidRequest(
            f"file path {path!r} does not stay inside the version",
            cure="paths are relative, use '/', and have no '..', '.', empty part, backslash or NUL",
        )
    return path
