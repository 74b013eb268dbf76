"""Links: copies of one logical model across registries, and what flows between them.

A template (`match`) makes one link for each model that its pattern matches.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase

from fedreg.domain.errors import ConfigError
from fedreg.domain.refs import Ref
from fedreg.domain.stages import ARCHIVED, NONE, PRODUCTION, parse_stage

MODEL = "{model}"
APPROVER = "approver"


class OnMissing(StrEnum):
    """What a promotion does where a member lacks the version."""

    COPY = "copy"
    SKIP = "skip"
    FAIL = "fail"


class Direction(StrEnum):
    """Which way changes flow: from the authority only, or from any member."""

    FROM_AUTHORITY = "from_authority"
    BOTH = "both"


class ConflictRule(StrEnum):
    """Who wins where members disagree."""

    AUTHORITY = "authority"
    NEWEST = "newest"
    MANUAL = "manual"


class OnFailure(StrEnum):
    """What a promotion does where a member fails for good: leave the others as they are, or take all back."""

    KEEP = "keep"
    ROLLBACK = "rollback"


class OnOutside(StrEnum):
    """What happens to a change made at a member behind the gateway's back: shown as drift, spread, or undone."""

    FLAG = "flag"
    ADOPT = "adopt"
    REVERT = "revert"


class Gating(StrEnum):
    """The short forms of a gate."""

    NONE = "none"
    APPROVAL = "approval"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A condition that must hold: a CEL expression over `version`, `model`, `files`, `source`, `to` and `actor`."""

    name: str
    expression: str

    def __post_init__(self) -> None:
        if not self.name or not self.expression.strip():
            raise ConfigError("a rule needs a name and an expression", cure='name: accurate, expression: "…"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """What a promotion waits for.

    - `approvals`: how many people must approve, the one who asks not among them. 0: rules only.
    - `roles`: whose approval counts: roles of tokens (a higher one includes a lower one) and their `groups`.
    - `rules`: all must hold, when it is asked for and again when it starts.
    - `stages`: those that are gated; empty means all of the link's.
    - `expires`: seconds that a promotion may wait.
    - `native`: registries whose own approval of the version counts as one approver.
    """

    approvals: int = 1
    roles: tuple[str, ...] = (APPROVER,)
    rules: tuple[Rule, ...] = ()
    stages: tuple[str, ...] = ()
    expires: float = 7 * 24 * 3600.0
    native: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.approvals < 0 or (self.approvals == 0 and not self.rules):
            raise ConfigError(f"gate: approvals {self.approvals} and no rules gate nothing", cure="ask for 1 or more")
        if not self.roles:
            raise ConfigError("gate: roles is empty", cure=f"leave it out for [{APPROVER}]")
        if self.expires <= 0:
            raise ConfigError(f"gate: expires {self.expires:g} is no time", cure="give seconds, more than 0")
        for stage in self.stages:
            parse_stage(stage)
        names = [rule.name for rule in self.rules]
        if len(set(names)) < len(names):
            raise ConfigError("gate: two rules have one name", cure="name each rule once")


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkMember:
    """One place of the model. `stages` it takes part in; empty means all of the link's."""

    ref: str
    stages: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if Ref.parse(self.ref).selector is not None:
            raise ConfigError(f"ref {self.ref!r} names a version", cure="name the model only: REGISTRY:MODEL")
        for stage in self.stages:
            parse_stage(stage)

    @property
    def registry(self) -> str:
        return Ref.parse(self.ref).registry


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One link, or with `match` a template: a glob over model names, `{model}` in each ref.

    - `members`: `REGISTRY:MODEL`, or a mapping of `ref` and `stages`.
    - `authority`: the registry (or the whole ref, where two members share one) that is right by default.
    - `stages` and `aliases`: those kept in step. `exclusive`: one holder at a time, earlier ones go to `demote_to`.
    - `allow_lossy`: fields that copies may leave to the gateway; `["*"]` means any.
    - `on_failure`, `retry_for`: a member that can't be reached is tried again for so many seconds (None: until it
      answers or the promotion is cancelled); then, or where it refuses, the promotion fails as `on_failure` says.
    - `max_changes`: a repair that would change more than this is refused.
    """

    members: tuple[str | LinkMember, ...]
    authority: str
    stages: tuple[str, ...] = (PRODUCTION,)
    aliases: tuple[str, ...] = ()
    match: str | None = None
    direction: Direction = Direction.FROM_AUTHORITY
    on_missing: OnMissing = OnMissing.FAIL
    allow_lossy: tuple[str, ...] = ()
    gate: Gating | Gate = Gating.NONE
    exclusive: tuple[str, ...] = field(default=(PRODUCTION,))
    demote_to: str = ARCHIVED
    conflict: ConflictRule = ConflictRule.AUTHORITY
    on_failure: OnFailure = OnFailure.KEEP
    retry_for: float | None = None
    on_outside: OnOutside = OnOutside.FLAG
    max_changes: int = 20

    def __post_init__(self) -> None:
        for stage in (*self.stages, *self.exclusive, self.demote_to):
            parse_stage(stage)
        if NONE in self.stages:
            raise ConfigError("stages: 'none' is no stage to keep in step", cure="leave it out")
        if self.demote_to in self.exclusive:
            raise ConfigError(
                f"demote_to: {self.demote_to!r} is exclusive, it can't take earlier holders", cure="use archived"
            )
        members = self.expanded
        refs = [member.ref for member in members]
        if len(set(refs)) < 2 or len(set(refs)) < len(refs):
            raise ConfigError("members: a link ties two or more different models", cure="name each member once")
        for member in members:
            self._check_member(member)
        if [self.authority in (member.ref, member.registry) for member in members].count(True) != 1:
            raise ConfigError(
                f"authority {self.authority!r} is not exactly one member",
                cure=f"use one of {', '.join(refs)}, or its registry",
            )
        if self.max_changes < 1:
            raise ConfigError(f"max_changes {self.max_changes} allows nothing", cure="give 1 or more")

    def _check_member(self, member: LinkMember) -> None:
        if (member.ref.count(MODEL) == 1) != (self.match is not None):
            raise ConfigError(
                f"members: {member.ref!r} and `match` do not fit", cure=f"use `match` and {MODEL} together, once a ref"
            )
        if MODEL in member.registry:
            raise ConfigError(f"members: {member.ref!r} has {MODEL} for its registry", cure="use it in the model")
        beyond = sorted(set(member.stages) - set(self.stages))
        if beyond:
            raise ConfigError(f"members: {member.ref!r} has stage {beyond[0]!r}, the link has not", cure="add it")

    @property
    def expanded(self) -> tuple[LinkMember, ...]:
        """The members, each in its long form."""
        return tuple(LinkMember(ref=member) if isinstance(member, str) else member for member in self.members)

    def gives_way(self, stage: str | None) -> str | None:
        """Where earlier holders of a stage go; None where they keep it."""
        return self.demote_to if stage in self.exclusive else None

    @property
    def asked(self) -> Gate | None:
        """The gate, in its long form."""
        if isinstance(self.gate, Gate):
            return self.gate
        return Gate() if self.gate == Gating.APPROVAL else None


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a link for one model."""

    registry: str
    model: str
    stages: tuple[str, ...]

    @property
    def place(self) -> tuple[str, str]:
        return self.registry, self.model

    @property
    def ref(self) -> Ref:
        return Ref(self.registry, self.model)


@dataclass(frozen=True, slots=True)
class BoundLink:
    """A link for one model: a template's `{model}` is filled in."""

    name: str
    link: Link
    members: tuple[Member, ...]
    authority: Member

    def member(self, registry: str, model: str) -> Member | None:
        """The member at this place."""
        return next((one for one in self.members if one.place == (registry, model)), None)

    def flows_from(self, member: Member) -> bool:
        """Whether changes at this member reach the others."""
        return self.link.direction is Direction.BOTH or member == self.authority


def bind_link(name: str, link: Link, registry: str, model: str) -> BoundLink | None:
    """The link as it is for the model at this place; None where it is no member."""
    for member in link.expanded:
        ref = Ref.parse(member.ref)
        if ref.registry != registry:
            continue
        filling = _filling(ref.model, model) if link.match is not None else ""
        plain = link.match is None and ref.model == model
        if plain or (link.match is not None and filling is not None and fnmatchcase(filling, link.match)):
            return fill_link(name, link, filling or "")
    return None


def fill_link(name: str, link: Link, filling: str) -> BoundLink:
    """The link with `{model}` filled in."""
    members, authority = [], None
    for each in link.expanded:
        ref = Ref.parse(each.ref)
        member = Member(ref.registry, ref.model.replace(MODEL, filling), each.stages or link.stages)
        members.append(member)
        if link.authority in (each.ref, each.registry):
            authority = member
    assert authority is not None  # checked by the link
    return BoundLink(name, link, tuple(members), authority)


def find_fillings(link: Link, models: Sequence[tuple[str, str]]) -> list[str]:
    """What `{model}` stands for, of all (registry, model) that there are; `[""]` for a link that is no template."""
    if link.match is None:
        return [""]
    found: set[str] = set()
    for member in link.expanded:
        ref = Ref.parse(member.ref)
        for registry, model in models:
            filling = _filling(ref.model, model) if registry == ref.registry else None
            if filling is not None and fnmatchcase(filling, link.match):
                found.add(filling)
    return sorted(found)


def check_members(link: Link, registries: Collection[str]) -> None:
    """ConfigError for a member in a registry that is not configured."""
    known = ", ".join(registries) or "none"
    for member in link.expanded:
        if member.registry not in registries:
            raise ConfigError(
                f"members: registry {member.registry!r} of {member.ref!r} is not configured",
                cure=f"configured: {known}",
            )
    for registry in link.gate.native if isinstance(link.gate, Gate) else ():
        if registry not in registries:
            raise ConfigError(f"gate: registry {registry!r} is not configured", cure=f"configured: {known}")


def _filling(pattern: str, model: str) -> str | None:
    before, _, after = pattern.partition(MODEL)
    filled = model.startswith(before) and model.endswith(after) and len(model) > len(before) + len(after)
    return model[len(before) : len(model) - len(after)] if filled else None
