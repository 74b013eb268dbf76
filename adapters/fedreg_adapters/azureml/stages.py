"""How a version's stage is written and read: natively and to tags in a workspace, to tags alone in a registry.

A workspace's `stage` is free text that nobody keeps: Microsoft's SDK drops it when it archives, and restoring
then gives Development. So it is written twice. The tag tells which native word was written with it: where the
live word is that one the tag says which stage it is, else the native word counts and both are shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fedreg.domain.stages import ARCHIVED, NONE, StageMap
from fedreg_adapters.azureml.manifest import DEFAULT_STAGES, AzureMLOptions

JSON = dict[str, Any]
STAGE, BESIDE, PREVIOUS = "fed.stage", "fed.stage.native", "fed.prev_stage"
DEVELOPMENT = "Development"  # what the service says where nobody set a stage
SEEN_LIVE = frozenset({DEVELOPMENT, "Production", "Archived"})


class Stages:
    """The words of one workspace or registry."""

    def __init__(self, options: AzureMLOptions) -> None:
        self.of_registry = options.registry is not None
        self.none = DEVELOPMENT
        words = {**DEFAULT_STAGES, **options.stages.map}
        self._words = StageMap({} if self.of_registry else words)

    def read(self, inner: JSON, tags: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
        """The stage, and what the registry shows: two words where it disagrees with its tag."""
        tagged, archived = tags.get(STAGE), bool(inner.get("isArchived"))
        if self.of_registry:
            return self._read_registry(tagged, archived)
        word = str(inner.get("stage") or DEVELOPMENT)
        if archived or word == self.word(ARCHIVED):
            native, shown = ARCHIVED, self.word(ARCHIVED)
        else:
            native, shown = self._stage_of(word), word
        if tagged is None or tagged == native:
            return native, (shown,)
        if native != ARCHIVED and tags.get(BESIDE) == word:
            return tagged, (tagged,)
        return native, (shown, tagged)

    def _read_registry(self, tagged: str | None, archived: bool) -> tuple[str, tuple[str, ...]]:
        if archived:
            return ARCHIVED, ("archived",) if tagged in (None, ARCHIVED) else ("archived", str(tagged))
        if tagged == ARCHIVED:  # somebody restored it
            return NONE, ("none", ARCHIVED)
        return (NONE, ()) if tagged is None else (tagged, (tagged,))

    def write(self, stage: str, inner: JSON, tags: Mapping[str, str], *, plain: bool = False) -> JSON:
        """The properties and tags with this stage; `plain` keeps an own word to the tag."""
        live, _ = self.read(inner, tags)
        kept = {key: value for key, value in tags.items() if key not in (STAGE, BESIDE, PREVIOUS)}
        word = DEVELOPMENT if plain else self.word(stage)
        if stage != NONE:
            kept[STAGE] = stage
        if stage not in (NONE, ARCHIVED) and not self.of_registry:
            kept[BESIDE] = word
        if stage == ARCHIVED:
            previous = tags.get(PREVIOUS) if live == ARCHIVED else live
            if previous not in (None, NONE):
                kept[PREVIOUS] = str(previous)
        changed = {**inner, "tags": kept, "isArchived": stage == ARCHIVED}
        return changed if self.of_registry else {**changed, "stage": word}

    def word(self, stage: str) -> str:
        """The native word written with a stage: Development for none and for a custom one without a word."""
        if stage not in self._words.to_native_words:
            return DEVELOPMENT
        return self._words.to_native(stage)

    def is_unsure(self, stage: str) -> bool:
        """Whether the service may refuse the native word."""
        return not self.of_registry and self.word(stage) not in SEEN_LIVE

    def _stage_of(self, word: str) -> str:
        return NONE if word == DEVELOPMENT else self._words.to_stage(word) or NONE
