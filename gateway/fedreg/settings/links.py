"""Links of the configuration: copies of one logical model across registries."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from enum import StrEnum

from fedreg.domain.errors import ConfigError
from fedreg.domain.refs import Ref
from fedreg.domain.stages import ARCHIVED, PRODUCTION, parse_stage

MODEL = "{model}"


class OnMissing(StrEnum):
    """What a promotion does where a member lacks the version."""

    COPY = "copy"
    SKIP = "skip"
    FAIL = "fail"


class Direction(StrEnum):
    """Which way changes flow."""

    FROM_AUTHORITY = "from_authority"
    BOTH = "both"


class ConflictRule(StrEnum):
    """Who wins where members disagree."""

    AUTHORITY = "authority"
    NEWEST = "newest"
    MANUAL = "manual"


class Gate(StrEnum):
    """What a promotion waits for."""

    NONE = "none"
    APPROVAL = "approval"


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
class LinkSettings:
    """One link, or with `match` a template: a glob over model names, `{model}` in each ref.

    - `members`: `REGISTRY:MODEL`, or a mapping of `ref` and `stages`.
    - `authority`: the registry (or the whole ref, where two members share one) that is right by default.
    - `stages`: those kept in step. `exclusive`: one holder at a time, earlier ones go to `demote_to`.
    """

    members: tuple[str | LinkMember, ...]
    authority: str
    stages: tuple[str, ...] = (PRODUCTION,)
    match: str | None = None
    direction: Direction = Direction.FROM_AUTHORITY
    on_missing: OnMissing = OnMissing.FAIL
    gate: Gate = Gate.NONE
    exclusive: tuple[str, ...] = field(default=(PRODUCTION,))
    demote_to: str = ARCHIVED
    conflict: ConflictRule = ConflictRule.AUTHORITY

    def __post_init__(self) -> None:
        for stage in (*self.stages, *self.exclusive, self.demote_to):
            parse_stage(stage)
        members = self.expanded
        refs = [member.ref for member in members]
        if len(set(refs)) < 2 or len(set(refs)) < len(refs):
            raise ConfigError("members: a link ties two or more different models", cure="name each member once")
        for member in members:
            if (MODEL in member.ref) != (self.match is not None):
                raise ConfigError(
                    f"members: {member.ref!r} and `match` do not fit", cure=f"use `match` and {MODEL} together"
                )
            beyond = sorted(set(member.stages) - set(self.stages))
            if beyond:
                raise ConfigError(f"members: {member.ref!r} has stage {beyond[0]!r}, the link has not", cure="add it")
        if [self.authority in (member.ref, member.registry) for member in members].count(True) != 1:
            raise ConfigError(
                f"authority {self.authority!r} is not exactly one member",
                cure=f"use one of {', '.join(refs)}, or its registry",
            )

    @property
    def expanded(self) -> tuple[LinkMember, ...]:
        """The members, each in its long form."""
        return tuple(LinkMember(ref=member) if isinstance(member, str) else member for member in self.members)


def check_members(link: LinkSettings, registries: Collection[str]) -> None:
    """ConfigError for a member in a registry that is not configured."""
    for member in link.expanded:
        if member.registry not in registries:
            raise ConfigError(
                f"members: registry {member.registry!r} of {member.ref!r} is not configured",
                cure=f"configured: {', '.join(registries) or 'none'}",
            )
