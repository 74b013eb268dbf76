"""What changed between two sightings of a model or version, as the journal tells it.

Values of `before` and `after`: `stage_set` and `approval_set` the word; `description_set` the text; `tags_set`
the keys that differ, None where absent; `alias_set` and `alias_deleted` {"alias", "version"}; `created` and
`deleted` what was there to see.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fedreg.domain.models import Model, Version
from fedreg.domain.records import Actor, Change, Origin


@dataclass(frozen=True, slots=True)
class Sighting:
    """What observed changes share. `not_before`: when the subject was last seen unchanged, None where never."""

    registry: str
    model: str
    not_before: datetime | None
    version: str | None = None
    identity: str | None = None

    def tell(self, action: str, before: Any, after: Any, version: str | None = None) -> Change:
        return Change(
            action=action,
            registry=self.registry,
            model=self.model,
            version=self.version if version is None else version,
            identity=self.identity,
            actor=Actor(subject=f"registry:{self.registry}"),
            before=before,
            after=after,
            origin=Origin.OBSERVED,
            not_before=self.not_before,
        )


def compare_versions(before: Version | None, after: Version, not_before: datetime | None) -> list[Change]:
    """The changes of one version, oldest kind first. Another identity under its name: deleted and created anew."""
    seen = Sighting(after.registry, after.model, not_before, after.version, after.identity)
    if before is None:
        return [seen.tell("created", None, _show_version(after))]
    if before.identity != after.identity:
        gone = Sighting(before.registry, before.model, not_before, before.version, before.identity)
        return [gone.tell("deleted", _show_version(before), None), seen.tell("created", None, _show_version(after))]
    changes = []
    if before.stage != after.stage:
        changes.append(seen.tell("stage_set", before.stage, after.stage))
    if before.approval != after.approval:
        changes.append(seen.tell("approval_set", before.approval.value, after.approval.value))
    return changes + _compare_texts(seen, before, after)


def tell_version_gone(version: Version, not_before: datetime | None) -> Change:
    """A version that was there when it was last seen, with what it was then."""
    seen = Sighting(version.registry, version.model, not_before, version.version, version.identity)
    made = None if version.created_at is None else version.created_at.isoformat()
    digest = None if version.digest is None else version.digest.value
    return seen.tell("deleted", {**_show_version(version), "created_at": made, "digest": digest}, None)


def tell_model_gone(model: Model, not_before: datetime | None) -> Change:
    """A model that was there when it was last seen, with what it was then."""
    return Sighting(model.registry, model.name, not_before).tell("deleted", _show_model(model), None)


def compare_models(before: Model | None, after: Model, not_before: datetime | None) -> list[Change]:
    """The changes of one model, moved aliases included (they are told here, not once per version)."""
    seen = Sighting(after.registry, after.name, not_before)
    if before is None:
        return [seen.tell("created", None, _show_model(after))]
    return _compare_texts(seen, before, after) + _compare_aliases(seen, before.aliases, after.aliases)


def _compare_texts(seen: Sighting, before: Model | Version, after: Model | Version) -> list[Change]:
    changes = []
    if (before.description or "") != (after.description or ""):
        changes.append(seen.tell("description_set", before.description, after.description))
    differing = sorted(key for key in {*before.tags, *after.tags} if before.tags.get(key) != after.tags.get(key))
    if differing:
        old = {key: before.tags.get(key) for key in differing}
        changes.append(seen.tell("tags_set", old, {key: after.tags.get(key) for key in differing}))
    return changes


def _compare_aliases(seen: Sighting, before: Mapping[str, str], after: Mapping[str, str]) -> list[Change]:
    changes = []
    for alias in sorted({*before, *after}):
        old, new = before.get(alias), after.get(alias)
        if old == new:
            continue
        was = None if old is None else {"alias": alias, "version": old}
        now = None if new is None else {"alias": alias, "version": new}
        changes.append(seen.tell("alias_deleted" if new is None else "alias_set", was, now, new or old))
    return changes


def _show_model(model: Model) -> dict[str, Any]:
    return {"description": model.description, "tags": dict(model.tags), "aliases": dict(model.aliases)}


def _show_version(version: Version) -> dict[str, Any]:
    return {
        "stage": version.stage,
        "approval": version.approval.value,
        "aliases": list(version.aliases),
        "tags": dict(version.tags),
        "description": version.description,
    }
