"""Models, versions and files as every surface shows them, and the drafts that make them.

All times are aware UTC datetimes. Names are unified ones; `native_name` is the registry's spelling.
Frozen dataclasses: they are encoded as they are.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Generic, TypeVar

from fedreg.domain.manifest import Digest
from fedreg.domain.refs import Ref
from fedreg.domain.stages import NONE, Approval

Item = TypeVar("Item", covariant=True)


class VersionStatus(StrEnum):
    """Only `ready` versions are promoted."""

    REGISTERING = "registering"
    READY = "ready"
    FAILED = "failed"
    DELETING = "deleting"


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A named model. `aliases` maps alias -> version, stage pointers left out."""

    registry: str
    name: str
    native_name: str
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    created_at: datetime | None = None
    updated_at: datetime | None = None
    held_by_gateway: tuple[str, ...] = ()

    @property
    def ref(self) -> Ref:
        """The reference that names this model."""
        return Ref(self.registry, self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionId:
    """A version for good: `identity` never names another version, even after delete and re-create."""

    model: str
    version: str
    identity: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where a version came from, as far as its registry knows. `extra` holds further vendor words."""

    run_id: str | None = None
    source_uri: str | None = None
    git_commit: str | None = None
    git_repository: str | None = None
    created_by: str | None = None
    created_at: datetime | None = None
    extra: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version of a model.

    `native_stages` is what the registry shows, `stages` what of it are stages of ours, `stage` the highest.
    `aliases` leaves out stage pointers. `held_by_gateway` names fields that the registry can't hold.
    """

    registry: str
    model: str
    version: str
    identity: str
    status: VersionStatus = VersionStatus.READY
    status_message: str | None = None
    stage: str = NONE
    stages: tuple[str, ...] = ()
    native_stages: tuple[str, ...] = ()
    approval: Approval = Approval.NONE
    approval_comment: str | None = None
    aliases: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    description: str | None = None
    artifact_uri: str | None = None
    digest: Digest | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    provenance: Provenance = field(default_factory=Provenance)
    created_at: datetime | None = None
    updated_at: datetime | None = None
    held_by_gateway: tuple[str, ...] = ()

    @property
    def ref(self) -> Ref:
        """The reference that names this version."""
        return Ref(self.registry, self.model).at_version(self.version)

    @property
    def id(self) -> VersionId:
        return VersionId(model=self.model, version=self.version, identity=self.identity)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDraft:
    """A model to create."""

    name: str
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionDraft:
    """A version to create.

    `files` (path -> size in bytes) announces what will be uploaded; `source_uri` says where bytes are
    already in place (create_version only). `version` asks for a number where the registry takes one.
    `packaging` is one of the declared ones.
    """

    model: str
    version: str | None = None
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    provenance: Provenance = field(default_factory=Provenance)
    approval: Approval = Approval.NONE
    files: Mapping[str, int] = field(default_factory=dict)
    source_uri: str | None = None
    packaging: str = "files"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEntry:
    """One file of a version. `sha256` only where the registry itself vouches for it; `etag` guards re-reads."""

    path: str
    size: int
    sha256: str | None = None
    etag: str | None = None


OpenAt = Callable[[int], AsyncIterator[bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSource:
    """A file to upload: `open_at(offset)` opens its bytes as often as needed."""

    path: str
    size: int
    open_at: OpenAt
    sha256: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FileReceipt:
    """A file that is in place at the target. JSON values only: it is checkpointed."""

    path: str
    size: int
    etag: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadState:
    """A begun upload. JSON values and no credentials: it is stored before the first byte is sent."""

    key: str
    model: str
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """The registry is still at work on a finished upload; ask again after `poll_after` seconds."""

    state: UploadState
    poll_after: float = 1.0


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """One page; `next_token` is opaque, None on the last page."""

    items: tuple[Item, ...]
    next_token: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRequest:
    """Which page: `limit` items at most, from `token` (None: the first)."""

    limit: int = 100
    token: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelQuery:
    """A page of models, optionally those whose unified name contains a text."""

    page: PageRequest = field(default_factory=PageRequest)
    name_contains: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """A piece of a scan.

    `cursor` resumes after this batch. `complete` is True on the last batch. `full` says whether the scan
    visits everything, so that what it did not show may be gone; an incremental one shows changes only.
    """

    models: tuple[Model, ...]
    versions: tuple[Version, ...]
    cursor: str | None
    complete: bool
    full: bool


class Severity(StrEnum):
    """How much a finding matters."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of `doctor`: what was checked, what was found and what to do."""

    check: str
    severity: Severity
    message: str
    cure: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """A running use of a version, as the registry's own platform knows it."""

    name: str
    kind: str
    status: str
    url: str | None = None
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryEvent:
    """A reason to look: which model (and version) changed, never what is true now.

    `id` tells a message that is delivered twice. Not `unique`: the service numbers nothing and the id is made of what
    the message says, so that a later one may rightly say the same again.
    """

    id: str
    model: str
    version: str | None
    kind: str
    occurred_at: datetime | None = None
    unique: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshake:
    """The answer to a service that asks whether its subscription is meant: a 200 with these headers and this JSON."""

    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
