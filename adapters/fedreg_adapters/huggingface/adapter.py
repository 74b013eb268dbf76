"""The Hugging Face adapter: the port, put together from refs, history, files, uploads and cards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

from fedreg.domain.calls import Calls, Effect
from fedreg.domain.capabilities import (
    Capabilities,
    Operation,
    check_alias,
    check_model_draft,
    check_version_draft,
    require_model_fields,
    require_stage,
    require_version_fields,
)
from fedreg.domain.errors import (
    IntegrityError,
    InvalidRequest,
    NotFound,
    PreconditionFailed,
    Unsupported,
)
from fedreg.domain.lineage import Edge
from fedreg.domain.models import (
    Batch,
    FileEntry,
    FileReceipt,
    FileSource,
    Finding,
    Model,
    ModelDraft,
    ModelQuery,
    Page,
    PageRequest,
    RegistryEvent,
    UploadState,
    Version,
    VersionDraft,
    VersionId,
)
from fedreg.domain.port import NO_QUERY, RegistryAdapter
from fedreg_adapters.huggingface.cards import CARD
from fedreg_adapters.huggingface.client import Client
from fedreg_adapters.huggingface.diagnosis import list_findings
from fedreg_adapters.huggingface.events import check_secret, read_events
from fedreg_adapters.huggingface.files import Files
from fedreg_adapters.huggingface.history import History
from fedreg_adapters.huggingface.lineage import list_edges
from fedreg_adapters.huggingface.manifest import ATTRIBUTES, HuggingFaceOptions, narrow
from fedreg_adapters.huggingface.mapping import Shapes
from fedreg_adapters.huggingface.reads import Reads
from fedreg_adapters.huggingface.refs import RefStore, order_of
from fedreg_adapters.huggingface.spelling import native_of
from fedreg_adapters.huggingface.uploads import Uploads, begin
from fedreg_adapters.shared.answers import tells_misread_answers

_PAGE = 100


@tells_misread_answers
class HuggingFaceAdapter(RegistryAdapter):
    """The model repositories of one namespace."""

    def __init__(self, registry: str, options: HuggingFaceOptions, calls: Calls) -> None:
        super().__init__(registry, options, calls)
        self._options = options
        self._capabilities = narrow(options)
        self._client = Client(registry, options, calls)
        self._refs = RefStore(self._client)
        self._history = History(self._client)
        self._files = Files(self._client)
        self._uploads = Uploads(self._client, self._refs, self._files, self._history)
        self._shapes = Shapes(registry, options)
        self._reads = Reads(self._client, self._refs, self._history, self._shapes)

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    # -- life ------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Nothing is asked."""

    async def aclose(self) -> None:
        await self._files.aclose()
        await self._client.aclose()

    async def ping(self) -> None:
        if self._options.token:
            await self._client.get("whoami", "/api/whoami-v2")
        else:
            await self._client.page("list_models", "/api/models", self._reads.listing(1))

    async def diagnose(self) -> list[Finding]:
        return await list_findings(self._client)

    # -- reading ---------------------------------------------------------------------------------------

    async def list_models(self, query: ModelQuery) -> Page[Model]:
        """A page may hold fewer models than asked for, but is empty only at the end."""
        token = query.page.token
        while True:
            found, token = await self._reads.repos("list_models", token, query.page.limit)
            wanted = query.name_contains or ""
            models = tuple(model for model, _ in found if wanted in model.name)
            if models or token is None:
                return Page(models, token)

    async def get_model(self, name: str) -> Model:
        return await self._reads.model(name)

    async def list_versions(self, model: str, page: PageRequest) -> Page[Version]:
        """Tags in the order of versions, then commits without a tag that stages have drifted to."""
        native = native_of(model)
        refs = await self._refs.read(native, "list_versions")
        names = self._reads.versions_of(refs)
        if page.token is not None:
            names = [name for name in names if order_of(name) > order_of(page.token)]
        shown = names[: page.limit]
        found = await self._reads.versions(model, native, shown, refs)
        return Page(tuple(found), shown[-1] if len(names) > page.limit else None)

    async def get_version(self, model: str, version: str) -> Version:
        """A tag, or a full commit id."""
        native = native_of(model)
        return await self._reads.version(model, native, version, await self._refs.read(native, "get_version"))

    async def scan(self, cursor: str | None) -> Batch:
        """A page of repositories with all their versions."""
        found, token = await self._reads.repos("scan", cursor, _PAGE)
        versions: list[Version] = []
        for model, refs in found:
            names = self._reads.versions_of(refs)
            versions += await self._reads.versions(model.name, model.native_name, names, refs)
        models = tuple(model for model, _ in found)
        return Batch(models=models, versions=tuple(versions), cursor=token, complete=token is None, full=True)

    async def find_version(self, model: str, key: str) -> Version | None:
        native = native_of(model)
        refs = await self._refs.read(native, "find_version")
        found = await self._uploads.find(native, key, refs)
        return None if found is None else await self._reads.version(model, native, found, refs)

    # -- models ----------------------------------------------------------------------------------------

    async def create_model(self, draft: ModelDraft) -> Model:
        require_model_fields(draft, self.capabilities, registry=self.registry)
        check_model_draft(draft, self.capabilities.limits, registry=self.registry)
        visibility = "private" if self._options.private else "public"
        body = {**self._place(native_of(draft.name)), "visibility": visibility}
        await self._client.send("create_model", "POST", "/api/repos/create", body=body, effect=Effect.WRITE)
        return await self.get_model(draft.name)

    async def delete_model(self, name: str) -> None:
        body = self._place(native_of(name))
        await self._client.send("delete_model", "DELETE", "/api/repos/delete", body=body, effect=Effect.WRITE)

    async def set_alias(self, model: str, alias: str, version: str) -> None:
        check_alias(alias, self.capabilities.limits, registry=self.registry)
        native = native_of(model)
        if self._shapes.is_stage(alias):
            raise InvalidRequest(
                f"alias {alias!r}: this branch holds a stage", registry=self.registry, cure="promote the version"
            )
        refs = await self._refs.read(native, "set_alias")
        if alias in refs.tags:
            raise InvalidRequest(
                f"alias {alias!r} is a version's tag", registry=self.registry, cure="choose another alias"
            )
        await self._refs.move_branch(native, alias, self._reads.sha_of(model, version, refs), "set_alias")

    async def delete_alias(self, model: str, alias: str) -> None:
        native = native_of(model)
        refs = await self._refs.read(native, "delete_alias")
        if alias not in self._shapes.aliases(refs):
            raise NotFound(f"alias {alias!r} of model {model!r} does not exist", registry=self.registry)
        await self._refs.delete_branch(native, alias, "delete_alias")

    # -- bytes in --------------------------------------------------------------------------------------

    async def begin_upload(self, draft: VersionDraft, key: str) -> UploadState:
        self._check_draft(draft)
        state = begin(draft, native_of(draft.model), key)
        await self._uploads.open(state)
        return state

    async def put_file(self, state: UploadState, file: FileSource) -> FileReceipt:
        return await self._uploads.put(state, file)

    def open_uploaded(self, state: UploadState, path: str, offset: int = 0) -> AsyncIterator[bytes]:
        return self._uploads.read(state, path, offset)

    async def finish(self, state: UploadState) -> Version:
        return await self.get_version(state.model, await self._uploads.finish(state))

    async def poll(self, state: UploadState) -> Version:
        found = await self.find_version(state.model, state.key)
        if found is None:
            raise NotFound(f"upload {state.key!r} was not finished", registry=self.registry)
        return found

    async def abort(self, state: UploadState) -> None:
        await self._uploads.abort(state)

    # -- changing --------------------------------------------------------------------------------------

    async def delete_version(self, model: str, version: str) -> None:
        """Remove the tag, and the branches at its commit where no other tag is; those first, so that none drifts."""
        native = native_of(model)
        refs = await self._refs.read(native, "delete_version")
        sha = self._reads.sha_of(model, version, refs)
        if version not in refs.tags:
            raise Unsupported(
                f"version {version!r} is a commit without a tag: the Hub deletes no commits",
                registry=self.registry,
                operation=Operation.DELETE_VERSION.value,
                cure="move the branches away that are at it",
            )
        if refs.tags_at(sha) == [version]:
            for branch in [name for name, at in refs.pointers().items() if at == sha]:
                await self._refs.delete_branch(native, branch, "delete_version")
        await self._refs.delete_tag(native, version, "delete_version")

    async def set_stage(self, target: VersionId, stage: str, expected: str | None = None) -> Version:
        """The stage's branch is moved in one call; the branches of other stages at this commit go afterwards."""
        require_stage(self.capabilities, stage, registry=self.registry)
        native = native_of(target.model)
        refs = await self._refs.read(native, "set_stage")
        live = await self._reads.version(target.model, native, target.version, refs)
        if live.identity != target.identity:
            raise self._moved(target, f"it is commit {live.identity}, not {target.identity}")
        if expected is not None and live.stage != expected:
            raise self._moved(target, f"its stage is {live.stage!r}, not {expected!r}")
        branch = self._shapes.branches.get(stage)
        if branch is not None:
            await self._refs.move_branch(native, branch, live.identity, "set_stage")
        for left in live.native_stages:
            if left != branch:
                await self._refs.delete_branch(native, left, "set_stage")
        return await self.get_version(target.model, target.version)

    # -- bytes out -------------------------------------------------------------------------------------

    async def list_files(self, model: str, version: str) -> list[FileEntry]:
        """The files of the commit, without a model card that was generated with it."""
        native, sha = await self._reads.commit_of(model, version, "list_files")
        files, commit = await asyncio.gather(self._files.tree(native, sha), self._history.get(native, sha))
        generated = commit.record is not None and commit.record.card
        return [file for file in files if not (generated and file.path == CARD)]

    async def open_file(self, model: str, version: str, file: FileEntry, offset: int = 0) -> AsyncIterator[bytes]:
        native, sha = await self._reads.commit_of(model, version, "open_file")
        left = file.size - offset
        if left < 0:
            raise InvalidRequest(f"offset {offset} is past the end of {file.path!r} ({file.size} bytes)")
        if left == 0 and offset:
            return
        async for chunk in self._files.open_file(native, sha, file, offset):
            left -= len(chunk)
            yield chunk
        if left != 0:
            raise IntegrityError(f"file {file.path!r}: {left} of {file.size} bytes are missing", registry=self.registry)

    # -- beyond ----------------------------------------------------------------------------------------

    async def lineage(self, model: str, version: str) -> list[Edge]:
        return list_edges(await self.get_version(model, version))

    async def parse_event(
        self, headers: Mapping[str, str], body: bytes, query: Mapping[str, str] = NO_QUERY
    ) -> list[RegistryEvent]:
        self.capabilities.require(Operation.PARSE_EVENT, registry=self.registry)
        check_secret(headers, self._options.webhook_secret, self.registry)
        return read_events(body, self.registry, self._options.namespace, self._shapes.is_stage)

    # -- steps -----------------------------------------------------------------------------------------

    def _place(self, native: str) -> dict[str, str]:
        return {"name": native, "organization": self._options.namespace, "type": "model"}

    def _moved(self, target: VersionId, what: str) -> PreconditionFailed:
        return PreconditionFailed(f"{target.model!r} version {target.version}: {what}", registry=self.registry)

    def _check_draft(self, draft: VersionDraft) -> None:
        require_version_fields(draft, self.capabilities, registry=self.registry)
        check_version_draft(draft, self.capabilities.limits, registry=self.registry)
        asked = {"version": draft.version, "packaging": None if draft.packaging in ("", "files") else draft.packaging}
        for name, value in asked.items():
            if value is not None:
                raise Unsupported(
                    f"{name} {value!r}: registry {self.registry!r} can't take it",
                    registry=self.registry,
                    operation=Operation.UPLOAD.value,
                    cure="leave it out: versions are numbered v1, v2, …, and files are kept as they are",
                )
        if ATTRIBUTES in draft.files:
            raise Unsupported(
                f"file {ATTRIBUTES!r}: the Hub keeps its own",
                registry=self.registry,
                operation=Operation.UPLOAD.value,
                cure="leave it out of the version",
            )
