"""The Azure ML adapter: the port, put together from containers, versions, uploads and files."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from urllib.parse import urlsplit

from fedreg.domain.calls import Calls
from fedreg.domain.capabilities import (
    Capabilities,
    Operation,
    check_alias,
    check_length,
    check_model_draft,
    check_tags,
    check_version_draft,
    require_stage,
)
from fedreg.domain.errors import Conflict, InvalidRequest, NotFound
from fedreg.domain.lineage import Edge
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
    UploadState,
    Version,
    VersionDraft,
    VersionId,
    VersionStatus,
)
from fedreg.domain.stages import Approval
from fedreg_adapters.azureml.client import JSON, Client
from fedreg_adapters.azureml.containers import Containers
from fedreg_adapters.azureml.copies import Copies
from fedreg_adapters.azureml.datastores import Datastores
from fedreg_adapters.azureml.diagnosis import list_findings
from fedreg_adapters.azureml.edits import (
    Edit,
    drop_alias,
    edit_approval,
    edit_description,
    edit_stage,
    edit_tags,
)
from fedreg_adapters.azureml.events import Events
from fedreg_adapters.azureml.files import Files
from fedreg_adapters.azureml.lineage import list_deployments, list_edges
from fedreg_adapters.azureml.manifest import CODEC, AzureMLOptions, narrow
from fedreg_adapters.azureml.mapping import (
    ALIAS,
    aliases_of,
    is_version,
    model_of,
    refuse_own,
)
from fedreg_adapters.azureml.references import References
from fedreg_adapters.azureml.scans import Scanner
from fedreg_adapters.azureml.stages import Stages
from fedreg_adapters.azureml.uploads import Uploads, failed_or_none
from fedreg_adapters.azureml.versions import Versions
from fedreg_adapters.shared.answers import tells_misread_answers
from fedreg_adapters.shared.pushed import TakesEvents

_PLACES = ("azureml", "runs", "https", "wasbs", "abfss", "hf", "s3")
_POLL = 5.0


@tells_misread_answers
class AzureMLAdapter(TakesEvents):
    """One workspace or one registry."""

    def __init__(self, registry: str, options: AzureMLOptions, calls: Calls) -> None:
        super().__init__(registry, options, calls)
        self._options = options
        self._capabilities = narrow(options)
        self.events = Events(registry, options.event_secret)
        self._stages = Stages(options)
        self._client = Client(registry, options, calls)
        self._containers = Containers(self._client)
        self._versions = Versions(self._client, self._containers, self._stages)
        self._datastores = Datastores(self._client)
        self._references = References(self._client, self._versions, self._datastores)
        self._files = Files(self._client, self._datastores, self._references)
        self._uploads = Uploads(self._client, self._versions, self._datastores, self._references)
        self._scanner = Scanner(self._containers, self._versions, self._model)
        self._copies = Copies(self._client, self._versions, self._uploads)

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    # -- life ------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Nothing is asked: the SDK is imported and a registry looked up by the first request."""

    async def aclose(self) -> None:
        await self._datastores.aclose()
        await self._client.aclose()

    async def ping(self) -> None:
        await self._containers.page(None, 1)

    async def diagnose(self) -> list[Finding]:
        return await list_findings(self._client, self._datastores)

    # -- reading ---------------------------------------------------------------------------------------

    async def list_models(self, query: ModelQuery) -> Page[Model]:
        """A page may hold fewer models than asked for, but is empty only at the end."""
        token, wanted = query.page.token, query.name_contains or ""
        while True:
            found, token = await self._containers.page(token, query.page.limit)
            models = tuple(model for model in map(self._model, found) if wanted in model.name)
            if models or token is None:
                return Page(models, token)

    async def get_model(self, name: str) -> Model:
        return self._model(await self._containers.get(CODEC.encode(name)))

    async def list_versions(self, model: str, page: PageRequest) -> Page[Version]:
        native = CODEC.encode(model)
        container = await self._containers.get(native)  # a registry lists nothing for an unknown model
        found, token = await self._versions.page(native, page.token, page.limit)
        return Page(self._all(found, model, container), token)

    async def get_version(self, model: str, version: str) -> Version:
        return await self._versions.read(CODEC.encode(model), version, model)

    async def scan(self, cursor: str | None) -> Batch:
        return await self._scanner.scan(cursor, self.registry)

    async def find_version(self, model: str, key: str) -> Version | None:
        native = CODEC.encode(model)
        found = await self._versions.find(native, key)
        return await self._version(found[0], native, model) if found else None

    # -- models ----------------------------------------------------------------------------------------

    async def create_model(self, draft: ModelDraft) -> Model:
        check_model_draft(draft, self.capabilities.limits, registry=self.registry)
        refuse_own(draft.tags, self.registry)
        return self._model(await self._containers.create(draft))

    async def update_model(self, name: str, *, description: str) -> Model:
        edit = edit_description(description)
        return self._model(await self._containers.change("update_model", CODEC.encode(name), edit))

    async def delete_model(self, name: str) -> None:
        """Raises Conflict while there are versions: whether the service would take them along is not documented."""
        self.capabilities.require(Operation.DELETE_MODEL, registry=self.registry)
        native = CODEC.encode(name)
        await self._containers.get(native)
        found, _ = await self._versions.page(native, None, 1)
        if found:
            raise Conflict(
                f"model {name!r} has versions",
                registry=self.registry,
                operation=Operation.DELETE_MODEL.value,
                cure="delete its versions first",
            )
        await self._containers.delete(native)

    async def set_model_tags(self, model: str, tags: Mapping[str, str], remove: Collection[str] = ()) -> None:
        refuse_own([*tags, *remove], self.registry)
        check_tags(tags, self.capabilities.limits, registry=self.registry, of_version=False)
        await self._containers.change("set_model_tags", CODEC.encode(model), edit_tags(tags, remove))

    async def set_alias(self, model: str, alias: str, version: str) -> None:
        check_alias(alias, self.capabilities.limits, registry=self.registry)
        native = CODEC.encode(model)
        await self._versions.get(native, version)
        await self._containers.change("set_alias", native, edit_tags({ALIAS + alias: version}))

    async def delete_alias(self, model: str, alias: str) -> None:
        edit = drop_alias(model, alias, self.registry)
        await self._containers.change("delete_alias", CODEC.encode(model), edit)

    # -- bytes in --------------------------------------------------------------------------------------

    async def begin_upload(self, draft: VersionDraft, key: str) -> UploadState:
        self._check_draft(draft, key)
        native = CODEC.encode(draft.model)
        await self._containers.get(native)
        return await self._uploads.begin(draft, native, key)

    async def put_file(self, state: UploadState, file: FileSource) -> FileReceipt:
        return await self._uploads.put(state, file)

    async def open_uploaded(self, state: UploadState, path: str, offset: int = 0) -> AsyncIterator[bytes]:
        source = await self._uploads.open(state, path)
        async for chunk in self.calls.stream("blob_get", source, offset=offset):
            yield chunk

    async def finish(self, state: UploadState) -> Version | Pending:
        return await self._outcome(await self._uploads.finish(state), state)

    async def poll(self, state: UploadState) -> Version | Pending:
        return await self._outcome(await self._uploads.poll(state), state)

    async def abort(self, state: UploadState) -> None:
        await self._uploads.abort(state)

    async def create_version(self, draft: VersionDraft, key: str) -> Version:
        """`source_uri` is an address that Azure takes: in a datastore, of a job, or at another store."""
        self.capabilities.require(Operation.CREATE_VERSION, registry=self.registry)
        self._check_draft(draft, key)
        uri, native = draft.source_uri or "", CODEC.encode(draft.model)
        if urlsplit(uri).scheme not in _PLACES:
            raise InvalidRequest(
                f"source_uri {uri!r} is no address that Azure ML takes",
                registry=self.registry,
                cure=f"use one of {', '.join(f'{scheme}://' for scheme in _PLACES)}",
            )
        await self._containers.get(native)
        if "/paths/" in uri and not await self._files.exists(uri):
            raise NotFound(f"there is nothing at {uri}", registry=self.registry, cure="upload the bytes first")
        made = await self._uploads.create(native, draft, key, uri, draft.version)
        return await self._version(made, native, draft.model)

    # -- changing --------------------------------------------------------------------------------------

    async def update_version(self, model: str, version: str, *, description: str) -> Version:
        native, edit = CODEC.encode(model), edit_description(description)
        return await self._version(await self._versions.change("update_version", native, version, edit), native, model)

    async def set_version_tags(
        self, model: str, version: str, tags: Mapping[str, str], remove: Collection[str] = ()
    ) -> None:
        refuse_own([*tags, *remove], self.registry)
        check_tags(tags, self.capabilities.limits, registry=self.registry, of_version=True)
        await self._versions.change("set_version_tags", CODEC.encode(model), version, edit_tags(tags, remove))

    async def delete_version(self, model: str, version: str) -> None:
        self.capabilities.require(Operation.DELETE_VERSION, registry=self.registry)
        native = CODEC.encode(model)
        await self._versions.get(native, version)
        await self._versions.delete(native, version)
        held = aliases_of(await self._containers.find(native) or {})
        gone = [ALIAS + alias for alias, pointed in held.items() if pointed == version]
        if gone:
            await self._containers.change("delete_version", native, edit_tags({}, gone))

    async def set_stage(self, target: VersionId, stage: str, expected: str | None = None) -> Version:
        require_stage(self.capabilities, stage, registry=self.registry)
        try:
            return await self._set_stage(target, stage, expected, plain=False)
        except InvalidRequest:
            if not self._stages.is_unsure(stage):
                raise
        return await self._set_stage(target, stage, expected, plain=True)

    async def _set_stage(self, target: VersionId, stage: str, expected: str | None, *, plain: bool) -> Version:
        edit = edit_stage(self._stages, stage, expected, self.registry, plain=plain)
        return await self._change_target("set_stage", target, edit)

    async def set_approval(self, target: VersionId, decision: Approval, comment: str | None = None) -> Version:
        return await self._change_target("set_approval", target, edit_approval(decision, comment))

    # -- bytes out -------------------------------------------------------------------------------------

    async def list_files(self, model: str, version: str) -> list[FileEntry]:
        return await self._files.list_files(await self._versions.get(CODEC.encode(model), version))

    async def open_file(self, model: str, version: str, file: FileEntry, offset: int = 0) -> AsyncIterator[bytes]:
        resource = await self._versions.get(CODEC.encode(model), version)
        async for chunk in self._files.open_file(resource, file, offset):
            yield chunk

    # -- beyond ----------------------------------------------------------------------------------------

    async def copy_native(self, source: VersionId, target_model: str, key: str) -> Version:
        """A version of another model on the same bytes. Into a registry also from a workspace, which publishes it."""
        native = CODEC.encode(target_model)
        await self._containers.get(native)
        return await self._version(await self._copies.copy(source, native, key), native, target_model)

    async def lineage(self, model: str, version: str) -> list[Edge]:
        native = CODEC.encode(model)
        resource = await self._versions.get(native, version)
        return await list_edges(self._client, resource, await self._version(resource, native, model))

    async def deployments(self, model: str, version: str) -> list[Deployment]:
        self.capabilities.require(Operation.DEPLOYMENTS, registry=self.registry)
        return await list_deployments(self._client, await self._versions.get(CODEC.encode(model), version))

    # -- steps -----------------------------------------------------------------------------------------

    def _model(self, container: JSON) -> Model:
        if not container.get("name"):
            raise self._client.nonsense("get_model", "it is no model")
        return model_of(container, self.registry)

    def _all(self, found: list[JSON], model: str, container: JSON) -> tuple[Version, ...]:
        aliases = aliases_of(container)
        return tuple(self._versions.version(resource, model, aliases) for resource in found)

    async def _version(self, resource: JSON, native: str, model: str) -> Version:
        return self._versions.version(resource, model, aliases_of(await self._containers.find(native) or {}))

    async def _change_target(self, operation: str, target: VersionId, edit: Edit) -> Version:
        native = CODEC.encode(target.model)
        changed = await self._versions.change(operation, native, target.version, edit, target)
        return await self._version(changed, native, target.model)

    async def _outcome(self, resource: JSON, state: UploadState) -> Version | Pending:
        if failure := failed_or_none(resource, self.registry):
            raise failure
        version = await self._version(resource, str(state.data["native"]), state.model)
        return version if version.status is VersionStatus.READY else Pending(state=state, poll_after=_POLL)

    def _check_draft(self, draft: VersionDraft, key: str) -> None:
        check_version_draft(draft, self.capabilities.limits, registry=self.registry)
        refuse_own(draft.tags, self.registry)
        check_length("idempotency key", key, 256, self.registry)
        wanted = draft.version
        if wanted is not None and not (
            is_version(wanted) and (wanted == wanted.lower() or not self._client.is_registry)
        ):
            raise InvalidRequest(
                f"version {wanted!r} is none that Azure ML takes",
                registry=self.registry,
                cure="use letters (small ones in a registry), digits, '.', '_' and '-', a letter or digit first",
            )
        if draft.packaging != "files":
            raise InvalidRequest(
                f"packaging {draft.packaging!r} is none of registry {self.registry!r}",
                registry=self.registry,
                cure="use files",
            )
