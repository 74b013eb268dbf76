"""Bytes in: files gather on a branch of their own; `finish` makes one commit of them on `main`, and tags it.

The commit's description carries the key, its parent the state of `main` that was searched for the key: of two that
finish the same upload one is refused, and finds the other's commit.
"""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict
from typing import Any

from fedreg.domain.errors import AlreadyExists, Conflict, InvalidRequest, PreconditionFailed, RegistryError
from fedreg.domain.manifest import MANIFEST_PATH, check_path
from fedreg.domain.models import FileEntry, FileReceipt, FileSource, UploadState, VersionDraft
from fedreg_adapters.huggingface.cards import CARD, write_card
from fedreg_adapters.huggingface.client import Client
from fedreg_adapters.huggingface.files import Files
from fedreg_adapters.huggingface.history import History
from fedreg_adapters.huggingface.manifest import ATTRIBUTES
from fedreg_adapters.huggingface.mapping import CommitInfo
from fedreg_adapters.huggingface.objects import Objects, checked, opened
from fedreg_adapters.huggingface.records import Record, read_provenance, write_number, write_provenance
from fedreg_adapters.huggingface.refs import MAIN, Refs, RefStore
from fedreg_adapters.huggingface.staging import Commits, branch_of, deleted, pointer, regular
from fedreg_adapters.shared.drafts import check_files

Json = dict[str, Any]
_SAMPLE = 512  # bytes that the Hub wants to see to choose between Git and LFS
_REGULAR = 10 * 1024 * 1024  # more than this never goes into Git, whatever the Hub says
_TRIES = 8


def begin(draft: VersionDraft, native: str, key: str) -> UploadState:
    """The state of an upload: a function of the draft and the key alone."""
    fields = asdict(draft)
    fields["provenance"] = write_provenance(draft.provenance)
    fields["approval"] = draft.approval.value
    fields["metrics"] = {name: write_number(value) for name, value in draft.metrics.items()}
    return UploadState(key=key, model=draft.model, data={"native": native, "branch": branch_of(key), "draft": fields})


class Uploads:
    """The uploads of one registry."""

    def __init__(self, client: Client, refs: RefStore, files: Files, history: History) -> None:
        self._client, self._refs, self._files, self._history = client, refs, files, history
        self._objects = Objects(client, files)
        self._commits = Commits(client, refs)

    async def open(self, state: UploadState) -> None:
        """Make the branch. Raises NotFound for an unknown model."""
        refs = await self._refs.read(_native(state), "begin_upload")
        if _branch(state) in refs.branches or await self.find(_native(state), state.key, refs):
            return
        try:
            await self._refs.create_empty_branch(_native(state), _branch(state), "begin_upload")
        except AlreadyExists:
            return

    async def put(self, state: UploadState, file: FileSource) -> FileReceipt:
        """Upload a file: to LFS where the Hub wants that, then into a commit of the branch."""
        check_path(file.path)
        self._check_file(file)
        native = _native(state)
        by_lfs = file.size > _REGULAR or (file.size > 0 and await self._wants_lfs(native, file))
        if by_lfs and file.sha256 is not None:
            await self._objects.put(native, file, file.sha256)
            line = pointer(file.path, file.sha256, file.size)
        else:
            content = b"".join([chunk async for chunk in checked(file, file.sha256, self._client.registry)])
            line = regular(file.path, content)
        await self._commits.stage(native, _branch(state), line)
        return FileReceipt(path=file.path, size=file.size, etag=file.sha256)

    def _check_file(self, file: FileSource) -> None:
        if file.path == ATTRIBUTES:
            raise InvalidRequest(
                f"file {file.path!r}: the Hub keeps its own",
                registry=self._client.registry,
                operation="put_file",
                cure="leave it out",
            )
        if file.sha256 is None and file.path != MANIFEST_PATH:
            raise InvalidRequest(
                f"file {file.path!r} comes without its sha256",
                registry=self._client.registry,
                operation="put_file",
                cure="hash it first: by it the Hub tells whether it has the bytes",
            )

    async def _wants_lfs(self, native: str, file: FileSource) -> bool:
        sample = b""
        async with opened(file, 0) as chunks:
            async for chunk in chunks:
                sample += chunk[: _SAMPLE - len(sample)]
                if len(sample) >= _SAMPLE:
                    break
        row = {"path": file.path, "size": file.size, "sample": base64.b64encode(sample).decode()}
        path = f"{self._client.repo(native)}/preupload/{MAIN}"
        answer = await self._client.post("announce_file", path, {"files": [row]})
        try:
            return str(answer["files"][0]["uploadMode"]) == "lfs"
        except (KeyError, IndexError, TypeError):
            raise RegistryError(
                "announce_file: the Hub does not say where the file is to go",
                registry=self._client.registry,
                operation="announce_file",
            ) from None

    def read(self, state: UploadState, path: str, offset: int) -> AsyncIterator[bytes]:
        """A file that was put, as the Hub gives it back."""
        file = FileEntry(path=check_path(path), size=0)
        return self._files.open_file(_native(state), _branch(state), file, offset)

    async def find(self, native: str, key: str, refs: Refs) -> str | None:
        """The version that a key made: the first tag of its oldest commit that has one."""
        tags = (tag for commit in await self._history.find(native, key, refs) for tag in refs.tags_at(commit.sha))
        return next(tags, None)

    async def finish(self, state: UploadState) -> str:
        """Commit and tag what is there, once; returns the version."""
        native = _native(state)
        commit = await self._commit(state)
        version = await self._tag(native, commit)
        await self._commits.drop(native, _branch(state), "finish")
        return version

    async def abort(self, state: UploadState) -> None:
        """Remove the branch. Bytes in LFS storage stay: other versions may have the same."""
        await self._commits.drop(_native(state), _branch(state), "abort")

    # -- steps --------------------------------------------------------------------------------------------

    async def _commit(self, state: UploadState) -> CommitInfo:
        """The commit on `main` whose files are those of the upload and no others: found by its key, or made."""
        native, branch = _native(state), _branch(state)
        for _ in range(_TRIES):
            refs = await self._refs.read(native, "finish")
            for found in await self._history.find(native, state.key, refs):
                if refs.tags_at(found.sha) or _is_of(found, refs.branches.get(branch)):
                    return found
            if branch not in refs.branches:
                raise Conflict(f"upload {state.key!r} has no files, or was aborted", cure="put its files, then finish")
            files = await self._files.tree(native, branch, "finish")
            check_files(state, {file.path: file.size for file in files}, besides={ATTRIBUTES})
            number = await self._next_version(native, refs)
            card = not any(file.path == CARD for file in files) and self._client.options.card
            record = Record.of(_draft(state), state.key, number, refs.branches[branch], card=card)
            lines = await self._lines(native, branch, refs.branches[MAIN], files)
            if card:
                lines.append(regular(CARD, (await self._card(state, record)).encode()))
            try:
                sha = await self._commits.create(
                    native, MAIN, refs.branches[MAIN], f"Version {number}", record.to_text(), lines, "create_version"
                )
            except PreconditionFailed:  # somebody committed meanwhile, maybe this same upload
                continue
            return CommitInfo(sha, None, None, record)
        raise Conflict(
            f"others commit to {native!r} all the time", registry=self._client.registry, cure="finish it again later"
        )

    async def _lines(self, native: str, branch: str, parent: str, files: list[FileEntry]) -> list[Json]:
        """What makes the files of a branch those of a commit: each of them, and the parent's others removed."""
        lines = []
        for file in files:
            if file.path == ATTRIBUTES:
                continue
            if file.sha256 is not None:
                lines.append(pointer(file.path, file.sha256, file.size))
            else:
                chunks = self._files.open_file(native, branch, file, 0) if file.size else _nothing()
                lines.append(regular(file.path, b"".join([chunk async for chunk in chunks])))
        kept = {file.path for file in files} | {ATTRIBUTES}
        inherited = await self._files.tree(native, parent, "finish")
        card = {CARD} if self._client.options.card else set()
        return lines + [deleted(file.path) for file in inherited if file.path not in kept | card]

    async def _card(self, state: UploadState, record: Record) -> str:
        """A card that the Hub takes. A license that it does not list becomes `other` with a name."""
        text = write_card(state.model, record)
        try:
            await self._validate(text)
        except InvalidRequest:
            if "license" not in record.provenance.extra:
                raise
            text = write_card(state.model, record, license_known=False)
            await self._validate(text)
        return text

    async def _validate(self, text: str) -> None:
        await self._client.post("validate_card", "/api/validate-yaml", {"content": text, "repoType": "model"})

    async def _next_version(self, native: str, refs: Refs) -> str:
        """One more than any number that a tag has, or a recent commit claims: a deleted one is not given again."""
        claimed = [commit.record.version for commit in await self._history.recent(native) if commit.record]
        numbers = [int(found.group(1)) for name in (*refs.tags, *claimed) if (found := re.fullmatch(r"v?(\d+)", name))]
        return f"v{max(numbers, default=0) + 1}"

    async def _tag(self, native: str, commit: CommitInfo) -> str:
        """The version of a commit; tagged with the number that it claims, or a higher one where that is taken."""
        refs = await self._refs.read(native, "finish")
        wanted = commit.record.version if commit.record is not None else ""
        for _ in range(_TRIES):
            there = refs.tags_at(commit.sha)
            if there:
                return there[0]
            name = wanted if wanted and wanted not in refs.tags else await self._next_version(native, refs)
            try:
                await self._refs.create_tag(native, name, commit.sha, "create_tag")
                return name
            except AlreadyExists:  # somebody's, or ours whose answer was lost
                refs = await self._refs.read(native, "finish")
        raise Conflict(f"others tag {native!r} all the time", registry=self._client.registry)


def _is_of(commit: CommitInfo, upload: str | None) -> bool:
    """Whether a commit was made of what is on the branch now: one whose tag was deleted is not taken up again."""
    return upload is not None and commit.record is not None and commit.record.upload == upload


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""


def _native(state: UploadState) -> str:
    return str(state.data["native"])


def _branch(state: UploadState) -> str:
    return str(state.data["branch"])


def _draft(state: UploadState) -> VersionDraft:
    """What of the draft an upload began with goes into its record."""
    fields: Mapping[str, Any] = state.data["draft"]
    return VersionDraft(
        model=state.model,
        description=fields["description"],
        metrics={name: float(value) for name, value in fields["metrics"].items()},
        params=dict(fields["params"]),
        provenance=read_provenance(fields["provenance"]),
    )
