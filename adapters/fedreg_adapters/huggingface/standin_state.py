"""What the stand-in of the Hub keeps: repositories with Git-like commits, refs, blobs and LFS objects."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from itertools import count
from typing import Any

import yaml

ATTRIBUTES = ".gitattributes"
LFS_RULE = "filter=lfs diff=lfs merge=lfs -text"
LFS_PATTERNS = ("*.bin", "*.h5", "*.joblib", "*.onnx", "*.pkl", "*.pt", "*.pth", "*.safetensors", "*.tar.*", "*.zip")
LFS_FROM = 10 * 1024 * 1024  # the Hub stores larger files by LFS whatever they are called
LICENSES = {"apache-2.0", "mit", "bsd-3-clause", "cc-by-4.0", "gpl-3.0", "llama3", "openrail", "other", "unknown"}
_RELATIONS = {"finetune", "adapter", "quantized", "merge"}
_REF = re.compile(r"(?!.*(\.\.|//|@\{|\.lock$))[^\s~^:?*\[\\\x00-\x1f\x7f./-][^\s~^:?*\[\\\x00-\x1f\x7f]*(?<![./])")
_NAME = re.compile(r"(?!.*(--|\.\.))(?!.*\.git$)[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?")
_serial = count(1)


class Refusal(Exception):
    """An answer that is none of 2xx."""

    def __init__(self, status: int, message: str, code: str = "", **more: Any) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.more = status, message, code, more


@dataclass(frozen=True, slots=True)
class Entry:
    """A file in a commit: its blob's id, its size, and the sha256 of its LFS object where it has one."""

    oid: str
    size: int
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Commit:
    """`files` is the whole tree, path -> entry."""

    oid: str
    title: str
    message: str
    author: str
    date: datetime
    parent: str | None
    files: Mapping[str, Entry]


@dataclass(slots=True)
class Repository:
    """One model repository."""

    id: str
    private: bool
    created_at: datetime
    number: str
    gated: str | bool = False
    disabled: bool = False
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    commits: dict[str, Commit] = field(default_factory=dict)
    issues: dict[str, list[dict[str, str]]] = field(default_factory=dict)

    def resolve(self, revision: str) -> Commit:
        """The commit of a branch, a tag or a full commit id."""
        oid = self.branches.get(revision) or self.tags.get(revision) or revision
        if oid not in self.commits:
            raise Refusal(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return self.commits[oid]

    def history(self, revision: str) -> list[Commit]:
        """A commit and its ancestors, newest first."""
        at: Commit | None = self.resolve(revision)
        found = []
        while at is not None:
            found.append(at)
            at = self.commits[at.parent] if at.parent is not None else None
        return found


class Hub:
    """All repositories, blobs and LFS objects, and who may do what."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.blobs: dict[str, bytes] = {}
        self.objects: dict[str, bytes] = {}
        self.tokens: dict[str, dict[str, Any]] = {}

    def create(self, repo_id: str, *, private: bool, author: str) -> Repository:
        name = repo_id.rpartition("/")[2]
        if not _NAME.fullmatch(name):
            raise Refusal(400, f"Invalid repository name {name!r}")
        if repo_id in self.repositories:
            raise Refusal(409, "You already created this model repo", url=f"/{repo_id}")
        made = Repository(repo_id, private, datetime.now(UTC), f"{next(_serial):024x}")
        rules = "".join(f"{pattern} {LFS_RULE}\n" for pattern in LFS_PATTERNS)
        files = {ATTRIBUTES: self.blob(rules.encode())}
        self.repositories[repo_id] = made
        made.branches["main"] = self.commit(made, None, files, "initial commit", "", author).oid
        return made

    def blob(self, content: bytes) -> Entry:
        oid = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
        self.blobs[oid] = content
        return Entry(oid, len(content))

    def pointer(self, sha256: str, size: int) -> Entry:
        """A file that points to an LFS object, which has to be there."""
        if len(self.objects.get(sha256, b"")) != size or sha256 not in self.objects:
            raise Refusal(400, f"LFS pointer pointed to a file that does not exist: {sha256}")
        text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n"
        return Entry(self.blob(text.encode()).oid, size, sha256)

    def read(self, entry: Entry) -> bytes:
        return self.blobs[entry.oid] if entry.sha256 is None else self.objects[entry.sha256]

    def commit(
        self, repo: Repository, parent: str | None, files: Mapping[str, Entry], title: str, message: str, author: str
    ) -> Commit:
        tree = json.dumps({path: entry.oid for path, entry in sorted(files.items())})
        seed = f"{repo.number}\n{parent}\n{title}\n{message}\n{tree}\n{next(_serial)}"
        oid = hashlib.sha1(seed.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()
        made = Commit(oid, title, message, author, datetime.now(UTC), parent, dict(files))
        repo.commits[oid] = made
        return made

    def apply(self, repo: Repository, branch: str, lines: list[dict[str, Any]], author: str) -> Commit:
        """Commit what the lines of an NDJSON body say."""
        if branch not in repo.branches:
            raise Refusal(404, f"Invalid rev id: {branch}", "RevisionNotFound")
        head = repo.resolve(branch)
        if not lines or lines[0].get("key") != "header":
            raise Refusal(400, "the first line must be the header")
        header = lines[0]["value"]
        if not header.get("summary"):
            raise Refusal(400, "the commit summary is empty")
        if header.get("parentCommit") not in (None, head.oid):
            raise Refusal(412, "A commit has happened since. Please refresh and try again.")
        files = dict(head.files)
        for line in lines[1:]:
            self._operate(files, line["key"], line["value"])
        if "README.md" in files and files["README.md"] != head.files.get("README.md"):
            errors = check_card(self.read(files["README.md"]).decode("utf-8", "replace"))
            if errors:
                raise Refusal(400, errors[0])
        made = self.commit(repo, head.oid, files, header["summary"], header.get("description") or "", author)
        repo.branches[branch] = made.oid
        return made

    def _operate(self, files: dict[str, Entry], key: str, value: dict[str, Any]) -> None:
        path = value["path"]
        parts = path.split("/")
        if any(part in ("", ".", "..", ".git") for part in parts):
            raise Refusal(400, f"Invalid path: {path!r}")
        if key == "file":
            if value["encoding"] != "base64":
                raise Refusal(400, "only base64 is taken")
            files[path] = self.blob(base64.b64decode(value["content"], validate=True))
        elif key == "lfsFile":
            if value["algo"] != "sha256":
                raise Refusal(400, "only sha256 is taken")
            files[path] = self.pointer(value["oid"], value["size"])
            self._track(files, path)
        elif key == "deletedFile":
            if files.pop(path, None) is None:
                raise Refusal(404, "A file with this name doesn't exist", "EntryNotFound")
        else:
            raise Refusal(400, f"unknown operation {key!r}")

    def _track(self, files: dict[str, Entry], path: str) -> None:
        """The Hub adds a rule for a file that it stores by LFS and no rule names."""
        rules = self.read(files[ATTRIBUTES]).decode() if ATTRIBUTES in files else ""
        if not tracked(rules, path):
            line = f"{path.replace(' ', '[[:space:]]')} {LFS_RULE}\n"
            files[ATTRIBUTES] = self.blob((rules + line).encode())

    def card(self, commit: Commit) -> dict[str, Any]:
        """The metadata of a commit's model card; empty without one."""
        entry = commit.files.get("README.md")
        found, _ = split_card(self.read(entry).decode("utf-8", "replace")) if entry else ({}, "")
        return found


def tracked(rules: str, path: str) -> bool:
    """Whether .gitattributes sends a path to LFS."""
    patterns = [line.split()[0].replace("[[:space:]]", " ") for line in rules.splitlines() if "filter=lfs" in line]
    return any(fnmatchcase(path, pattern) or fnmatchcase(path.rpartition("/")[2], pattern) for pattern in patterns)


def valid_ref(name: str) -> bool:
    """git check-ref-format, as far as one name goes."""
    return _REF.fullmatch(name) is not None


def split_card(text: str) -> tuple[dict[str, Any], str]:
    """Front matter and body of a model card. ValueError for YAML that is none."""
    found = re.match(r"^---[ \t]*\r?\n(.*?)\r?\n?---[ \t]*(?:\r?\n|$)", text, re.DOTALL)
    if found is None:
        return {}, text
    try:
        data = yaml.safe_load(found.group(1)) or {}
    except yaml.YAMLError:
        return {}, text
    return (json.loads(json.dumps(data, default=str)) if isinstance(data, dict) else {}), text[found.end() :]


def check_card(text: str) -> list[str]:
    """What the Hub finds wrong with a model card's metadata."""
    found = re.match(r"^---[ \t]*\r?\n(.*?)\r?\n?---", text, re.DOTALL)
    if found is None:
        return []
    try:
        data = yaml.safe_load(found.group(1)) or {}
    except yaml.YAMLError as error:
        return [f"Error while parsing YAML: {error}"]
    if not isinstance(data, dict):
        return ["YAML metadata is not a mapping"]
    errors = []
    licenses = data.get("license", [])
    for name in licenses if isinstance(licenses, list) else [licenses]:
        if name not in LICENSES:
            errors.append(f'"license" must be one of {sorted(LICENSES)}')
    if data.get("base_model_relation") not in (None, *_RELATIONS):
        errors.append(f'"base_model_relation" must be one of {sorted(_RELATIONS)}')
    for model in data.get("model-index") or []:
        for result in model.get("results", []):
            if not result.get("task", {}).get("type") or not result.get("dataset", {}).get("name"):
                errors.append('"model-index[0].results[0]" needs task and dataset')
    return errors
