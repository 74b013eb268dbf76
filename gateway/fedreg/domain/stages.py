"""Stages, how a registry holds each of them, and the one-to-one map between unified and native words.

A stage is `none`, `staging`, `production`, `archived` or a custom one. Approval is a second axis and is
never folded into a stage.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from fedreg.domain.errors import ConfigError, InvalidRequest

NONE, STAGING, PRODUCTION, ARCHIVED = "none", "staging", "production", "archived"
DEFAULT_ORDER = (PRODUCTION, STAGING, ARCHIVED)
_CUSTOM = re.compile(r"[a-z][a-z0-9-]{0,62}")


class Holder(StrEnum):
    """Where a stage is kept."""

    NATIVE = "native"
    ALIAS = "alias"
    TAG = "tag"
    BRANCH = "branch"
    GATEWAY = "gateway"


class Condition(StrEnum):
    """What a conditional write (`expected`) is worth: none, read-compare-write, or atomic at the registry."""

    NONE = "none"
    CHECKED = "checked"
    ATOMIC = "atomic"


class Approval(StrEnum):
    """The second axis."""

    NONE = "none"
    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"


def parse_approval(text: str) -> Approval:
    """A decision, or InvalidRequest."""
    try:
        return Approval(text)
    except ValueError:
        known = ", ".join(Approval)
        raise InvalidRequest(f"decision {text!r} is not known", cure=f"use one of: {known}") from None


@dataclass(frozen=True, slots=True)
class StageSupport:
    """How one stage is held: by what, whether one version at most can have it, and how safely it moves."""

    holder: Holder
    exclusive: bool
    condition: Condition = Condition.NONE


def parse_stage(text: str) -> str:
    """A valid stage name, or InvalidRequest."""
    if _CUSTOM.fullmatch(text):
        return text
    raise InvalidRequest(
        f"stage {text!r} is no stage",
        cure="use none, staging, production, archived, or a custom name of a-z, 0-9 and '-' that starts with a letter",
    )


@dataclass(frozen=True, slots=True)
class StageMap:
    """One-to-one words: unified -> native. Words not in the map stand for themselves."""

    to_native_words: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        natives = list(self.to_native_words.values())
        twice = sorted({word for word in natives if natives.count(word) > 1})
        if twice:
            raise ConfigError(
                f"stages.map: native word {twice[0]!r} stands for more than one stage",
                cure="give each stage a native word of its own",
            )
        for stage in self.to_native_words:
            parse_stage(stage)
        taken = [stage for stage in (NONE, *DEFAULT_ORDER) if stage in natives and stage not in self.to_native_words]
        if taken:
            raise ConfigError(
                f"stages.map: native word {taken[0]!r} is the word of stage {taken[0]!r} too",
                cure=f"give stage {taken[0]!r} another native word, or the other stage",
            )

    def to_native(self, stage: str) -> str:
        """The registry's word for a stage. InvalidRequest for a custom stage whose word another stage has here."""
        word = self.to_native_words.get(stage, stage)
        if stage not in self.to_native_words and word in self.to_native_words.values():
            raise InvalidRequest(
                f"stage {stage!r}: this registry's word {stage!r} stands for stage {self.to_stage(stage)!r}",
                cure=f"use stage {self.to_stage(stage)!r}, or change stages.map",
            )
        return word

    def to_stage(self, native: str) -> str | None:
        """The stage of a registry's word; None for a word that is no stage of ours (kept as native)."""
        for stage, word in self.to_native_words.items():
            if word == native:
                return stage
        if native in self.to_native_words:  # this stage is spelt otherwise here
            return None
        return native if _CUSTOM.fullmatch(native) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class StageOptions:
    """A registry's `stages:` section. `held_by` None means the kind's default; `map` is unified -> native word."""

    held_by: Holder | None = None
    map: Mapping[str, str] = field(default_factory=dict)


def highest_stage(stages: Iterable[str], order: tuple[str, ...] = DEFAULT_ORDER) -> str:
    """The stage that counts where a version has several: first in `order`; custom ones by name, ahead of archived."""
    found = sorted(set(stages) - {NONE}, key=lambda stage: (_rank(stage, order), stage))
    return found[0] if found else NONE


def _rank(stage: str, order: tuple[str, ...]) -> float:
    if stage in order:
        return order.index(stage)
    return len(order) - 1.5 if order[-1:] == (ARCHIVED,) else len(order)
