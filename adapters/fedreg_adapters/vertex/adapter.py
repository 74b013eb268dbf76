"""The Vertex AI adapter: the port, put together from versions, uploads, files, records and scans."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from typing import Any

from fedreg.domain.calls import Calls, Effect
from fedreg.domain.capabilities import (
    Capabilities,
    Operation,
    check_alias,
    check_length,
    check_tags,
    check_version_draft,
    require_stage,
)
from fedreg.domain.errors import Conflict, InvalidRequest, NotFound, PreconditionFailed, Unsupported
from fedreg.domain.lineage import Edge
from fedreg.domain.models import (
    Batch,
    Deployment,
    FileEntry,
    FileReceipt,
    FileSource,
    Finding,
    Model,
    ModelQuery,
    Page,
    PageRequest,
    Pending,
    UploadState,
    Version,
    VersionDraft,
    VersionId,
)
from fedreg.domain.stages import NONE, Approval
from fedreg_adapters.shared.answers import tells_misread_answers
from fedreg_adapters.shared.drafts import begin
from fedreg_adapters.shared.pushed import TakesEvents
from fedreg_adapters.vertex.client import PAGE, Client
from fedreg_adapters.vertex.copies import Copies
from fedreg_adapters.vertex.diagnosis import list_findings
from fedreg_adapters.vertex.events import Events
from fedreg_adapters.vertex.files import Files
from fedreg_adapters.vertex.lineage import list_deployments, list_edges
from fedreg_adapters.vertex.manifest import MODEL_TAG, VertexOptions, narrow
from fedreg_adapters.vertex.mapping import (
    APPROVAL,
    DEFAULT,
    RECORD,
    STAGE,
    alias_to_native,
    identity_of,
    is_number,
    model_tags,
    name_of,
    native_id,
    native_of,
    refuse_keys,
    stage_of,
    version_tags,
)
from fedreg_adapters.vertex.records import Records, record_id
from fedreg_adapters.vertex.scans import Scanner
from fedreg_adapters.vertex.uploads import Uploads
from fedreg_adapters.vertex.versions import Versions


@tells_misread_answers
class VertexAdapter(TakesEvents):
    """The models of one project and location."""

    def __init__(self, registry: str, options: VertexOptions, calls: Calls) -> None:
        super().__init__(registry, options, calls)
        self._capabilities = narrow(options)
        self._client = Client(registry, options, calls)
        self._records = Records(self._client)
        self._versions = Versions(self._client, self._records)
        self._files = Files(self._client)
        self._uploads = Uploads(self._client, self._versions, self._records, self._files)
        self._copies = Copies(self._client, self._versions, self._records, self._uploads)
        self._scanner = Scanner(self._client, self._versions)
        self.events = Events(registry, options, calls)

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    # -- life ------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Nothing is asked: SDK, credentials and channels are loaded by the first request."""

    async def aclose(self) -> None:
        await self.events.aclose()
        await self._client.aclose()

    async def ping(self) -> None:
        await self._client.call("list_models", {"parent": self._client.parent, "page_size": 1})

    async def diagnose(self) -> list[Finding]:
        return await list_findings(self._client)

    # -- reading ---------------------------------------------------------------------------------------

    async def list_models(self, query: ModelQuery) -> Page[Model]:
        """A page may hold fewer models than asked for, but is empty only at the end."""
        token, wanted = query.page.token, query.name_contains or ""
        request = {
            "parent": self._client.parent,
            "page_size": max(1, min(query.page.limit, PAGE)),
            "order_by": "create_time",
        }
        while True:
            messages, token = await self._client.page("list_models", "models", request, token)
            meant = [each for each in messages if wanted in name_of(native_id(each.name), each.display_name)]
            found = await asyncio.gather(*(self._model_if_there(message) for message in meant))
            models = tuple(model for model in found if model is not None)
            if models or token is None:
                return Page(models, token)

    async def _model_if_there(self, message: Any) -> Model | None:
        try:
            return await self._versions.model(message)
        except NotFound:
            return None

    async def get_model(self, name: str) -> Model:
        return await self._versions.model(await self._versions.get(native_of(name)))

    async def list_versions(self, model: str, page: PageRequest) -> Page[Version]:
        messages, token = await self._versions.page(native_of(model), page.token, page.limit)
        return Page(tuple(await self._versions.versions(messages, model)), token)

    async def get_version(self, model: str, version: str) -> Version:
        return await self._versions.version(await self._versions.get(native_of(model), version), model)

    async def scan(self, cursor: str | None) -> Batch:
        return await self._scanner.scan(cursor)

    async def find_version(self, model: str, key: str) -> Version | None:
        found = await self._uploads.find(native_of(model), key)
        return await self._versions.version(found[0], model) if found else None

    # -- models ----------------------------------------------------------------------------------------

    async def update_model(self, name: str, *, description: str) -> Model:
        await self._versions.describe(native_of(name), description)
        return await self.get_model(name)

    async def delete_model(self, name: str) -> None:
        await self._versions.delete_model(native_of(name))

    async def set_model_tags(self, model: str, tags: Mapping[str, str], remove: Collection[str] = ()) -> None:
        native = native_of(model)
        refuse_keys(tags, self.registry)
        held = model_tags((await self._versions.get(native)).labels)
        kept = {key: value for key, value in held.items() if key not in remove}
        check_tags({**kept, **tags}, self.capabilities.limits, registry=self.registry, of_version=False)
        delta: dict[str, str | None] = {MODEL_TAG + key: None for key in remove}
        await self._versions.label_model(native, {**delta, **{MODEL_TAG + key: tags[key] for key in tags}})

    async def set_alias(self, model: str, alias: str, version: str) -> None:
        """`default` is Vertex's own alias, and moves like any other."""
        check_alias(alias, self.capabilities.limits, registry=self.registry)
        await self._versions.merge_aliases(native_of(model), version, alias_to_native(alias, self.registry))

    async def delete_alias(self, model: str, alias: str) -> None:
        """Conflict for `default`, of which a model always has one."""
        if alias == DEFAULT:
            raise Conflict(
                "alias 'default' can't be removed at Vertex AI",
                registry=self.registry,
                cure="point it at another version",
            )
        native, spelt = native_of(model), alias_to_native(alias, self.registry)
        holder = next((each for each in await self._versions.all(native) if spelt in each.version_aliases), None)
        if holder is None:
            raise NotFound(f"alias {alias!r} of model {model!r} does not exist", registry=self.registry)
        await self._versions.merge_aliases(native, holder.version_id, f"-{spelt}")

    # -- bytes in --------------------------------------------------------------------------------------

    async def begin_upload(self, draft: VersionDraft, key: str) -> UploadState:
        self._require_upload()
        self._check_draft(draft)
        await self._check_number(draft.model)
        return begin(draft, native_of(draft.model), key)

    async def put_file(self, state: UploadState, file: FileSource) -> FileReceipt:
        self._require_upload()
        return await self._uploads.put(state, file)

    def open_uploaded(self, state: UploadState, path: str, offset: int = 0) -> AsyncIterator[bytes]:
        self._require_upload()
        return self.calls.stream("gcs_get", self._uploads.open(state, path), offset=offset)

    async def finish(self, state: UploadState) -> Version | Pending:
        self._require_upload()
        return await self._outcome(await self._uploads.finish(state), state)

    async def poll(self, state: UploadState) -> Version | Pending:
        self._require_upload()
        return await self._outcome(await self._uploads.poll(state), state)

    async def abort(self, state: UploadState) -> None:
        self._require_upload()
        await self._uploads.abort(state)

    async def create_version(self, draft: VersionDraft, key: str) -> Version:
        """`source_uri` is a directory in GCS."""
        self._check_draft(draft)
        await self._check_number(draft.model)
        native = native_of(draft.model)
        return await self._versions.version(await self._uploads.create(draft, native, key), draft.model)

    # -- changing --------------------------------------------------------------------------------------

    async def update_version(self, model: str, version: str, *, description: str) -> Version:
        await self._versions.describe(native_of(model), description, version)
        return await self.get_version(model, version)

    async def delete_version(self, model: str, version: str) -> None:
        """The model's only version goes with its model."""
        await self._versions.delete(native_of(model), version)

    async def set_version_tags(
        self, model: str, version: str, tags: Mapping[str, str], remove: Collection[str] = ()
    ) -> None:
        refuse_keys(tags, self.registry)

        def change(message: Any) -> dict[str, str | None]:
            held = version_tags(message.labels)
            kept = {key: value for key, value in held.items() if key not in remove}
            check_tags({**kept, **tags}, self.capabilities.limits, registry=self.registry, of_version=True)
            return {**{key: None for key in remove if key in held}, **tags}

        await self._versions.label_version(native_of(model), version, change)

    async def set_stage(self, target: VersionId, stage: str, expected: str | None = None) -> Version:
        require_stage(self.capabilities, stage, registry=self.registry)
        word = None if stage == NONE else self._versions.stages.to_native(stage)

        def change(message: Any) -> dict[str, str | None]:
            self._check_target(message, target)
            live = stage_of(message, self._versions.stages)
            if expected is not None and live != expected:
                raise PreconditionFailed(
                    f"stage of {target.model!r} version {target.version} is {live!r}, not {expected!r}",
                    registry=self.registry,
                    cure="read it again and decide anew",
                )
            return {STAGE: word}

        # A repeated compare-and-set would meet its own trace.
        effect = Effect.IDEMPOTENT if expected is None else Effect.WRITE
        native = native_of(target.model)
        message = await self._versions.label_version(native, target.version, change, effect)
        return await self._versions.version(message, target.model)

    async def set_approval(self, target: VersionId, decision: Approval, comment: str | None = None) -> Version:
        """The decision is a label; its comment, which no label holds, goes to the version's record first."""
        native = native_of(target.model)
        message = await self._versions.get_target(target, native)
        record = message.labels.get(RECORD)
        if comment:
            record = record or record_id(native, target.identity)
            await self._records.annotate(record, comment, decision.value, target.model)
        elif record and (await self._records.get(record)).comment is not None:
            await self._records.annotate(record, None, decision.value, target.model)
        word = None if decision is Approval.NONE else decision.value

        def change(live: Any) -> dict[str, str | None]:
            self._check_target(live, target)
            return {APPROVAL: word, RECORD: record}

        message = await self._versions.label_version(native, target.version, change)
        return await self._versions.version(message, target.model)

    # -- bytes out -------------------------------------------------------------------------------------

    async def list_files(self, model: str, version: str) -> list[FileEntry]:
        return await self._files.list_files(await self._versions.get(native_of(model), version))

    async def open_file(self, model: str, version: str, file: FileEntry, offset: int = 0) -> AsyncIterator[bytes]:
        message = await self._versions.get(native_of(model), version)
        async for chunk in self._files.open_file(message, file, offset):
            yield chunk

    # -- beyond ----------------------------------------------------------------------------------------

    async def copy_native(self, source: VersionId, target_model: str, key: str) -> Version:
        """A version in another model of the project on the same bytes; stage, approval and aliases stay behind."""
        check_length("name", target_model, self.capabilities.limits.model_name, self.registry)
        message = await self._versions.get_target(source, native_of(source.model))
        copy = await self._copies.copy(message, native_of(target_model), target_model, key)
        return await self._versions.version(copy, target_model)

    async def lineage(self, model: str, version: str) -> list[Edge]:
        message = await self._versions.get(native_of(model), version)
        return await list_edges(self._client, message, await self._versions.version(message, model))

    async def deployments(self, model: str, version: str) -> list[Deployment]:
        return list_deployments(await self._versions.get(native_of(model), version))

    # -- steps -----------------------------------------------------------------------------------------

    def _require_upload(self) -> None:
        self.capabilities.require(Operation.UPLOAD, registry=self.registry)

    async def _outcome(self, found: Any, state: UploadState) -> Version | Pending:
        return found if isinstance(found, Pending) else await self._versions.version(found, state.model)

    def _check_target(self, message: Any, target: VersionId) -> None:
        if identity_of(message) != target.identity:
            raise PreconditionFailed(
                f"version {target.version} of {target.model!r} is another than the one meant",
                registry=self.registry,
                cure="read it again and decide anew",
            )

    async def _check_number(self, name: str) -> None:
        """InvalidRequest for a new model whose name is a number: such ids Vertex makes itself."""
        if not is_number(name):
            return
        try:
            await self._versions.get(name)
        except NotFound:
            raise InvalidRequest(
                f"name {name!r} is a number, as Vertex AI gives them itself",
                registry=self.registry,
                cure="choose a name with a letter in it",
            ) from None

    def _check_draft(self, draft: VersionDraft) -> None:
        check_length("name", draft.model, self.capabilities.limits.model_name, self.registry)
        check_version_draft(draft, self.capabilities.limits, registry=self.registry)
        refuse_keys(draft.tags, self.registry)
        if draft.version is not None:
            why = f"version: registry {self.registry!r} can't hold it: Vertex AI numbers versions itself"
            cure, lost = "leave it out, or accept the loss (--allow-lossy)", {"losses": ["version"]}
            raise Unsupported(why, registry=self.registry, cure=cure, details=lost)
        if draft.packaging != "files":
            raise InvalidRequest(
                f"packaging {draft.packaging!r} is none of registry {self.registry!r}",
                registry=self.registry,
                cure="use files: artifact_uri is a directory",
            )
