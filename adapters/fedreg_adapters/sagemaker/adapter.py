"""The SageMaker adapter: the port, put together from groups, packages, uploads, files and scans."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping

from fedreg.domain.calls import Calls
from fedreg.domain.capabilities import (
    Capabilities,
    Operation,
    check_alias,
    check_length,
    check_model_draft,
    check_pattern,
    check_tags,
    check_version_draft,
    require_stage,
)
from fedreg.domain.errors import InvalidRequest, NotFound, PreconditionFailed, Unsupported
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
)
from fedreg.domain.stages import NONE, Approval
from fedreg_adapters.sagemaker.client import JSON, Client
from fedreg_adapters.sagemaker.copies import copied_fields
from fedreg_adapters.sagemaker.diagnosis import list_findings
from fedreg_adapters.sagemaker.events import Events
from fedreg_adapters.sagemaker.files import Files
from fedreg_adapters.sagemaker.groups import Groups
from fedreg_adapters.sagemaker.lineage import list_deployments, list_edges
from fedreg_adapters.sagemaker.manifest import CODEC, PACKAGINGS, SageMakerOptions, narrow
from fedreg_adapters.sagemaker.mapping import (
    ALIAS,
    APPROVALS,
    NO_STAGE,
    aliases_of,
    artifact_uri_of,
    edit_description,
    lost,
    native_stages_of,
    refuse_own,
    stage_map,
    stage_of,
    without_own,
)
from fedreg_adapters.sagemaker.packages import Packages
from fedreg_adapters.sagemaker.search import Scanner
from fedreg_adapters.sagemaker.uploads import Uploads, outcome_of
from fedreg_adapters.shared.answers import tells_misread_answers
from fedreg_adapters.shared.drafts import begin
from fedreg_adapters.shared.pushed import TakesEvents

_STAGE_PATTERN = r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}"


@tells_misread_answers
class SageMakerAdapter(TakesEvents):
    """One account and region's model registry."""

    def __init__(self, registry: str, options: SageMakerOptions, calls: Calls) -> None:
        super().__init__(registry, options, calls)
        self._options = options
        self._client = Client(registry, options, calls)
        self._groups = Groups(self._client)
        self._packages = Packages(self._client, self._groups)
        self._files = Files(self._client)
        self._uploads = Uploads(self._client, self._packages, self._files)
        self._scanner = Scanner(self._client, self._groups, self._packages)
        self._stages = stage_map(options)
        self._capabilities = narrow(options)
        self.events = Events(registry, options, calls, self._groups.name)

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    # -- life ------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Nothing is asked: session and clients are made by the first request."""

    async def aclose(self) -> None:
        await self.events.aclose()
        await self._files.aclose()
        await self._client.aclose()

    async def ping(self) -> None:
        await self._client.call("list_model_package_groups", MaxResults=1)

    async def diagnose(self) -> list[Finding]:
        return await list_findings(self._client)

    # -- reading ---------------------------------------------------------------------------------------

    async def list_models(self, query: ModelQuery) -> Page[Model]:
        """A page may hold fewer models than asked for, but is empty only at the end."""
        token = query.page.token
        while True:
            groups, token = await self._groups.page(token, query.page.limit)
            found = await asyncio.gather(*(self._model_if_there(group) for group in groups))
            wanted = query.name_contains or ""
            models = tuple(model for model in found if model is not None and wanted in model.name)
            if models or token is None:
                return Page(models, token)

    async def _model_if_there(self, group: JSON) -> Model | None:
        try:
            return await self._groups.model(group)
        except NotFound:
            return None

    async def get_model(self, name: str) -> Model:
        return await self._groups.model(await self._groups.describe(CODEC.encode(name)))

    async def list_versions(self, model: str, page: PageRequest) -> Page[Version]:
        native = CODEC.encode(model)
        tags = await self._groups.tags(native)
        summaries, token = await self._packages.page(native, page.token, page.limit)
        arns = [summary["ModelPackageArn"] for summary in summaries]
        return Page(tuple(await self._packages.read_all(native, model, arns, aliases_of(tags))), token)

    async def get_version(self, model: str, version: str) -> Version:
        return await self._packages.read(CODEC.encode(model), version, model)

    async def scan(self, cursor: str | None) -> Batch:
        return await self._scanner.scan(cursor)

    async def find_version(self, model: str, key: str) -> Version | None:
        native = CODEC.encode(model)
        found = await self._uploads.find(native, key)
        return await self._version(found[0], native, model) if found else None

    # -- models ----------------------------------------------------------------------------------------

    async def create_model(self, draft: ModelDraft) -> Model:
        check_model_draft(draft, self.capabilities.limits, registry=self.registry)
        refuse_own(draft.tags, self.registry)
        await self._groups.create(draft)
        return await self.get_model(draft.name)

    async def update_model(self, name: str, *, description: str) -> Model:
        check_length("description", description, self.capabilities.limits.description, self.registry)
        await self._groups.describe_as(CODEC.encode(name), description)
        return await self.get_model(name)

    async def delete_model(self, name: str) -> None:
        await self._groups.delete(CODEC.encode(name))

    async def set_model_tags(self, model: str, tags: Mapping[str, str], remove: Collection[str] = ()) -> None:
        native = CODEC.encode(model)
        refuse_own([*tags, *remove], self.registry)
        check_tags(tags, self.capabilities.limits, registry=self.registry, of_version=False)
        held = await self._groups.tags(native)
        await self._groups.change_tags(native, tags, remove, held)

    async def set_alias(self, model: str, alias: str, version: str) -> None:
        check_alias(alias, self.capabilities.limits, registry=self.registry)
        native = CODEC.encode(model)
        package, held = await asyncio.gather(self._packages.describe(native, version), self._groups.tags(native))
        await self._groups.change_tags(native, {ALIAS + alias: str(package["ModelPackageVersion"])}, (), held)

    async def delete_alias(self, model: str, alias: str) -> None:
        native = CODEC.encode(model)
        held = await self._groups.tags(native)
        if ALIAS + alias not in held:
            raise NotFound(f"alias {alias!r} of model {model!r} does not exist", registry=self.registry)
        await self._groups.change_tags(native, {}, [ALIAS + alias], held)

    # -- bytes in --------------------------------------------------------------------------------------

    async def begin_upload(self, draft: VersionDraft, key: str) -> UploadState:
        self._require_upload()
        self._check_draft(draft, key)
        native = CODEC.encode(draft.model)
        await self._groups.describe(native)
        return begin(draft, native, key)

    async def put_file(self, state: UploadState, file: FileSource) -> FileReceipt:
        self._require_upload()
        return await self._uploads.put(state, file)

    def open_uploaded(self, state: UploadState, path: str, offset: int = 0) -> AsyncIterator[bytes]:
        self._require_upload()
        return self.calls.stream("s3_get", self._uploads.open(state, path), offset=offset)

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
        """`source_uri` is an object or a prefix in S3; a package that is still Pending is returned so."""
        self._check_draft(draft, key)
        native = CODEC.encode(draft.model)
        await self._groups.describe(native)
        data = await self._uploads.data_at(draft.source_uri or "")
        return await self._version(await self._uploads.create(native, draft, key, data), native, draft.model)

    # -- changing --------------------------------------------------------------------------------------

    async def update_version(self, model: str, version: str, *, description: str) -> Version:
        check_length("description", description, self.capabilities.limits.description, self.registry)
        native = CODEC.encode(model)
        package = await self._packages.describe(native, version)
        own = package.get("ModelPackageDescription")
        pieces, gone = edit_description(_properties(package), own, description, self.registry)
        await self._packages.change_properties(package, pieces, gone)
        return await self.get_version(model, version)

    async def set_version_tags(
        self, model: str, version: str, tags: Mapping[str, str], remove: Collection[str] = ()
    ) -> None:
        refuse_own([*tags, *remove], self.registry)
        package = await self._packages.describe(CODEC.encode(model), version)
        kept = {key: value for key, value in without_own(_properties(package)).items() if key not in remove}
        check_tags({**kept, **tags}, self.capabilities.limits, registry=self.registry, of_version=True)
        await self._packages.change_properties(package, tags, remove)

    async def delete_version(self, model: str, version: str) -> None:
        native = CODEC.encode(model)
        await self._packages.delete(await self._packages.describe(native, version))
        held = await self._groups.tags(native)
        gone = [ALIAS + alias for alias, pointed in aliases_of(held).items() if pointed == version]
        if gone:
            await self._groups.change_tags(native, {}, gone, held)

    async def set_stage(self, target: VersionId, stage: str, expected: str | None = None) -> Version:
        require_stage(self.capabilities, stage, registry=self.registry)
        native = CODEC.encode(target.model)
        package = await self._packages.describe_target(target, native)
        live = stage_of(package, self._stages)
        if expected is not None and live != expected:
            raise PreconditionFailed(
                f"stage of {target.model!r} version {target.version} is {live!r}, not {expected!r}",
                registry=self.registry,
                cure="read it again and decide anew",
            )
        word = NO_STAGE if stage == NONE else self._native_stage(stage)
        if native_stages_of(package) != (() if stage == NONE else (word,)):
            life_cycle = {"Stage": word, "StageStatus": self._options.stage_status}
            await self._packages.update(package, ModelLifeCycle=life_cycle)
        return await self.get_version(target.model, target.version)

    async def set_approval(self, target: VersionId, decision: Approval, comment: str | None = None) -> Version:
        if decision not in APPROVALS:
            raise Unsupported(
                f"approval {decision.value!r}: registry {self.registry!r} can't set it",
                registry=self.registry,
                operation=Operation.SET_APPROVAL.value,
                cure="SageMaker holds pending, approved and rejected",
            )
        check_length("comment", comment or "", 1024, self.registry)
        check_pattern("comment", comment or "", r"[^\n\r]*", self.registry)
        package = await self._packages.describe_target(target, CODEC.encode(target.model))
        await self._packages.update(package, ModelApprovalStatus=APPROVALS[decision], ApprovalDescription=comment or "")
        return await self.get_version(target.model, target.version)

    # -- bytes out -------------------------------------------------------------------------------------

    async def list_files(self, model: str, version: str) -> list[FileEntry]:
        return await self._files.list_files(await self._packages.describe(CODEC.encode(model), version))

    async def open_file(self, model: str, version: str, file: FileEntry, offset: int = 0) -> AsyncIterator[bytes]:
        package = await self._packages.describe(CODEC.encode(model), version)
        async for chunk in self._files.open_file(package, file, offset):
            yield chunk

    # -- beyond ----------------------------------------------------------------------------------------

    async def copy_native(self, source: VersionId, target_model: str, key: str) -> Version:
        """A package in another group on the same bytes; stage and aliases stay behind, approval is pending."""
        native = CODEC.encode(target_model)
        package = await self._packages.describe_target(source, CODEC.encode(source.model))
        found = await self._uploads.find(native, key)
        if not found:
            fields = copied_fields(package, key)
            if self._options.artifact_root is not None:
                await self._uploads.share(artifact_uri_of(package) or "", f"{native}/{key}")
            found = [await self._packages.create_as(native, fields, key)]
        return await self._version(found[0], native, target_model)

    async def lineage(self, model: str, version: str) -> list[Edge]:
        native = CODEC.encode(model)
        package = await self._packages.describe(native, version)
        return await list_edges(self._client, package, await self._version(package, native, model))

    async def deployments(self, model: str, version: str) -> list[Deployment]:
        return await list_deployments(self._client, await self._packages.describe(CODEC.encode(model), version))

    def _require_upload(self) -> None:
        self.capabilities.require(Operation.UPLOAD, registry=self.registry)

    # -- steps -----------------------------------------------------------------------------------------

    async def _version(self, package: JSON, native: str, model: str) -> Version:
        return await self._packages.version(package, model, aliases_of(await self._groups.tags(native)))

    async def _outcome(self, package: JSON, state: UploadState) -> Version | Pending:
        version = await self._version(package, str(state.data["native"]), state.model)
        return outcome_of(package, version, state)

    def _native_stage(self, stage: str) -> str:
        word = self._stages.to_native(stage)
        check_pattern(f"stage {stage!r}", word, _STAGE_PATTERN, self.registry)
        return word

    def _check_draft(self, draft: VersionDraft, key: str) -> None:
        check_version_draft(draft, self.capabilities.limits, registry=self.registry)
        refuse_own(draft.tags, self.registry)
        check_length("idempotency key", key, 256, self.registry)
        check_pattern("idempotency key", key, self.capabilities.limits.version_tag_pattern, self.registry)
        if draft.version is not None:
            raise lost("version", "SageMaker numbers versions itself", self.registry)
        if draft.packaging not in PACKAGINGS:
            raise InvalidRequest(
                f"packaging {draft.packaging!r} is none of registry {self.registry!r}",
                registry=self.registry,
                cure=f"use one of {', '.join(PACKAGINGS)}",
            )


def _properties(package: JSON) -> dict[str, str]:
    return dict(package.get("CustomerMetadataProperties", {}))
