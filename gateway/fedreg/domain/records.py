"""What the gateway itself remembers: journal entries, intents, effects, counterparts, scan states.

Values in `before`, `after`, `plan`, `result` and `error` are JSON values. Times are aware UTC datetimes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who asks. `authenticated` is False for an in-process user, who satisfies no gate."""

    subject: str
    authenticated: bool = False


class Origin(StrEnum):
    """Whether a change was made by this gateway or seen afterwards."""

    OURS = "ours"
    OBSERVED = "observed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change to be journalled. For an observed one, it happened after `after_time` and by `recorded_at`.

    `action` is a past-tense verb: created, deleted, stage_set, alias_set, alias_deleted, tags_set,
    description_set, approval_set, copied, link_set, link_deleted, promotion_requested, promotion_approved,
    promotion_rejected, promotion_settled, webhook_set, webhook_deleted, webhook_redelivered. What concerns no model has
    empty `registry` and `model`.
    """

    action: str
    registry: str
    model: str
    actor: Actor
    version: str | None = None
    identity: str | None = None
    before: Any = None
    after: Any = None
    reason: str | None = None
    origin: Origin = Origin.OURS
    not_before: datetime | None = None
    intent_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """A change as it stands in the chain. `hash` covers the entry and `previous_hash`."""

    sequence: int
    recorded_at: datetime
    change: Change
    previous_hash: str
    hash: str


class IntentKind(StrEnum):
    """What an intent is for."""

    COPY = "copy"
    PROMOTION = "promotion"
    CHANGE = "change"
    CHECK = "check"
    MIGRATION = "migration"


class IntentState(StrEnum):
    """Life of an intent: pending -> running -> one of the ends; `waiting` stands before a gate."""

    PENDING = "pending"
    WAITING = "waiting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDED = frozenset({IntentState.SUCCEEDED, IntentState.FAILED, IntentState.CANCELLED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """Something the gateway was asked to do and will finish. Its id is also the workflow's."""

    id: str
    kind: IntentKind
    state: IntentState
    actor: Actor
    plan: Mapping[str, Any]
    reason: str | None = None
    result: Mapping[str, Any] | None = None
    error: Mapping[str, Any] | None = None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestKey:
    """A caller's own key of a request (Idempotency-Key). `fingerprint` tells whether it is the same request again."""

    actor: str
    key: str
    fingerprint: str


class EffectState(StrEnum):
    """`planned` is committed before the remote write, `done` after it was seen to hold."""

    PLANNED = "planned"
    DONE = "done"
    SUPERSEDED = "superseded"
    FAILED = "failed"


class EffectRole(StrEnum):
    """Why a value is written: it was asked for, an earlier holder gives way, or an effect is taken back.

    A holder that gives way may have lost an exclusive stage already, to the write before.
    """

    SET = "set"
    DEMOTE = "demote"
    REVERT = "revert"


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One remote write of an intent: the target, what was there (every holder included), what shall be there."""

    intent_id: str
    sequence: int
    registry: str
    model: str
    version: str | None
    identity: str | None
    field: str
    before: Any
    after: Any
    state: EffectState = EffectState.PLANNED
    role: EffectRole = EffectRole.SET
    updated_at: datetime | None = None


class Decision(StrEnum):
    """What an approver says of a promotion that waits."""

    APPROVED = "approved"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalRecord:
    """One person's word on one promotion. `fingerprint` covers what was approved: identity, digest and plan;
    `roles` are the person's at that time."""

    intent_id: str
    actor: str
    decision: Decision
    fingerprint: str
    decided_at: datetime
    roles: tuple[str, ...] = ()
    comment: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Counterpart:
    """The same version at another registry: source identity -> target identity, with the digest read at both ends."""

    source_registry: str
    source_model: str
    source_version: str
    source_identity: str
    target_registry: str
    target_model: str
    target_version: str
    target_identity: str
    digest: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanState:
    """How far the index of a registry is. `cursor` resumes an unfinished sweep or asks for later changes.

    `covered_since`: when the first scan was complete. `swept_at`: when the last complete one began.
    """

    registry: str
    cursor: str | None = None
    sweep_started_at: datetime | None = None
    completed_at: datetime | None = None
    error: Mapping[str, Any] | None = None
    covered_since: datetime | None = None
    swept_at: datetime | None = None


class Sort(StrEnum):
    """The order of an inventory: by registry, model and version, or by a time; `-` turns it round.

    Rows without the time come last either way; rows of the same time are in the order of their names.
    """

    NAME = "name"
    NAME_DOWN = "-name"
    STAGE_SINCE = "stage_since"
    STAGE_SINCE_DOWN = "-stage_since"
    APPROVED_AT = "approved_at"
    APPROVED_AT_DOWN = "-approved_at"
    OBSERVED_AT = "observed_at"
    OBSERVED_AT_DOWN = "-observed_at"

    @property
    def field(self) -> str:
        """What is sorted by."""
        return self.value.removeprefix("-")

    @property
    def descending(self) -> bool:
        return self.value.startswith("-")


@dataclass(frozen=True, slots=True, kw_only=True)
class InventoryQuery:
    """Filters of the inventory; all given ones must hold. `model` is a glob. `limit` rows after `cursor`.

    `sort` is a word of `Sort`. `as_of` asks for what was there at a past time, in the order of names.
    """

    registries: tuple[str, ...] = ()
    model: str | None = None
    stage: str | None = None
    alias: str | None = None
    approval: str | None = None
    tag: tuple[str, str] | None = None
    digest: str | None = None
    search: str | None = None
    sort: str = Sort.NAME
    limit: int = 100
    cursor: str | None = None
    as_of: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InventoryRow:
    """One line of the inventory: a version, or the model's leading version where one line a model is asked for.

    `stage_since_basis` says how the time is known: journal, registry or observation. `versions` counts the
    model's versions (one line a model only). `unknown`, for a past time only: what the journal can't tell of it, by
    field; `existence` where it may not have been there, `everything` for a registry that was not covered then.
    """

    registry: str
    model: str
    version: str | None
    stage: str
    stage_since: datetime | None = None
    stage_since_basis: str | None = None
    set_by: str | None = None
    approval: str = "none"
    approved_by: str | None = None
    approved_at: datetime | None = None
    aliases: tuple[str, ...] = ()
    digest: str | None = None
    digest_basis: str | None = None
    links: tuple[str, ...] = ()
    versions: int | None = None
    stages: Mapping[str, str] = field(default_factory=dict)
    observed_at: datetime | None = None
    unknown: tuple[str, ...] = ()
