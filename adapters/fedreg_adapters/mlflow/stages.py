"""How an MLflow server holds stages: by alias (default), by its native stage field, or by tag."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from fedreg.domain.errors import ConfigError, InvalidRequest
from fedreg.domain.stages import (
    ARCHIVED,
    NONE,
    PRODUCTION,
    STAGING,
    Holder,
    StageMap,
    StageOptions,
    highest_stage,
    parse_stage,
)
from fedreg_adapters.mlflow.manifest import LIMITS

STAGE_TAG = "fedreg.stage"
CUSTOM_PREFIX = "stage-"
NATIVE_NONE = "None"
_NATIVE_WORDS = {STAGING: "Staging", PRODUCTION: "Production", ARCHIVED: "Archived"}


@dataclass(frozen=True, slots=True)
class Shown:
    """The stage of a version, its stages of ours, and what the registry shows."""

    stage: str
    stages: tuple[str, ...]
    native_stages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StageRules:
    """One registry's holding of stages. Made by `rules_of`."""

    holder: Holder
    words: StageMap

    def holder_of(self, stage: str) -> Holder:
        """Where this stage is kept: `archived` is never an alias, since many versions have it."""
        return Holder.TAG if self.holder is Holder.ALIAS and stage == ARCHIVED else self.holder

    def word_of(self, stage: str) -> str:
        """The alias, native stage or tag value of a stage."""
        if self.holder_of(stage) is Holder.ALIAS and not self._has_own_word(stage):
            return CUSTOM_PREFIX + stage
        return self.words.to_native(stage)

    def pointer_stage(self, alias: str) -> str | None:
        """The stage an alias holds; None for an alias that is no stage pointer."""
        if self.holder is not Holder.ALIAS:
            return None
        stage = self.words.to_stage(alias)
        if stage is not None and stage != ARCHIVED and self._has_own_word(stage):
            return stage
        custom = alias.removeprefix(CUSTOM_PREFIX)
        is_custom = custom != alias and self.words.to_stage(custom) is not None and not self._has_own_word(custom)
        return custom if is_custom else None

    def pointers(self, aliases: Collection[str]) -> dict[str, str]:
        """Of these aliases the stage pointers: alias -> stage."""
        found = {alias: self.pointer_stage(alias) for alias in sorted(aliases)}
        return {alias: stage for alias, stage in found.items() if stage is not None}

    def shown(self, aliases: Collection[str], tags: Mapping[str, str], current_stage: str) -> Shown:
        """Read the stages out of a version. A native stage nobody maps is kept among `native_stages`."""
        pointers = self.pointers(aliases)
        native = [*pointers]
        stages = [*pointers.values()]
        for holder, word in ((Holder.TAG, tags.get(STAGE_TAG, "")), (Holder.NATIVE, current_stage)):
            if word in ("", NATIVE_NONE):
                continue
            native.append(word)
            stage = self.words.to_stage(word)
            if stage is not None and self.holder_of(stage) is holder:
                stages.append(stage)
        return Shown(highest_stage(stages), tuple(sorted(set(stages) - {NONE})), tuple(dict.fromkeys(native)))

    def refuse_pointer(self, alias: str, registry: str) -> None:
        """InvalidRequest for an alias that holds a stage."""
        stage = self.pointer_stage(alias)
        if stage is not None:
            raise InvalidRequest(
                f"alias {alias!r} holds the stage {stage!r} in registry {registry!r}",
                registry=registry,
                cure=f"promote the version to {stage} instead, or choose another alias",
            )

    def _has_own_word(self, stage: str) -> bool:
        return stage in (STAGING, PRODUCTION, ARCHIVED) or stage in self.words.to_native_words


def rules_of(options: StageOptions) -> StageRules:
    """The rules of a `stages:` section. Raises ConfigError for a word that MLflow can't hold."""
    holder = options.held_by or Holder.ALIAS
    if NONE in options.map:
        raise ConfigError("stages.map: 'none' is the absence of a stage and has no word", cure="remove the entry")
    if holder is Holder.NATIVE:
        return StageRules(holder, _native_words(options.map))
    for stage, word in options.map.items():
        parse_stage(stage)
        if holder is Holder.ALIAS and not re.fullmatch(str(LIMITS.alias_pattern), word):
            raise ConfigError(f"stages.map: MLflow refuses the alias {word!r}", cure="use letters, digits, '_' and '-'")
    return StageRules(holder, StageMap(dict(options.map)))


def _native_words(given: Mapping[str, str]) -> StageMap:
    words = StageMap({**_NATIVE_WORDS, **given})
    for stage, word in words.to_native_words.items():
        if stage not in _NATIVE_WORDS or word not in _NATIVE_WORDS.values():
            raise ConfigError(
                f"stages.map: {stage}: {word!r} can't be a native stage",
                cure=f"map staging, production and archived to {', '.join(_NATIVE_WORDS.values())}",
            )
    return words
