"""The port over MLflow's REST API.

Metrics and parameters belong to a version's run: `get_version` reads it, lists and scans leave them empty.
Prompts live among MLflow's models and are none of ours: lists skip them, reads answer NotFound.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from fedreg.domain.calls import Calls
from fedreg.domain.capabilities import (
    Capabilities,
    Operation,
    check_alias,
    check_model_draft,
    check_tags,
    require_stage,
)
from fedreg.domain.errors import (
    FedregError,
    IntegrityError,
    InvalidRequest,
    NotFound,
    RegistryError,
)
from fedreg.domain.lineage import Edge
from fedreg.domain.manifest import check_path
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
from fedreg.domain.stages import Approval, Holder, parse_stage
from fedreg_adapters.mlflow import events, lineage, mapping
from fedreg_adapters.mlflow.artifacts import Artifacts, Files
from fedreg_adapters.mlflow.client import Client
from fedreg_adapters.mlflow.diagnosis import diagnose
from fedreg_adapters.mlflow.holdings import Holdings
from fedreg_adapters.mlflow.manifest import CODEC, LIMITS, MlflowOptions, capabilities_of
from fedreg_adapters.mlflow.places import Place, Places
from fedreg_adapters.mlflow.reads import Reads, number_of, unified
from fedreg_adapters.mlflow.runs import Runs
from fedreg_adapters.mlflow.scans import MODELS_AT_ONCE, VERSIONS_AT_ONCE, Scans, by_version
from fedreg_adapters.mlflow.stages import rules_of
from fedreg_adapters.mlflow.uploads import Uploads
from fedreg_adapters.shared.answers import tells_misread_answers


@tells_misread_answers
class MlflowAdapter(RegistryAdapter):
    """One MLflow server."""

    def __init__(self, registry: str, options: MlflowOptions, calls: Calls) -> None:
        super().__init__(registry, options, calls)
        self._options = options
        self._capabilities = capabilities_of(options.stages)
        if not options.webhook_secret:
            self._capabilities = self._capabilities.without(Operation.PARSE_EVENT)
        self._rules = rules_of(options.stages)
        self._client = Client(registry, options, calls, concurrency=self._capabilities.concurrency)
        self._artifacts = Artifacts(self._client, options)
        self._places = Places()
        self._uploads = Uploads(self._client, self._artifacts, Runs(self._client, options.experiment))
        self._reads = Reads(self._client, self._rules)
        self._holdings = Holdings(self._client, self._reads, self._rules)
        self._scans = Scans(self._client, self._rules)

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    # -- life ------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Servers before 2.3 have no aliases. One that can't be asked now keeps the ceiling."""
        try:
            await self._client.get("open", "registered-models/alias", {"name": "fedreg-probe", "alias": "fedreg-probe"})
        except RegistryError as error:
            if error.upstream_code in ("404", "ENDPOINT_NOT_FOUND"):
                self._capabilities = _without_aliases(self._capabilities)
        except FedregError:
            return

    async def aclose(self) -> None:
        await self._artifacts.aclose()
        await self._client.aclose()

    async def ping(self) -> None:
        await self._client.get("ping", "registered-models/search", {"max_results": "1"})

    async def diagnose(self) -> list[Finding]:
        options = self._options
        return await diagnose(self._client, experiment=options.experiment, access=options.artifact_access)

    # -- reading ---------------------------------------------------------------------------------------

    async def list_models(self, query: ModelQuery) -> Page[Model]:
        """Pages may be short where a name is asked for: the server knows other spellings than ours."""
        limit = min(query.page.limit, MODELS_AT_ONCE)
        search = {"max_results": str(limit), "page_token": query.page.token or ""}
        pages = self._client.pages("list_models", "registered-models/search", "registered_models", search)
        async for items, token in pages:
            models = [self._reads.to_model(item) for item in items if not mapping.is_prompt(item)]
            found = tuple(model for model in models if (query.name_contains or "") in model.name)
            if found or not token:
                return Page(found, token or None)
        return Page(())

    async def get_model(self, name: str) -> Model:
        return self._reads.to_model(await self._reads.model("get_model", name))

    async def list_versions(self, model: str, page: PageRequest) -> Page[Version]:
        """By number. Searches leave aliases out, so that the model is read with every page."""
        owner = await self._reads.model("list_versions", model)
        aliases, name = by_version(owner), mapping.name_of(owner)
        search = [
            ("filter", mapping.name_filter(owner["name"])),
            ("max_results", str(min(page.limit, VERSIONS_AT_ONCE))),
            ("order_by", "version_number ASC"),
            ("page_token", page.token or ""),
        ]
        async for items, token in self._client.pages(
            "list_versions", "model-versions/search", "model_versions", search
        ):
            own = [item for item in items if item["name"] == owner["name"]]
            if own or not token:
                found = (self._reads.to_version(item, name, aliases.get(str(item["version"]), [])) for item in own)
                return Page(tuple(found), token or None)
        return Page(())

    async def get_version(self, model: str, version: str) -> Version:
        """With the metrics and parameters of its run, where the server has the run."""
        item = await self._reads.version("get_version", model, version)
        run = await self._reads.run_of("get_version", item)
        return self._reads.to_version(item, unified(model), item.get("aliases", []), run or {})

    async def scan(self, cursor: str | None) -> Batch:
        return await self._scans.scan(cursor)

    async def find_version(self, model: str, key: str) -> Version | None:
        found = await self._uploads.versions_of_key(model, key)
        return await self.get_version(model, str(found[0]["version"])) if found else None

    # -- models ----------------------------------------------------------------------------------------

    async def create_model(self, draft: ModelDraft) -> Model:
        check_model_draft(draft, LIMITS, registry=self.registry)
        mapping.check_tag_keys(draft.tags, self.registry)
        native = CODEC.encode(draft.name)
        original = {mapping.NAME_TAG: draft.name} if CODEC.is_hashed(native) else {}
        body = {
            "name": native,
            "description": draft.description or "",
            "tags": mapping.to_tag_list({**draft.tags, **original}),
        }
        answer = await self._client.write("create_model", "registered-models/create", body)
        return self._reads.to_model(answer["registered_model"])

    async def update_model(self, name: str, *, description: str) -> Model:
        item = await self._reads.model("update_model", name)
        check_model_draft(ModelDraft(name=name, description=description), LIMITS, registry=self.registry)
        body = {"name": item["name"], "description": description}
        await self._client.put("update_model", "registered-models/update", body, method="PATCH")
        return await self.get_model(name)

    async def delete_model(self, name: str) -> None:
        """Its versions go with it; their files stay with their runs."""
        item = await self._reads.model("delete_model", name)
        self._places.clear()
        self._uploads.forget()
        await self._client.write("delete_model", "registered-models/delete", {"name": item["name"]}, method="DELETE")

    # -- bytes in --------------------------------------------------------------------------------------

    async def begin_upload(self, draft: VersionDraft, key: str) -> UploadState:
        return await self._uploads.begin(draft, key)

    async def put_file(self, state: UploadState, file: FileSource) -> FileReceipt:
        check_path(file.path)
        return await self._artifacts.at(state.data["root"]).put(file)

    async def open_uploaded(self, state: UploadState, path: str, offset: int = 0) -> AsyncIterator[bytes]:
        files, entry = await self._uploads.entry(state, check_path(path))
        async for chunk in self._read(files, entry, offset):
            yield chunk

    async def finish(self, state: UploadState) -> Version:
        """A new version as its create answered, with what its run was given; one that was there before is read."""
        made, run = await self._uploads.finish(state)
        if run is None:
            return await self.get_version(state.model, str(made["version"]))
        return self._reads.to_version(made, unified(state.model), [], run)

    async def poll(self, state: UploadState) -> Version:
        """MLflow registers at once: what finish gave."""
        return await self.finish(state)

    async def abort(self, state: UploadState) -> None:
        await self._uploads.abort(state)

    async def create_version(self, draft: VersionDraft, key: str) -> Version:
        made = await self._uploads.register(draft, key)
        return await self.get_version(draft.model, str(made["version"]))

    async def copy_native(self, source: VersionId, target_model: str, key: str) -> Version:
        """Both versions share the files, as with MLflow's own copy."""
        item = await self._reads.live("copy_native", source)
        made = await self._uploads.copy(item, target_model, key)
        return await self.get_version(target_model, str(made["version"]))

    # -- changing --------------------------------------------------------------------------------------

    async def update_version(self, model: str, version: str, *, description: str) -> Version:
        item = await self._reads.version("update_version", model, version)
        body = {**number_of(item), "description": description}
        await self._client.put("update_version", "model-versions/update", body, method="PATCH")
        return await self.get_version(model, version)

    async def delete_version(self, model: str, version: str) -> None:
        item = await self._reads.version("delete_version", model, version)
        self._places.clear()
        await self._client.write("delete_version", "model-versions/delete", number_of(item), method="DELETE")

    async def set_stage(self, target: VersionId, stage: str, expected: str | None = None) -> Version:
        require_stage(self.capabilities, parse_stage(stage), registry=self.registry)
        await self._holdings.set_stage(target, stage, expected)
        return await self.get_version(target.model, target.version)

    async def set_alias(self, model: str, alias: str, version: str) -> None:
        check_alias(alias, LIMITS, registry=self.registry)
        self._rules.refuse_pointer(alias, self.registry)
        item = await self._reads.version("set_alias", model, version)
        await self._client.put("set_alias", "registered-models/alias", {**number_of(item), "alias": alias})

    async def delete_alias(self, model: str, alias: str) -> None:
        self._rules.refuse_pointer(alias, self.registry)
        item = await self._reads.model("delete_alias", model)
        if alias not in mapping.aliases_of(item):
            raise NotFound(f"alias {alias!r} of model {model!r} is not set", registry=self.registry)
        await self._client.delete("delete_alias", "registered-models/alias", {"name": item["name"], "alias": alias})

    async def set_model_tags(self, model: str, tags: Mapping[str, str], remove: Collection[str] = ()) -> None:
        check_tags(tags, LIMITS, registry=self.registry, of_version=False)
        mapping.check_tag_keys([*tags, *remove], self.registry)
        item = await self._reads.model("set_model_tags", model)
        await self._holdings.write_tags("set_model_tags", "registered-models", {"name": item["name"]}, tags, remove)

    async def set_version_tags(
        self, model: str, version: str, tags: Mapping[str, str], remove: Collection[str] = ()
    ) -> None:
        check_tags(tags, LIMITS, registry=self.registry, of_version=True)
        mapping.check_tag_keys([*tags, *remove], self.registry)
        item = await self._reads.version("set_version_tags", model, version)
        await self._holdings.write_tags("set_version_tags", "model-versions", number_of(item), tags, remove)

    async def set_approval(self, target: VersionId, decision: Approval, comment: str | None = None) -> Version:
        await self._holdings.set_approval(target, decision, comment)
        return await self.get_version(target.model, target.version)

    # -- bytes out -------------------------------------------------------------------------------------

    async def list_files(self, model: str, version: str) -> list[FileEntry]:
        place = await self._place("list_files", model, version)
        names = {stored: path for path, stored in place.stored.items()}
        found = [replace(entry, path=names.get(entry.path, entry.path)) for entry in await place.files.entries()]
        for entry in found:
            _check_listed(entry.path, self.registry)
        self._places.put(model, version, place)
        return sorted(found, key=lambda entry: entry.path.encode("utf-8", "surrogatepass"))

    async def open_file(self, model: str, version: str, file: FileEntry, offset: int = 0) -> AsyncIterator[bytes]:
        check_path(file.path)
        place = self._places.get(model, version) or await self._place("open_file", model, version)
        stored = replace(file, path=place.stored.get(file.path, file.path))
        async for chunk in self._read(place.files, stored, offset):
            yield chunk

    async def _place(self, operation: str, model: str, version: str) -> Place:
        """Where the files of a version are now. Raises NotFound."""
        item = await self._reads.version(operation, model, version)
        renamed = mapping.path_names(mapping.tags_of(item))
        return Place(await self._artifacts.of_version(item), {path: stored for stored, path in renamed.items()})

    async def _read(self, files: Files, entry: FileEntry, offset: int) -> AsyncIterator[bytes]:
        if not 0 <= offset <= entry.size:
            raise InvalidRequest(
                f"offset {offset} is outside file {entry.path!r} ({entry.size} bytes)", registry=self.registry
            )
        if offset and offset == entry.size:
            return
        async for chunk in self.calls.stream("open_file", files.open_at(entry), offset=offset):
            yield chunk

    # -- beyond ----------------------------------------------------------------------------------------

    async def lineage(self, model: str, version: str) -> list[Edge]:
        item = await self._reads.version("lineage", model, version)
        here = self._reads.to_version(item, unified(model), item.get("aliases", []))
        original = None
        if (source := lineage.source_version(item)) is not None:
            original = await self._reads.original("lineage", *source)
        return lineage.to_edges(item, here, await self._reads.run_of("lineage", item), original)

    async def parse_event(
        self, headers: Mapping[str, str], body: bytes, query: Mapping[str, str] = NO_QUERY
    ) -> list[RegistryEvent]:
        self.capabilities.require(Operation.PARSE_EVENT, registry=self.registry)
        secret = self._options.webhook_secret or ""
        return events.parse_event(headers, body, secret=secret, registry=self.registry, now=datetime.now(UTC))


def _without_aliases(capabilities: Capabilities) -> Capabilities:
    """What is left on a server that has no aliases: stages held by them go too."""
    held = {stage: support for stage, support in capabilities.stages.items() if support.holder is not Holder.ALIAS}
    custom = capabilities.custom_stages
    custom = None if custom is None or custom.holder is Holder.ALIAS else custom
    left = replace(capabilities, stages=held, custom_stages=custom)
    return left.without(Operation.SET_ALIAS, Operation.DELETE_ALIAS)


def _check_listed(path: str, registry: str) -> None:
    try:
        check_path(path)
    except InvalidRequest as error:
        raise IntegrityError(error.message, registry=registry, cure="remove that file at its store") from error
