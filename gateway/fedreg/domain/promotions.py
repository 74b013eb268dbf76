"""What a promotion does at each place, what it waits for, and how far it has come. JSON values throughout."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from fedreg.domain.models import Version
from fedreg.domain.records import Effect, EffectRole, IntentState
from fedreg.domain.reports import Loss


class MemberAction(StrEnum):
    """What happens at a member: values are set, the version is copied there first, nothing is to do, or it is left.

    `later`: it can't be reached now, and is planned when it answers.
    """

    SET = "set"
    COPY = "copy"
    LATER = "later"
    NONE = "none"
    SKIP = "skip"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedEffect:
    """One write. `version` and `identity` are None for a version that is copied first; `held_by` keeps the value."""

    version: str | None
    identity: str | None
    field: str
    before: Any
    after: Any
    role: EffectRole = EffectRole.SET
    held_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberPlan:
    """What a promotion does at one place. `link` is None at the place it was asked for; `why` explains a skip."""

    registry: str
    model: str
    action: MemberAction
    link: str | None = None
    version: str | None = None
    identity: str | None = None
    effects: tuple[PlannedEffect, ...] = ()
    losses: tuple[Loss, ...] = ()
    bytes: int = 0
    why: str | None = None

    @property
    def place(self) -> tuple[str, str]:
        return self.registry, self.model


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleOutcome:
    """A rule of a gate, evaluated. `inputs` is what it saw; `error` where it could not be evaluated."""

    name: str
    expression: str
    holds: bool
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GateView:
    """The gate of a link. `approvers` have approved, of `approvals` that must. `inputs`: what the rules saw."""

    link: str
    approvals: int
    roles: tuple[str, ...]
    native: tuple[str, ...] = ()
    approvers: tuple[str, ...] = ()
    rules: tuple[RuleOutcome, ...] = ()
    inputs: Mapping[str, Any] = field(default_factory=dict)
    expires_at: datetime | None = None

    @property
    def closed_by(self) -> tuple[RuleOutcome, ...]:
        """The rules that do not hold."""
        return tuple(rule for rule in self.rules if not rule.holds)

    @property
    def waits(self) -> bool:
        """Whether people must still approve."""
        return len(self.approvers) < self.approvals


class MemberState(StrEnum):
    """How far a member is."""

    PENDING = "pending"
    DONE = "done"
    RETRYING = "retrying"
    FAILED = "failed"
    SKIPPED = "skipped"
    REVERTED = "reverted"


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberOutcome:
    """What has become of one place. `left` are effects that could not be taken back, each with the reason."""

    registry: str
    model: str
    state: MemberState
    version: str | None = None
    error: Mapping[str, Any] | None = None
    left: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionReport:
    """What a promotion does or did.

    `holders_before` are the other versions that had the stage; where the stage is an exclusive pointer, or a link
    keeps it so, it has left them, else they still have it and `shared_with` names them. `held_by` is `gateway` or the
    registry's way. Where links concern it: `members` is what happens at each place, `outcomes` what has become of
    it, `gates` what it waits for. `state` is None for a dry run and where nothing was to do.
    """

    ref: str
    stage_before: str
    stage: str
    held_by: str
    holders_before: tuple[str, ...]
    shared_with: tuple[str, ...]
    changed: bool
    operation: str | None = None
    state: IntentState | None = None
    links: tuple[str, ...] = ()
    members: tuple[MemberPlan, ...] = ()
    outcomes: tuple[MemberOutcome, ...] = ()
    gates: tuple[GateView, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is asked for: `field` is `stage` (value: the stage) or `alias:NAME` (value: True to set, None to delete)."""

    field: str
    value: Any

    @property
    def stage(self) -> str | None:
        return str(self.value) if self.field == "stage" else None

    @property
    def alias(self) -> str | None:
        return self.field.removeprefix("alias:") if self.field.startswith("alias:") else None


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionPlan:
    """A promotion, pinned: which version (by its identity and digest), what is asked for, what happens where."""

    source: str
    registry: str
    model: str
    version: str
    identity: str
    digest: str | None
    wish: Wish
    members: tuple[MemberPlan, ...]

    @classmethod
    def of(cls, source: Version, wish: Wish, members: Iterable[MemberPlan]) -> PromotionPlan:
        """The plan of what is wished for a version, as it is now."""
        return cls(
            source=str(source.ref),
            registry=source.registry,
            model=source.model,
            version=source.version,
            identity=source.identity,
            digest=source.digest.value if source.digest else None,
            wish=wish,
            members=tuple(members),
        )

    @property
    def fingerprint(self) -> str:
        """What an approval binds."""
        text = json.dumps(asdict(self), sort_keys=True, default=str)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

    def differs_from(self, other: PromotionPlan) -> str | None:
        """Where it is another plan, in words. What could not be planned on either side does not count."""
        if (self.identity, self.digest) != (other.identity, other.digest):
            return f"version '{self.source}' is another one"
        mine, theirs = ({member.place: member for member in plan.members} for plan in (self, other))
        for place in sorted({*mine, *theirs}):
            one, two = mine.get(place), theirs.get(place)
            if one is None or two is None:
                return f"member '{place[0]}:{place[1]}' has come or gone"
            known = MemberAction.LATER not in (one.action, two.action)
            if known and (one.action, one.version, one.identity, one.effects) != (
                two.action,
                two.version,
                two.identity,
                two.effects,
            ):
                return f"member '{place[0]}:{place[1]}' is not as it was"
        return None


def to_effect(member: MemberPlan, planned: PlannedEffect, intent_id: str) -> Effect:
    """A planned effect as the store keeps it."""
    return Effect(
        intent_id=intent_id,
        sequence=0,
        registry=member.registry,
        model=member.model,
        version=planned.version,
        identity=planned.identity,
        field=planned.field,
        before=planned.before,
        after=planned.after,
        role=planned.role,
    )
