"""The port over the in-process vendor."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import replace
from typing import Any

from fedreg.domain.calls import Calls
from fedreg.domain.capabilities import (
    Capabilities,
    Operation,
    check_alias,
    check_model_draft,
    check_tags,
    check_version_draft,
    require_model_fields,
    require_stage,
    require_version_fields,
)
from fedreg.domain.errors import (
    ConfigError,
    FedregError,
    Forbidden,
    IntegrityError,
    InvalidRequest,
    Outcome,
    PreconditionFailed,
)
from fedreg.domain.lineage import Edge
from fedreg.domain.manifest import check_path
from fedreg.domain.models import (
    Batch,
    Deployment,
    FileEntry,
    FileReceipt,
    FileSource,
    Finding,
    Model,
    ModelDraft,
    ModelQuery,
    Page,
    PageRequest,
    Pending,
    RegistryEvent,
    Severity,
    UploadState,
    Version,
    VersionDraft,
    VersionId,
)
from fedreg.domain.names import parse_integer_version
from fedreg.domain.port import NO_QUERY, RegistryAdapter
from fedreg.domain.stages import NONE, PRODUCTION, Approval, Holder, StageMap
from fedreg_adapters.memory import mapping
from fedreg_adapters.memory.client import Client
from fedreg_adapters.memory.manifest import CAPABILITIES, NAMES, PHASE, MemoryOptions
from fedreg_adapters.memory.scanning import Scanner

EVENT_MAX_AGE = 300.0  # seconds


class MemoryAdapter(RegistryAdapter):
    """A registry in this process. Shelves have encoded names; versions are the vendor's numbers."""

    def __init__(self, registry: str, options: MemoryOptions, calls: Calls) -> None:
        super().__init__(registry, options, calls)
        self._options = options
        self._words = StageMap(options.stages.map)
        self._capabilities = narrowed(options)
        held = self._capabilities.stages.items()
        self._pointers = {stage: self._words.to_native(stage) for stage, how in held if how.holder is Holder.ALIAS}
        self._client = Client(registry, options.space, calls)
        self._shapes = mapping.Shapes(registry, self._words, frozenset(self._pointers.values()))
        self._scanner = Scanner(self._client, self._shapes)

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    # -- life ------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Nothing to connect to, and nothing to probe: the capabilities follow from the options alone."""

    async def aclose(self) -> None:
        """The space stays; other adapters may use it."""

    async def ping(self) -> None:
        await self._client.ask("ping", "feed.end")

    async def diagnose(self) -> list[Finding]:
        try:
            await self.ping()
        except FedregError as error:
            return [Finding(check="reach", severity=Severity.ERROR, message=error.message, cure=error.cure)]
        return [Finding(check="reach", severity=Severity.OK, message=f"space {self._options.space!r} answers")]

    # -- reading ---------------------------------------------------------------------------------------

    async def list_models(self, query: ModelQuery) -> Page[Model]:
        after = query.page.token or ""
        answer = await self._client.ask("list_models", "shelf.list", after=after, limit=query.page.limit)
        found = [self._shapes.to_model(shelf) for shelf in answer["rows"]]
        wanted = (query.name_contains or "").lower()
        token = self._client.next_token("list_models", after, answer["after"])
        return Page(tuple(model for model in found if wanted in model.name.lower()), token)

    async def get_model(self, name: str) -> Model:
        return self._shapes.to_model(await self._client.ask("get_model", "shelf.get", name))

    async def list_versions(self, model: str, page: PageRequest) -> Page[Version]:
        after = page.token or "0"
        answer = await self._client.ask("list_versions", "release.list", model, after=int(after), limit=page.limit)
        found = tuple(self._shapes.to_version(model, row) for row in answer["rows"])
        following = None if answer["after"] is None else str(answer["after"])
        return Page(found, self._client.next_token("list_versions", after, following))

    async def get_version(self, model: str, version: str) -> Version:
        return self._shapes.to_version(model, await self._release(model, version))

    async def find_version(self, model: str, key: str) -> Version | None:
        answer = await self._client.ask("find_version", "release.list", model, after=0, limit=1, token=key)
        return self._shapes.to_version(model, answer["rows"][0]) if answer["rows"] else None

    async def scan(self, cursor: str | None) -> Batch:
        return await self._scanner.scan(cursor)

    # -- models ----------------------------------------------------------------------------------------

    async def create_model(self, draft: ModelDraft) -> Model:
        require_model_fields(draft, self._capabilities, registry=self.registry)
        check_model_draft(draft, self._capabilities.limits, registry=self.registry)
        given = {"title": draft.name, "notes": draft.description, "labels": dict(draft.tags)}
        await self._client.tell("create_model", "shelf.create", draft.name, **given)
        return await self.get_model(draft.name)

    async def update_model(self, name: str, *, description: str) -> Model:
        await self._client.put("update_model", "shelf.edit", name, notes=description)
        return await self.get_model(name)

    async def delete_model(self, name: str) -> None:
        await self._client.tell("delete_model", "shelf.remove", name)

    # -- bytes in --------------------------------------------------------------------------------------

    async def begin_upload(self, draft: VersionDraft, key: str) -> UploadState:
        self._check_draft(draft)
        model = await self.get_model(draft.model)
        upload = hashlib.sha256(f"{model.native_name}\n{key}".encode()).hexdigest()
        await self._client.put("begin_upload", "upload.open", upload=upload)
        return mapping.to_upload_state(draft, key, upload)

    async def put_file(self, state: UploadState, file: FileSource) -> FileReceipt:
        check_path(file.path)
        stored = await self._client.put_blob(state.data["upload"], file.path, file.open_at)
        if stored["size"] != file.size or file.sha256 not in (None, stored["sha256"]):
            raise IntegrityError(f"file {file.path!r}: what arrived is not what was sent", registry=self.registry)
        return FileReceipt(path=file.path, size=stored["size"], etag=stored["sha256"])

    def open_uploaded(self, state: UploadState, path: str, offset: int = 0) -> AsyncIterator[bytes]:
        return self._client.get_blob(state.data["upload"], path, offset)

    async def finish(self, state: UploadState) -> Version | Pending:
        given = {"upload": state.data["upload"], "fields": dict(state.data["fields"])}
        return await self._make_once("finish", state.model, state.key, "release.publish", **given)

    async def poll(self, state: UploadState) -> Version | Pending:
        return await self.finish(state)

    async def abort(self, state: UploadState) -> None:
        await self._client.put("abort", "upload.drop", upload=state.data["upload"])

    async def create_version(self, draft: VersionDraft, key: str) -> Version:
        self._check_draft(draft)
        given = {"upload": mapping.upload_of(draft), "fields": mapping.release_fields(draft)}
        return await self._make_once("create_version", draft.model, key, "release.publish", **given)

    async def copy_native(self, source: VersionId, target_model: str, key: str) -> Version:
        number = (await self._release_of(source))["number"]
        given = {"source": NAMES.encode(source.model), "number": number}
        return await self._make_once("copy_native", target_model, key, "release.clone", **given)

    async def _make_once(self, operation: str, model: str, key: str, call: str, **given: Any) -> Version:
        """Make a release that carries `key`, unless there is one; of several the first stays, the others go.

        The vendor makes another release each time it is asked. After an unknown outcome we look; a write that
        lands later still is found, and removed, by the next call with the same key.
        """
        if await self.find_version(model, key) is None:
            try:
                await self._client.tell(operation, call, model, token=key, **given)
            except FedregError as error:
                if error.outcome is not Outcome.UNKNOWN or await self.find_version(model, key) is None:
                    raise
        answer = await self._client.ask(operation, "release.list", model, after=0, limit=100, token=key)
        first, *twins = answer["rows"]
        for twin in twins:
            await self._client.tell(operation, "release.remove", model, number=twin["number"])
        return self._shapes.to_version(model, first)

    # -- changing --------------------------------------------------------------------------------------

    async def update_version(self, model: str, version: str, *, description: str) -> Version:
        number = self._number(model, version)
        await self._client.put("update_version", "release.edit", model, number=number, notes=description)
        return await self.get_version(model, version)

    async def delete_version(self, model: str, version: str) -> None:
        await self._client.tell("delete_version", "release.remove", model, number=self._number(model, version))

    async def set_stage(self, target: VersionId, stage: str, expected: str | None = None) -> Version:
        """A phase moves by compare-and-set at the vendor; a pointer is set after a look, and takes the phase away."""
        require_stage(self._capabilities, stage, registry=self.registry)
        release = await self._release_of(target)
        live = self._shapes.to_version(target.model, release)
        if expected is not None and live.stage != expected:
            raise self._moved(target, f"its stage is {live.stage!r}, not {expected!r}")
        pointer, number = self._pointers.get(stage), release["number"]
        if pointer is not None:
            await self._client.put("set_stage", "pointer.set", target.model, pointer=pointer, number=number)
        phase = None if pointer is not None or stage == NONE else self._words.to_native(stage)
        given = {"number": number, "uid": target.identity, "phase": phase}
        if expected is None or pointer is not None:
            await self._client.put("set_stage", "release.phase", target.model, was=[], **given)
        else:  # told once: a repeated compare-and-set would meet its own trace
            await self._client.tell("set_stage", "release.phase", target.model, was=[release["phase"]], **given)
        for left in set(self._pointers.values()) & set(release["pointers"]) - {pointer}:
            await self._client.put("set_stage", "pointer.leave", target.model, pointer=left, number=number)
        return await self.get_version(target.model, target.version)

    async def set_alias(self, model: str, alias: str, version: str) -> None:
        self._check_alias(alias)
        number = self._number(model, version)
        await self._client.put("set_alias", "pointer.set", model, pointer=alias, number=number)

    async def delete_alias(self, model: str, alias: str) -> None:
        self._check_alias(alias)
        await self._client.tell("delete_alias", "pointer.drop", model, pointer=alias)

    async def set_model_tags(self, model: str, tags: Mapping[str, str], remove: Collection[str] = ()) -> None:
        check_tags(tags, self._capabilities.limits, registry=self.registry, of_version=False)
        await self._client.put("set_model_tags", "shelf.label", model, put=dict(tags), drop=list(remove))

    async def set_version_tags(
        self, model: str, version: str, tags: Mapping[str, str], remove: Collection[str] = ()
    ) -> None:
        check_tags(tags, self._capabilities.limits, registry=self.registry, of_version=True)
        given = {"number": self._number(model, version), "put": dict(tags), "drop": list(remove)}
        await self._client.put("set_version_tags", "release.label", model, **given)

    async def set_approval(self, target: VersionId, decision: Approval, comment: str | None = None) -> Version:
        given = {"number": self._number(target.model, target.version), "uid": target.identity, "remark": comment}
        verdict = mapping.VERDICTS[decision]
        await self._client.put("set_approval", "release.judge", target.model, verdict=verdict, **given)
        return await self.get_version(target.model, target.version)

    # -- bytes out -------------------------------------------------------------------------------------

    async def list_files(self, model: str, version: str) -> list[FileEntry]:
        answer = await self._client.ask("list_files", "blob.list", model, number=self._number(model, version))
        return mapping.to_files(answer["rows"])

    async def open_file(self, model: str, version: str, file: FileEntry, offset: int = 0) -> AsyncIterator[bytes]:
        where = (NAMES.encode(model), self._number(model, version))
        left = file.size - offset
        async for chunk in self._client.get_blob(where, file.path, offset):
            left -= len(chunk)
            yield chunk
        if left != 0:
            raise IntegrityError(f"file {file.path!r}: {left} of {file.size} bytes are missing", registry=self.registry)

    # -- beyond ----------------------------------------------------------------------------------------

    async def lineage(self, model: str, version: str) -> list[Edge]:
        release = await self._release(model, version)
        return mapping.to_edges(release, self._shapes.to_version(model, release))

    async def deployments(self, model: str, version: str) -> list[Deployment]:
        answer = await self._client.ask("deployments", "use.list", model, number=self._number(model, version))
        return [mapping.to_deployment(run) for run in answer["rows"]]

    async def parse_event(
        self, headers: Mapping[str, str], body: bytes, query: Mapping[str, str] = NO_QUERY
    ) -> list[RegistryEvent]:
        self.capabilities.require(Operation.PARSE_EVENT, registry=self.registry)
        secret = self._options.event_secret
        right = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(right, headers.get("x-memory-signature", "")):
            raise Forbidden("the message's signature is wrong", registry=self.registry, cure="check event_secret")
        try:
            event = mapping.to_event(body)
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidRequest("the message is not what this registry pushes", registry=self.registry) from error
        if event.occurred_at is None or abs(time.time() - event.occurred_at.timestamp()) > EVENT_MAX_AGE:
            raise Forbidden("the message is too old", registry=self.registry, cure="check both clocks")
        return [event]

    # -- within ----------------------------------------------------------------------------------------

    async def _release(self, model: str, version: str) -> Mapping[str, Any]:
        return await self._client.ask("get_version", "release.get", model, number=self._number(model, version))

    async def _release_of(self, target: VersionId) -> Mapping[str, Any]:
        """The release, if it still is the one that is meant."""
        release = await self._release(target.model, target.version)
        if release["uid"] != target.identity:
            raise self._moved(target, "it was deleted and made again")
        return release

    def _number(self, model: str, version: str) -> int:
        return parse_integer_version(version, registry=self.registry, model=model)

    def _check_draft(self, draft: VersionDraft) -> None:
        require_version_fields(draft, self._capabilities, registry=self.registry)
        check_version_draft(draft, self._capabilities.limits, registry=self.registry)

    def _check_alias(self, alias: str) -> None:
        check_alias(alias, self._capabilities.limits, registry=self.registry)
        if alias in self._pointers.values():
            cure = "promote the version instead"
            raise InvalidRequest(f"alias {alias!r} holds a stage", registry=self.registry, cure=cure)

    def _moved(self, target: VersionId, how: str) -> PreconditionFailed:
        text = f"version {target.version!r} of model {target.model!r}: {how}"
        return PreconditionFailed(text, registry=self.registry, operation="set_stage")


def narrowed(options: MemoryOptions) -> Capabilities:
    """What is left of the ceiling: no events without a secret; `stages.held_by: native` makes production a phase."""
    left = CAPABILITIES if options.event_secret else CAPABILITIES.without(Operation.PARSE_EVENT)
    held_by = options.stages.held_by
    if held_by not in (None, Holder.ALIAS, Holder.NATIVE):
        raise ConfigError(f"stages.held_by {held_by.value!r} is nothing memory has", cure="use alias or native")
    if held_by is Holder.NATIVE:
        return replace(left, stages={**left.stages, PRODUCTION: PHASE})
    return left
