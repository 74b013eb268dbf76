"""Pure functions between the vendor's shapes and the domain's."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from fedreg.domain.errors import IntegrityError, InvalidRequest
from fedreg.domain.lineage import Edge, Node, NodeKind, Relation, version_node
from fedreg.domain.manifest import check_path
from fedreg.domain.models import (
    Deployment,
    FileEntry,
    Model,
    Provenance,
    RegistryEvent,
    UploadState,
    Version,
    VersionDraft,
)
from fedreg.domain.stages import NONE, Approval, StageMap, highest_stage
from fedreg_adapters.memory.manifest import NAMES

Json = Mapping[str, Any]

UPLOADS = "memory:upload/"
VERDICTS = {Approval.PENDING: "open", Approval.APPROVED: "yes", Approval.REJECTED: "no", Approval.NONE: None}
DECISIONS = {verdict: approval for approval, verdict in VERDICTS.items()}


def model_name(native: str, title: str | None = None) -> str:
    """The unified name of a shelf; `title` keeps the original of a hashed name."""
    return NAMES.decode(native, title)


@dataclass(frozen=True, slots=True)
class Shapes:
    """The two mappings that hang on configuration: which words are stages, and which pointers hold one."""

    registry: str
    words: StageMap
    stage_pointers: frozenset[str]

    def to_model(self, shelf: Json) -> Model:
        """A shelf as a model. Stage pointers are not aliases."""
        pointers = shelf["pointers"].items()
        return Model(
            registry=self.registry,
            name=model_name(shelf["name"], shelf["title"]),
            native_name=shelf["name"],
            description=shelf["notes"],
            tags=shelf["labels"],
            aliases={pointer: str(number) for pointer, number in pointers if pointer not in self.stage_pointers},
            created_at=to_time(shelf["born"]),
            updated_at=to_time(shelf["touched"]),
        )

    def to_version(self, model: str, release: Json) -> Version:
        """A release as a version. Its stages are its phase and the stage pointers at it."""
        held = [pointer for pointer in release["pointers"] if pointer in self.stage_pointers]
        native = tuple(held + ([release["phase"]] if release["phase"] is not None else []))
        stages = tuple(stage for stage in map(self.words.to_stage, native) if stage is not None and stage != NONE)
        return Version(
            registry=self.registry,
            model=model,
            version=str(release["number"]),
            identity=release["uid"],
            stage=highest_stage(stages),
            stages=stages,
            native_stages=native,
            approval=DECISIONS[release["verdict"]],
            approval_comment=release["remark"],
            aliases=tuple(pointer for pointer in release["pointers"] if pointer not in self.stage_pointers),
            tags=release["labels"],
            description=release["notes"],
            artifact_uri=f"memory:{release['shelf']}/{release['number']}",
            metrics=release["scores"],
            params=release["settings"],
            provenance=to_provenance(release["origin"]),
            created_at=to_time(release["born"]),
            updated_at=to_time(release["touched"]),
        )


def to_provenance(origin: Json) -> Provenance:
    """What a release remembers of where it came from."""
    known = {key: value for key, value in origin.items() if key in Provenance.__slots__}
    if known.get("created_at"):
        known["created_at"] = datetime.fromisoformat(known["created_at"])
    return Provenance(**known)


def from_provenance(provenance: Provenance) -> dict[str, Any]:
    """JSON values of what is known."""
    known = {key: value for key, value in asdict(provenance).items() if value}
    if provenance.created_at is not None:
        known["created_at"] = provenance.created_at.isoformat()
    return known


def release_fields(draft: VersionDraft) -> dict[str, Any]:
    """What a draft says of the release to publish, as JSON values."""
    return {
        "notes": draft.description,
        "labels": dict(draft.tags),
        "scores": dict(draft.metrics),
        "settings": dict(draft.params),
        "origin": from_provenance(draft.provenance),
        "verdict": VERDICTS[draft.approval],
    }


def to_upload_state(draft: VersionDraft, key: str, upload: str) -> UploadState:
    """Everything `finish` needs, in a process that has never seen the draft."""
    return UploadState(key=key, model=draft.model, data={"upload": upload, "fields": release_fields(draft)})


def upload_of(draft: VersionDraft) -> str:
    """The upload that a draft's source names; InvalidRequest for any other place."""
    source = draft.source_uri or ""
    if not source.startswith(UPLOADS):
        raise InvalidRequest(f"source_uri {source!r} is not in this registry", cure=f"it starts with {UPLOADS}")
    return source.removeprefix(UPLOADS)


def to_files(blobs: Iterable[Json]) -> list[FileEntry]:
    """Checked and sorted. IntegrityError for a path that leaves the version: somebody else put it there."""
    files = []
    for blob in blobs:
        try:
            check_path(blob["path"])
        except InvalidRequest as error:
            raise IntegrityError(error.message, cure="delete this version: do not download it") from error
        files.append(FileEntry(path=blob["path"], size=blob["size"], sha256=blob["sha256"], etag=blob["sha256"]))
    return sorted(files, key=lambda file: file.path.encode("utf-8", "surrogatepass"))


def to_deployment(run: Json) -> Deployment:
    return Deployment(name=run["name"], kind=run["kind"], status=run["status"], created_at=to_time(run["since"]))


def to_edges(release: Json, version: Version) -> list[Edge]:
    """The run that made a release, and the release it was cloned from."""
    here, origin = version_node(version), release["origin"]
    edges = []
    if run := origin.get("run_id"):
        source = Node(key=f"run:{version.registry}:{run}", kind=NodeKind.RUN, label=f"run {run}")
        edges.append(Edge(source=source, target=here, relation=Relation.PRODUCED_BY))
    if uid := origin.get("cloned"):
        key, label = f"version:{version.registry}:{uid}", f"{version.registry}:{origin['cloned_ref']}"
        source = Node(key=key, kind=NodeKind.VERSION, label=label)
        edges.append(Edge(source=source, target=here, relation=Relation.COPIED_FROM))
    return edges


def to_event(body: bytes) -> RegistryEvent:
    """A pushed message. ValueError, KeyError or TypeError where it is none."""
    said = json.loads(body)
    return RegistryEvent(
        id=said["id"],
        model=model_name(said["shelf"]),
        version=None if said["number"] is None else str(said["number"]),
        kind=said["what"],
        occurred_at=datetime.fromtimestamp(said["at"], UTC),
    )


def to_time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
