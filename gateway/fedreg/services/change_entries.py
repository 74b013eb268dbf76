"""What the journal is told of one change of ours: the change, what came with it, and what nobody had noticed before.

Without these an entry's `before` would contradict the entry that precedes it, and a past inventory could not be told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from fedreg.domain.records import Change, Effect, Origin
from fedreg.store import index, scans
from fedreg.store.attribution import APPROVAL_SET, STAGE_SET
from fedreg.store.differences import tell_model_gone, tell_version_gone

_SHOWN = {STAGE_SET: "stage", APPROVAL_SET: "approval"}


def list_gone(tx: Connection, effect: Effect) -> list[Change]:
    """What a deletion takes away, as the index has it; to be read before the index forgets it."""
    if effect.after or effect.field not in ("version.exists", "model.exists"):
        return []
    names = [effect.version] if effect.version else None
    ids = [version.id for version in index.get_versions(tx, effect.registry, effect.model, names)]
    gone = [tell_version_gone(version, None) for version, _ in index.list_seen_versions(tx, effect.registry, ids)]
    if effect.field == "model.exists":
        seen = index.list_seen_models(tx, effect.registry, [effect.model])
        gone += [tell_model_gone(model, None) for model, _ in seen]
    return gone


def tell_change(tx: Connection, ours: Change, seen: Sequence[Change], gone: Sequence[Change]) -> list[Change]:
    """The entries of our change, in order. `seen`: what the index learnt with it; `gone`: what a deletion took away."""
    covered = scans.get_state(tx, ours.registry)
    missed: list[Change] = []
    came_along: list[Change] = []
    for change in seen:
        if change.action == "created":
            if ours.action != "created" and covered is not None and covered.covered_since is not None:
                missed.append(replace(change, after=_as_before(change, ours), not_before=covered.swept_at))
        elif _is_same(change, ours):
            if ours.action != "tags_set" and (change.before or None) != (ours.before or None):
                missed.append(replace(change, after=ours.before))
        elif ours.action == "deleted" and change.action == "alias_deleted" and change.version == ours.version:
            continue  # the entry of the deletion tells what went with it
        elif change.action == STAGE_SET == ours.action:  # a pointer that has moved on
            came_along.append(came_with(ours, change))
        else:
            missed.append(change)
    return [*missed, *_with_before(ours, gone), *came_along]


def _with_before(ours: Change, gone: Sequence[Change]) -> list[Change]:
    """Our deletion with what was there, after those of the versions that went with a model."""
    own = [one for one in gone if one.version == ours.version and one.identity in (None, ours.identity)]
    others = [came_with(ours, one) for one in gone if one.version != ours.version]
    return [*others, replace(ours, before=own[0].before) if own else ours]


def came_with(ours: Change, change: Change) -> Change:
    """A change that ours has brought about."""
    return replace(
        change,
        actor=ours.actor,
        reason=ours.reason,
        origin=Origin.OURS,
        not_before=None,
        intent_id=ours.intent_id,
    )


def _is_same(change: Change, ours: Change) -> bool:
    """Whether the index learnt by this change what we have done."""
    if change.action != ours.action:
        return False
    if ours.action in ("alias_set", "alias_deleted"):
        return bool(_alias(change) == _alias(ours))
    return bool(change.version == ours.version)


def _alias(change: Change) -> Any:
    return (change.after or change.before or {}).get("alias")


def _as_before(change: Change, ours: Change) -> Any:
    """A version that was seen with our change, as it was before."""
    word = _SHOWN.get(ours.action)
    if word is None or change.version != ours.version:
        return change.after
    return {**change.after, word: ours.before}
