"""What use cases answer: plans, reports and views. The same types in process, over HTTP and on the command line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from fedreg.domain.capabilities import Capabilities
from fedreg.domain.evidence import BadHead, Coverage, Fault
from fedreg.domain.lineage import Edge, Node
from fedreg.domain.links import Link
from fedreg.domain.manifest import Digest
from fedreg.domain.models import FileEntry, Finding, Model, ModelDraft, Version, VersionDraft, VersionId
from fedreg.domain.proofs import Proof
from fedreg.domain.records import IntentKind, IntentState, InventoryRow, JournalEntry
from fedreg.domain.refs import Ref

# The code of a `partial` entry whose rows are all there, and perhaps some that are gone.
DELETIONS_WITHHELD = "deletions_withheld"
# The code of one for whose registry the journal tells nothing of the time that was asked for.
NOT_COVERED = "not_covered"
SAME, DIFFERS, ONLY_SOURCE, ONLY_TARGET, NOT_COMPARABLE, ERROR = "=", "*", "+", "-", "?", "!"


class LossKind(StrEnum):
    """What became of a field."""

    RENAMED = "renamed"
    HELD_BY_GATEWAY = "held_by_gateway"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """One line of a fidelity report."""

    field: str
    kind: LossKind
    why: str

    @property
    def is_loss(self) -> bool:
        """Whether the registry lacks the value; a name that is only spelt otherwise is there."""
        return self.kind is not LossKind.RENAMED


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyPlan:
    """What will be copied where. `files` maps path -> size in bytes; `key` is the same for the same two ends.

    `describes_model`: the first version makes the model, which gets its description and tags after that.
    """

    source: VersionId
    source_registry: str
    target_registry: str
    target_model: str
    key: str
    files: Mapping[str, int]
    draft: VersionDraft
    model_draft: ModelDraft | None = None
    held: Mapping[str, Any] = field(default_factory=dict)
    model_held: Mapping[str, Any] = field(default_factory=dict)
    losses: tuple[Loss, ...] = ()
    already_at: str | None = None
    describes_model: bool = False

    @property
    def bytes(self) -> int:
        return sum(self.files.values())

    @property
    def source_ref(self) -> Ref:
        return Ref(self.source_registry, self.source.model).at_version(self.source.version)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsTaken:
    """What a pushed message said: `events` about models, `fresh` of which were not known already."""

    events: int
    fresh: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyReport:
    """What a copy did. `digest` was read at both ends; `moved` is False where the copy was there already."""

    source: str
    target: str
    digest: str
    files: int
    bytes: int
    moved: bool
    losses: tuple[Loss, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRow:
    """One compared thing: a file of a version, or a whole version. `basis` says what the verdict rests on."""

    symbol: str
    item: str
    basis: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """All rows, and the digests of both ends where two versions were compared by all their files."""

    source: str
    target: str
    rows: tuple[CheckRow, ...]
    source_digest: Digest | None = None
    target_digest: Digest | None = None

    @property
    def same(self) -> bool:
        return bool(self.rows) and all(row.symbol == SAME for row in self.rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class LineageGraph:
    """Everything reachable from `root`. `partial` says which registries could not be asked."""

    root: Node
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    truncated: bool = False
    partial: tuple[dict[str, object], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshReport:
    """What a refresh saw. `deletions_withheld` counts what the guard did not believe; `error` ends it early."""

    registry: str
    models: int = 0
    versions: int = 0
    changes: int = 0
    deleted: int = 0
    deletions_withheld: int = 0
    error: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshStatus:
    """A scan that a gateway was asked for: under way, or its report; neither where it was asked for none."""

    registry: str
    running: bool
    report: RefreshReport | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryView:
    """One configured registry. `error` says why it did not answer, where it was asked.

    `covered_since`: from when on the journal tells what changed there.
    """

    name: str
    kind: str
    title: str
    reachable: bool | None = None
    error: Mapping[str, Any] | None = None
    last_scan: datetime | None = None
    covered_since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What `doctor` found at one registry, in the order it was looked at."""

    registry: str
    kind: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """A page of the inventory. `partial` names registries whose rows may be missing or old, and why.

    For a past time `as_of`, `coverage` says of each registry since when the journal can tell.
    """

    items: tuple[InventoryRow, ...]
    next_cursor: str | None = None
    partial: tuple[Mapping[str, Any], ...] = ()
    as_of: datetime | None = None
    coverage: tuple[Coverage, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelView:
    """A model with its versions, newest first."""

    model: Model
    versions: tuple[Version, ...]


def newest_first(versions: Iterable[Version]) -> tuple[Version, ...]:
    """Versions by falling number; those without one stand last, by name."""
    return tuple(sorted(versions, key=lambda v: (-int(v.version) if v.version.isdecimal() else 0, v.version)))


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionView:
    """A version with its files; `files_error` where they can't be listed."""

    ref: str
    version: Version
    files: tuple[FileEntry, ...] = ()
    files_error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CapabilityView:
    """What one registry can do, narrowed to what it allows where it could be opened; and what proves it.

    `proofs`: of each line of `fedreg capabilities` that is not `-`, and of each `access NAME`, the best first.
    `unproven`: why nothing could prove a line. `exempt`: what the kind does not do, and why.
    """

    registry: str
    kind: str
    capabilities: Capabilities
    ceiling_only: bool = False
    error: Mapping[str, Any] | None = field(default=None)
    proofs: Mapping[str, tuple[Proof, ...]] = field(default_factory=dict)
    unproven: Mapping[str, str] = field(default_factory=dict)
    exempt: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationView:
    """An operation. `progress` counts files and bytes while it runs; `error` is set where it failed."""

    id: str
    kind: IntentKind
    state: IntentState
    actor: str
    reason: str | None
    plan: Mapping[str, Any]
    progress: Mapping[str, Any] | None
    result: Mapping[str, Any] | None
    error: Mapping[str, Any] | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadReport:
    """What was written where."""

    ref: str
    directory: str
    files: int
    bytes: int
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkView:
    """A link and where it comes from: `configuration` (read-only) or `api`. `problems`: what members can't honour."""

    name: str
    link: Link
    origin: str
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Facets:
    """How many versions the index has, by registry, by stage and by approval."""

    registries: dict[str, int]
    stages: dict[str, int]
    approvals: dict[str, int]


class History(list[JournalEntry]):
    """What happened, oldest first. `covered_since`: from when on the journal tells all of it; None: never scanned."""

    def __init__(self, entries: Iterable[JournalEntry] = (), *, covered_since: datetime | None = None) -> None:
        super().__init__(entries)
        self.covered_since = covered_since


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """`entries` were found to be in order; `broken_at` is the sequence of the first that is not, `fault` what it has.

    `heads` signed heads were held against the chain, and vouch for every entry up to `vouched_until`. Where an entry
    differs from what was signed, and nothing between `vouched_until` and `broken_at` was, any of those may be the
    one that was changed; `detail` says so. `bad_heads` are forged, unsigned or of another store.
    """

    ok: bool
    entries: int
    broken_at: int | None = None
    fault: Fault | None = None
    detail: str | None = None
    heads: int = 0
    vouched_until: int | None = None
    bad_heads: tuple[BadHead, ...] = ()
