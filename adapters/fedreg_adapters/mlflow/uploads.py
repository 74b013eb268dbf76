"""Making versions: bytes first, into the artifacts of a run of ours, then one create that carries the key.

A stock server takes an `mlflow-artifacts:` source only with the run that owns it, hence the run. An upload is found
again by the tag `fedreg.key` on run and version; a create that came through twice leaves the lowest number.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from fedreg.domain.calls import Effect
from fedreg.domain.capabilities import check_version_draft
from fedreg.domain.errors import (
    FedregError,
    IntegrityError,
    InvalidRequest,
    NotFound,
    Outcome,
    Unsupported,
)
from fedreg.domain.models import FileEntry, UploadState, VersionDraft, VersionStatus
from fedreg_adapters.mlflow import mapping
from fedreg_adapters.mlflow.artifacts import Artifacts, Files
from fedreg_adapters.mlflow.client import Client, Json
from fedreg_adapters.mlflow.manifest import CODEC, LIMITS
from fedreg_adapters.mlflow.mapping import KEY_TAG
from fedreg_adapters.mlflow.paths import to_path
from fedreg_adapters.mlflow.runs import Runs

_FOLDER = "model"


@dataclass(frozen=True, slots=True)
class Uploads:
    """The uploads of one registry. Versions are returned as MLflow's JSON."""

    client: Client
    artifacts: Artifacts
    runs: Runs
    _models: set[str] = field(default_factory=set)  # those that were there when an upload began

    # -- begin -----------------------------------------------------------------------------------------

    async def begin(self, draft: VersionDraft, key: str) -> UploadState:
        """The run of this key, made if there is none.

        Raises NotFound for an unknown model, InvalidRequest for a draft that MLflow would refuse later.
        """
        check_draft(draft, self.client.registry)
        native = CODEC.encode(draft.model)
        if native not in self._models:
            await self.client.get("begin_upload", "registered-models/get", {"name": native})
            self._models.add(native)
        info = (await self.runs.get_or_create(draft, key))["info"]
        data = {
            "run_id": info["run_id"],
            "root": f"{info['artifact_uri'].rstrip('/')}/{_FOLDER}",
            "started": int(info.get("start_time") or 0),
            "description": draft.description or "",
            "tags": version_tags(draft, key),
            "metrics": {k: _number(v) for k, v in draft.metrics.items() if mapping.is_loggable_metric(k, v)},
            "params": {k: v for k, v in draft.params.items() if mapping.is_loggable_param(k, v)},
            "run_tags": mapping.git_tags(draft.provenance),
            "files": dict(draft.files),
        }
        return UploadState(key=key, model=draft.model, data=data)

    def forget(self) -> None:
        """A model was deleted: the next upload looks again."""
        self._models.clear()

    async def entry(self, state: UploadState, path: str) -> tuple[Files, FileEntry]:
        """An uploaded file, before any version has it. Raises NotFound."""
        files = self.artifacts.at(state.data["root"])
        stored, size = files.stored(path), state.data["files"].get(path)
        if size is not None:
            return files, FileEntry(path=stored, size=size)
        for entry in await files.entries():
            if entry.path == stored:
                return files, entry
        raise NotFound(f"file {path!r} is not uploaded", registry=self.client.registry)

    # -- finish ----------------------------------------------------------------------------------------

    async def finish(self, state: UploadState) -> tuple[Json, Json | None]:
        """Register what was uploaded; the version, and its run as it was logged. None: the version was there before.

        Raises NotFound for an unknown model, IntegrityError where a file is missing.
        """
        existing = await self.settle(state.model, state.key)
        if existing is not None:
            return existing, None
        data = state.data
        entries = await self.artifacts.at(data["root"]).entries()
        stored = {entry.path: entry.size for entry in entries}
        renamed = {path: to_path(path) for path in stored if to_path(path) != path}
        _check_arrived(data["files"], {renamed.get(path, path): size for path, size in stored.items()})
        logged = await self.runs.log(data)
        tags = dict(data["tags"])
        if renamed:
            tags[mapping.PATHS_TAG] = json.dumps(renamed, sort_keys=True)
        body = {"source": data["root"], "run_id": data["run_id"], "description": data["description"]}
        try:
            return await self.create(state.model, state.key, body, tags), {"data": logged}
        except NotFound:
            self.forget()
            raise

    async def create(self, model: str, key: str, body: Json, tags: Mapping[str, str]) -> Json:
        """One create; where its outcome is unknown the key is looked up once, where it came twice one is removed."""
        body = {"name": CODEC.encode(model), **body, "tags": mapping.to_tag_list(tags)}
        try:
            made: Json = (await self.client.write("create_version", "model-versions/create", body))["model_version"]
        except FedregError as error:
            if error.outcome is not Outcome.UNKNOWN:
                raise
            late = await self.settle(model, key)
            if late is None:
                raise
            return late
        return await self.settle(model, key) or made

    async def settle(self, model: str, key: str) -> Json | None:
        """The version of this key; twins beyond the lowest number are deleted.

        A twin has the same source: MLflow's own copy of a version carries all its tags, the key among them.
        """
        found = await self.versions_of_key(model, key)
        for twin in found[1:]:
            if _origin(twin) == _origin(found[0]):
                await self.delete_version(twin)
        return found[0] if found else None

    async def versions_of_key(self, model: str, key: str) -> list[Json]:
        """All versions of a model that carry this key, lowest number first."""
        native = CODEC.encode(model)
        query = f"{mapping.name_filter(native)} AND tags.`{KEY_TAG}` = '{mapping.key_tag_value(key)}'"
        found = [item for item in await self._search(query) if item["name"] == native]
        return sorted(found, key=lambda item: int(item["version"]))

    async def _search(self, query: str) -> list[Json]:
        pages = self.client.pages(
            "find_version", "model-versions/search", "model_versions", {"filter": query, "max_results": "1000"}
        )
        return [item async for items, _ in pages for item in items]

    async def delete_version(self, item: Json) -> None:
        """Remove a version; one that is gone already is fine."""
        body = {"name": item["name"], "version": str(item["version"])}
        try:
            await self.client.write(
                "delete_version", "model-versions/delete", body, method="DELETE", effect=Effect.IDEMPOTENT
            )
        except NotFound:
            return

    # -- without bytes ---------------------------------------------------------------------------------

    async def register(self, draft: VersionDraft, key: str) -> Json:
        """A version of bytes in place. The run is named where this server knows it; else it is provenance only."""
        check_draft(draft, self.client.registry)
        if not draft.source_uri:
            raise InvalidRequest("source_uri is empty", registry=self.client.registry, cure="say where the bytes are")
        existing = await self.settle(draft.model, key)
        if existing is not None:
            return existing
        body: Json = {"source": draft.source_uri, "description": draft.description or ""}
        logged = re.fullmatch(r"models:/(m-[0-9a-f]+)", draft.source_uri)
        if logged:
            body["model_id"] = logged.group(1)
        run_id = draft.provenance.run_id or _owner(draft.source_uri)
        if run_id and await self._knows_run(run_id):
            body["run_id"] = run_id
        return await self.create(draft.model, key, body, version_tags(draft, key, all_values=True))

    async def copy(self, source: Json, model: str, key: str) -> Json:
        """A version over the same bytes, as MLflow's own copy makes it, without stage, alias and approval."""
        existing = await self.settle(model, key)
        if existing is not None:
            return existing
        tags = {
            name: value
            for name, value in mapping.tags_of(source).items()
            if not name.startswith(mapping.OWN) or mapping.is_carried(name)
        }
        body = {
            "source": f"models:/{source['name']}/{source['version']}",
            "description": source.get("description", ""),
            **{field: source[field] for field in ("run_id", "run_link", "model_id") if source.get(field)},
        }
        if re.search(r"[?#%@]", source["name"]):  # a models:/ URI can't spell it
            body["source"] = source["source"]
        return await self.create(model, key, body, {**tags, KEY_TAG: mapping.key_tag_value(key)})

    async def _knows_run(self, run_id: str) -> bool:
        try:
            await self.client.get("create_version", "runs/get", {"run_id": run_id})
        except (NotFound, InvalidRequest):
            return False
        return True

    # -- abort -----------------------------------------------------------------------------------------

    async def abort(self, state: UploadState) -> None:
        """Remove the run, its bytes and half-made versions, unless a ready version stands on them."""
        run_id = state.data["run_id"]
        standing = await self._versions_on(run_id)
        if any(mapping.status_of(item) is VersionStatus.READY for item in standing):
            return
        for item in standing:
            await self.delete_version(item)
        await self.artifacts.at(state.data["root"]).delete()
        await self.runs.delete(run_id)
        for late in await self._versions_on(run_id):  # a create that arrived after all: its bytes are gone
            await self.delete_version(late)

    async def _versions_on(self, run_id: str) -> list[Json]:
        return await self._search(f"run_id = '{run_id}'")


def check_draft(draft: VersionDraft, registry: str) -> None:
    """InvalidRequest or Unsupported for what MLflow would refuse after the bytes were sent."""
    if draft.packaging != "files":
        raise Unsupported(f"packaging {draft.packaging!r}: MLflow keeps files", registry=registry, cure="use 'files'")
    check_version_draft(draft, LIMITS, registry=registry)
    mapping.check_tag_keys(draft.tags, registry)


def version_tags(draft: VersionDraft, key: str, *, all_values: bool = False) -> dict[str, str]:
    """The tags of the create: the user's, the key, the origin, the approval, and values that no run of ours holds."""
    metrics = {k: v for k, v in draft.metrics.items() if all_values or not mapping.is_loggable_metric(k, v)}
    params = {k: v for k, v in draft.params.items() if all_values or not mapping.is_loggable_param(k, v)}
    return {
        **draft.tags,
        KEY_TAG: mapping.key_tag_value(key),
        **mapping.source_tags(draft.provenance),
        **mapping.approval_tags(draft.approval),
        **({mapping.METRICS_TAG: json.dumps(metrics, sort_keys=True)} if metrics else {}),
        **({mapping.PARAMS_TAG: json.dumps(params, sort_keys=True)} if params else {}),
    }


def _number(value: float) -> float | str:
    """A float as JSON and MLflow's requests carry it."""
    return "NaN" if math.isnan(value) else value


def _check_arrived(announced: Mapping[str, int], arrived: Mapping[str, int]) -> None:
    wrong = sorted(path for path, size in announced.items() if arrived.get(path) != size)
    if wrong:
        raise IntegrityError(
            f"{len(wrong)} announced files are not in place, {wrong[0]!r} first",
            cure="upload them before finish",
            details={"files": wrong[:100]},
        )


def _origin(item: Json) -> tuple[str, str]:
    return str(item.get("source", "")), str(item.get("run_id", ""))


def _owner(uri: str) -> str | None:
    """The run whose artifacts a URI points into, by MLflow's default layout."""
    found = re.search(r"^runs:/([0-9a-f]{32})|/([0-9a-f]{32})/artifacts(?:/|$)", uri)
    return (found.group(1) or found.group(2)) if found else None
