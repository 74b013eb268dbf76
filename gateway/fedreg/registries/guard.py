"""A layer over an adapter: what is not declared is refused here, the same way for every kind.

Nothing is sent for a refused request. Reads pass straight through: they return the adapter's own awaitable.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Coroutine, Mapping
from typing import Any

from fedreg.domain import capabilities as rules
from fedreg.domain.capabilities import Capabilities, Operation
from fedreg.domain.errors import InvalidRequest, Unsupported
from fedreg.domain.lineage import Edge
from fedreg.domain.models import (
    Batch,
    Deployment,
    FileEntry,
    FileReceipt,
    FileSource,
    Finding,
    Handshake,
    Model,
    ModelDraft,
    ModelQuery,
    Page,
    PageRequest,
    Pending,
    Provenance,
    RegistryEvent,
    UploadState,
    Version,
    VersionDraft,
    VersionId,
)
from fedreg.domain.port import NO_QUERY, RegistryAdapter
from fedreg.domain.stages import Approval


class GuardedAdapter(RegistryAdapter):
    """Checks operations, stages, approvals, fields and limits against the adapter's capabilities.

    Raises Unsupported for what the registry can't do or hold and InvalidRequest for a value past a limit.
    """

    def __init__(self, inner: RegistryAdapter) -> None:
        super().__init__(inner.registry, None, inner.calls)
        self.inner = inner

    @property
    def capabilities(self) -> Capabilities:
        return self.inner.capabilities

    def open(self) -> Coroutine[Any, Any, None]:
        return self.inner.open()

    def aclose(self) -> Coroutine[Any, Any, None]:
        return self.inner.aclose()

    def ping(self) -> Coroutine[Any, Any, None]:
        return self.inner.ping()

    def diagnose(self) -> Coroutine[Any, Any, list[Finding]]:
        return self.inner.diagnose()

    # -- reading ---------------------------------------------------------------------------------------

    def list_models(self, query: ModelQuery) -> Coroutine[Any, Any, Page[Model]]:
        return self.inner.list_models(query)

    def get_model(self, name: str) -> Coroutine[Any, Any, Model]:
        return self.inner.get_model(name)

    def list_versions(self, model: str, page: PageRequest) -> Coroutine[Any, Any, Page[Version]]:
        return self.inner.list_versions(model, page)

    def get_version(self, model: str, version: str) -> Coroutine[Any, Any, Version]:
        return self.inner.get_version(model, version)

    def scan(self, cursor: str | None) -> Coroutine[Any, Any, Batch]:
        return self.inner.scan(cursor)

    async def find_version(self, model: str, key: str) -> Version | None:
        self._require(Operation.FIND_VERSION)
        return await self.inner.find_version(model, key)

    # -- models ----------------------------------------------------------------------------------------

    async def create_model(self, draft: ModelDraft) -> Model:
        self._require(Operation.CREATE_MODEL)
        given = {"description": draft.description, "tags": draft.tags}
        self._check_fields("model", given, self.capabilities.model_fields)
        rules.check_model_draft(draft, self.capabilities.limits, registry=self.registry)
        return await self.inner.create_model(draft)

    async def update_model(self, name: str, *, description: str) -> Model:
        self._require(Operation.UPDATE_MODEL)
        self._check_description(description)
        return await self.inner.update_model(name, description=description)

    async def delete_model(self, name: str) -> None:
        self._require(Operation.DELETE_MODEL)
        await self.inner.delete_model(name)

    # -- bytes in --------------------------------------------------------------------------------------

    async def begin_upload(self, draft: VersionDraft, key: str) -> UploadState:
        self._require(Operation.UPLOAD)
        self._check_draft(draft)
        self._check_packaging(draft.packaging)
        for path, size in draft.files.items():
            self._check_file(path, size)
        return await self.inner.begin_upload(draft, key)

    async def put_file(self, state: UploadState, file: FileSource) -> FileReceipt:
        self._require(Operation.UPLOAD)
        self._check_file(file.path, file.size)
        return await self.inner.put_file(state, file)

    def open_uploaded(self, state: UploadState, path: str, offset: int = 0) -> AsyncIterator[bytes]:
        self._require(Operation.UPLOAD)
        upload = self.capabilities.upload
        if upload is None or not upload.readback:
            raise Unsupported(
                f"registry {self.registry!r} can't read an upload back before it is finished",
                registry=self.registry,
                operation=Operation.UPLOAD.value,
                cure="finish it and read the version's files",
            )
        return self.inner.open_uploaded(state, path, offset)

    async def finish(self, state: UploadState) -> Version | Pending:
        self._require(Operation.UPLOAD)
        return await self.inner.finish(state)

    async def poll(self, state: UploadState) -> Version | Pending:
        self._require(Operation.UPLOAD)
        return await self.inner.poll(state)

    async def abort(self, state: UploadState) -> None:
        self._require(Operation.UPLOAD)
        await self.inner.abort(state)

    async def create_version(self, draft: VersionDraft, key: str) -> Version:
        self._require(Operation.CREATE_VERSION)
        self._check_draft(draft)
        return await self.inner.create_version(draft, key)

    # -- changing --------------------------------------------------------------------------------------

    async def update_version(self, model: str, version: str, *, description: str) -> Version:
        self._require(Operation.UPDATE_VERSION)
        self._check_description(description)
        return await self.inner.update_version(model, version, description=description)

    async def delete_version(self, model: str, version: str) -> None:
        self._require(Operation.DELETE_VERSION)
        await self.inner.delete_version(model, version)

    async def set_stage(self, target: VersionId, stage: str, expected: str | None = None) -> Version:
        self._require(Operation.SET_STAGE)
        rules.require_stage(self.capabilities, stage, registry=self.registry)
        return await self.inner.set_stage(target, stage, expected)

    async def set_alias(self, model: str, alias: str, version: str) -> None:
        self._require(Operation.SET_ALIAS)
        rules.check_alias(alias, self.capabilities.limits, registry=self.registry)
        await self.inner.set_alias(model, alias, version)

    async def delete_alias(self, model: str, alias: str) -> None:
        self._require(Operation.DELETE_ALIAS)
        await self.inner.delete_alias(model, alias)

    async def set_model_tags(self, model: str, tags: Mapping[str, str], remove: Collection[str] = ()) -> None:
        self._require(Operation.SET_MODEL_TAGS)
        rules.check_tags(tags, self.capabilities.limits, registry=self.registry, of_version=False)
        await self.inner.set_model_tags(model, tags, remove)

    async def set_version_tags(
        self, model: str, version: str, tags: Mapping[str, str], remove: Collection[str] = ()
    ) -> None:
        self._require(Operation.SET_VERSION_TAGS)
        rules.check_tags(tags, self.capabilities.limits, registry=self.registry, of_version=True)
        await self.inner.set_version_tags(model, version, tags, remove)

    async def set_approval(self, target: VersionId, decision: Approval, comment: str | None = None) -> Version:
        self._require(Operation.SET_APPROVAL)
        if decision not in self.capabilities.approvals:
            held = ", ".join(sorted(self.capabilities.approvals)) or "none at all"
            raise Unsupported(
                f"approval {decision.value!r}: registry {self.registry!r} can't hold it",
                registry=self.registry,
                operation=Operation.SET_APPROVAL.value,
                cure=f"approvals it holds: {held}",
            )
        return await self.inner.set_approval(target, decision, comment)

    # -- bytes out, and beyond -------------------------------------------------------------------------

    async def list_files(self, model: str, version: str) -> list[FileEntry]:
        self._require(Operation.LIST_FILES)
        return await self.inner.list_files(model, version)

    def open_file(self, model: str, version: str, file: FileEntry, offset: int = 0) -> AsyncIterator[bytes]:
        self._require(Operation.OPEN_FILE)
        return self.inner.open_file(model, version, file, offset)

    async def copy_native(self, source: VersionId, target_model: str, key: str) -> Version:
        self._require(Operation.COPY_NATIVE)
        return await self.inner.copy_native(source, target_model, key)

    async def lineage(self, model: str, version: str) -> list[Edge]:
        self._require(Operation.LINEAGE)
        return await self.inner.lineage(model, version)

    async def deployments(self, model: str, version: str) -> list[Deployment]:
        self._require(Operation.DEPLOYMENTS)
        return await self.inner.deployments(model, version)

    async def parse_event(
        self, headers: Mapping[str, str], body: bytes, query: Mapping[str, str] = NO_QUERY
    ) -> list[RegistryEvent]:
        self._require(Operation.PARSE_EVENT)
        return await self.inner.parse_event(headers, body, query)

    async def answer_handshake(
        self, headers: Mapping[str, str], body: bytes, query: Mapping[str, str] = NO_QUERY
    ) -> Handshake | None:
        self._require(Operation.PARSE_EVENT)
        return await self.inner.answer_handshake(headers, body, query)

    # -- rules -----------------------------------------------------------------------------------------

    def _require(self, operation: Operation) -> None:
        self.inner.capabilities.require(operation, registry=self.registry)

    def _check_draft(self, draft: VersionDraft) -> None:
        given = {
            "description": draft.description,
            "metrics": draft.metrics,
            "params": draft.params,
            "provenance": draft.provenance != Provenance(),
            "approval": draft.approval is not Approval.NONE,
        }
        self._check_fields("version", given, self.capabilities.fields)
        rules.check_version_draft(draft, self.capabilities.limits, registry=self.registry)

    def _check_fields(self, whose: str, given: Mapping[str, object], held: frozenset[str]) -> None:
        """A field that would be dropped is refused by name; what to do with it is the caller's choice."""
        lost = [name for name, value in given.items() if value and name not in held]
        if lost:
            raise Unsupported(
                f"{lost[0]}: registry {self.registry!r} can't hold it on a new {whose}",
                registry=self.registry,
                cure=f"leave it out; fields it holds: {', '.join(sorted(held)) or 'none'}",
                details={"fields": lost},
            )

    def _check_description(self, description: str) -> None:
        rules.check_length("description", description, self.capabilities.limits.description, self.registry)

    def _check_packaging(self, packaging: str) -> None:
        upload = self.capabilities.upload
        if upload is not None and packaging not in upload.packaging:
            raise Unsupported(
                f"packaging {packaging!r}: registry {self.registry!r} does not take it",
                registry=self.registry,
                operation=Operation.UPLOAD.value,
                cure=f"packaging it takes: {', '.join(upload.packaging)}",
            )

    def _check_file(self, path: str, size: int) -> None:
        limit = self.capabilities.limits.file_size
        if limit is not None and size > limit:
            raise InvalidRequest(
                f"file {path!r} has {size} bytes, registry {self.registry!r} takes {limit}",
                registry=self.registry,
                cure="split the file, or choose another registry",
            )
