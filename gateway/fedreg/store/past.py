"""What a model and its versions were at a past time: told from what they are now and from the journal's entries.

The value of a field at a time is the `before` of the first later entry about it; where there is none, what it is now,
or what it was when the version was deleted. It is unknown within the interval of an observed change, and where two
entries contradict each other: then something happened in between that nobody saw.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from fedreg.domain.models import Model, Version
from fedreg.domain.records import InventoryRow, JournalEntry, Origin
from fedreg.domain.stages import Approval
from fedreg.store import documents

UNKNOWN = "unknown"
EXISTENCE, EVERYTHING = "existence", "everything"
_MADE = ("created", "copied")
_LIFE = (*_MADE, "deleted")
_ALIASES = ("alias_set", "alias_deleted")


@dataclass(frozen=True, slots=True)
class Now:
    """A model as the index has it: its document, and versions by name with their line, order and document."""

    model: Model | None = None
    versions: Mapping[str, tuple[InventoryRow, str, Version]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PastVersion:
    """A version's line at the time, what orders it, and what it can be found by. None: no tag is known."""

    row: InventoryRow
    sort: str
    stages: frozenset[str]
    tags: Mapping[str, str]
    unknown_tags: frozenset[str] | None = frozenset()


@dataclass(frozen=True, slots=True)
class PastModel:
    """A model at the time, with its versions from oldest to newest."""

    name: str
    versions: tuple[PastVersion, ...]
    tags: Mapping[str, str]
    description: str | None
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Around:
    """The last entry about something at or before a time, and the first one after it."""

    earlier: JournalEntry | None
    later: JournalEntry | None


@dataclass(frozen=True, slots=True)
class _Holder:
    """The version that had a name at a time: what is known of it (`base`), and the entries about it.

    `there` is None where it may not have been; `row` and `version` are the index's, where it is there still.
    `unseen`: nobody had looked at it yet.
    """

    name: str
    there: bool | None
    base: Mapping[str, Any] | None
    entries: Sequence[JournalEntry]
    row: InventoryRow | None = None
    version: Version | None = None
    sort: str = ""
    unseen: bool = False


def tell_model(registry: str, name: str, now: Now, entries: Sequence[JournalEntry], at: datetime) -> PastModel | None:
    """A model at a time, None where it was not there. `entries`: all of the model and its versions, oldest first."""
    of_model, of_aliases, by_version = _sort_entries(entries)
    aliases = _tell_aliases(now, of_aliases, at)
    holders = [_find_holder(one, now, by_version[one], at) for one in sorted({*now.versions, *by_version})]
    found = [_tell_version(registry, name, one, aliases, at) for one in holders if one is not None]
    versions = tuple(sorted(found, key=lambda one: one.sort))
    there, base, _ = _tell_life(_around(of_model, _LIFE, at), at, None if now.model is None else now.model.created_at)
    if there is False or (there is None and now.model is None and not versions):
        return None if not versions else PastModel(name, versions, {}, None, unknown=("tags", "description"))
    if base is None and now.model is not None:
        base = {"tags": now.model.tags, "description": now.model.description}
    tags, unknown_tags = _tell_tags(of_model, base, at)
    description = _tell_word(of_model, "description_set", "description", base, at)
    unknown = {
        EXISTENCE: there is None and not versions and _around(of_model, _LIFE, at).later is not None,
        "tags": unknown_tags != set(),
        "description": description == UNKNOWN,
    }
    told = tuple(word for word, is_so in unknown.items() if is_so)
    return PastModel(name, versions, tags, None if description == UNKNOWN else description, unknown=told)


def _sort_entries(
    entries: Sequence[JournalEntry],
) -> tuple[list[JournalEntry], list[JournalEntry], defaultdict[str, list[JournalEntry]]]:
    """Entries about the model itself, about aliases, and about each version."""
    by_version: defaultdict[str, list[JournalEntry]] = defaultdict(list)
    of_model, of_aliases = [], []
    for entry in entries:
        change = entry.change
        if change.action in _ALIASES:
            of_aliases.append(entry)
        elif change.version is None:
            of_model.append(entry)
        else:
            by_version[change.version].append(entry)
            of_aliases += _list_lost_aliases(entry)
    return of_model, of_aliases, by_version


def _find_holder(name: str, now: Now, entries: Sequence[JournalEntry], at: datetime) -> _Holder | None:
    """The version that had a name, None where there was none."""
    row, sort, version = now.versions.get(name, (None, "", None))
    life = _around(entries, _LIFE, at)
    there, base, identity = _tell_life(life, at, None if version is None else version.created_at)
    if life.later is None:  # what is there now was there
        if row is None or version is None:
            return None
        base = {"stage": row.stage, "approval": row.approval, "tags": version.tags, "digest": row.digest}
        own = [entry for entry in entries if entry.change.identity in (None, version.identity)]
        return _Holder(name, True, base, own, row, version, sort)
    if there is False:
        return None
    unseen = life.later.change.action in _MADE
    own = [] if unseen else [entry for entry in entries if entry.change.identity in (None, identity)]
    if row is not None and version is not None and version.identity == identity:
        return _Holder(name, there, base, own, row, version, sort, unseen)
    return _Holder(name, there, base, own, unseen=unseen)


def _tell_version(
    registry: str, model: str, one: _Holder, aliases: Mapping[str, tuple[str | None, ...]], at: datetime
) -> PastVersion:
    stage = _tell_word(one.entries, "stage_set", "stage", one.base, at)
    approval = _tell_word(one.entries, "approval_set", "approval", one.base, at)
    tags, unknown_tags = _tell_tags(one.entries, one.base, at)
    held, open_aliases = _list_aliases(one.name, aliases)
    since, basis, by = _tell_since(one, stage, at)
    approved_by, approved_at = _tell_approved(one, approval, at)
    unknown = {
        EXISTENCE: one.there is None,
        "stage": stage == UNKNOWN,
        "approval": approval == UNKNOWN,
        "aliases": open_aliases or one.unseen,
        "tags": unknown_tags != set(),
        "digest": one.base is None or "digest" not in one.base,
    }
    row = InventoryRow(
        registry=registry,
        model=model,
        version=one.name,
        stage=stage,
        stage_since=since,
        stage_since_basis=basis,
        set_by=by,
        approval=approval,
        approved_by=approved_by,
        approved_at=approved_at,
        aliases=() if one.unseen else tuple(sorted(held)),
        digest=(one.base or {}).get("digest"),
        digest_basis=None if one.row is None or one.unseen else one.row.digest_basis,
        observed_at=one.row.observed_at if one.row and one.row.observed_at and one.row.observed_at <= at else None,
        unknown=tuple(word for word, is_so in unknown.items() if is_so),
    )
    unchanged = one.version is not None and _around(one.entries, ("stage_set",), at).later is None and not one.unseen
    stages = {stage, *(one.version.stages if one.version is not None and unchanged else ())}
    sort = one.sort or _sort(registry, model, one.name, one.base)
    open_tags = None if unknown_tags is None else frozenset(unknown_tags)
    return PastVersion(row=row, sort=sort, stages=frozenset(stages), tags=tags, unknown_tags=open_tags)


def _around(entries: Sequence[JournalEntry], actions: Sequence[str], at: datetime) -> _Around:
    earlier, later = None, None
    for entry in entries:
        if entry.change.action in actions:
            if entry.recorded_at <= at:
                earlier = entry
            elif later is None:
                later = entry
    return _Around(earlier, later)


def _is_hidden(entry: JournalEntry, at: datetime) -> bool:
    """Whether a later entry may have happened before the time already."""
    not_before = entry.change.not_before
    return entry.change.origin is Origin.OBSERVED and (not_before is None or not_before < at)


def _tell_life(around: _Around, at: datetime, created_at: datetime | None) -> tuple[bool | None, Any, str | None]:
    """Whether something was there (None: perhaps), what it was at its deletion, and its identity where told."""
    later = around.later
    if later is None:
        gone = around.earlier is not None and around.earlier.change.action == "deleted"
        return (False if gone else None), None, None
    hidden = _is_hidden(later, at)
    if later.change.action == "deleted":
        base = later.change.before if isinstance(later.change.before, Mapping) else None
        return (None if hidden else True), base, later.change.identity
    if not hidden or (created_at is not None and created_at > at):
        return False, None, None
    return (True if created_at is not None else None), None, later.change.identity


def _tell_word(entries: Sequence[JournalEntry], action: str, name: str, base: Any, at: datetime) -> Any:
    """A single value at the time."""
    around = _around(entries, (action,), at)
    earlier, later = around.earlier, around.later
    if later is None:
        if base is not None and name in base:
            return _word(base[name], name)
        return UNKNOWN if earlier is None else _word(earlier.change.after, name)
    if _is_hidden(later, at):
        not_before = later.change.not_before
        echo = earlier is not None and (not_before is None or earlier.recorded_at >= not_before)
        same = earlier is not None and _word(earlier.change.after, name) == _word(later.change.after, name)
        return _word(later.change.after, name) if echo and same else UNKNOWN
    if earlier is not None and _word(earlier.change.after, name) != _word(later.change.before, name):
        return UNKNOWN
    return _word(later.change.before, name)


def _word(value: Any, name: str) -> Any:
    """A value as the journal has it: the word itself, or a mapping with it."""
    return value.get(name) if isinstance(value, Mapping) else value


def _tell_tags(entries: Sequence[JournalEntry], base: Any, at: datetime) -> tuple[dict[str, str], set[str] | None]:
    """Tags at the time, and the keys whose value is unknown; None where all of them are."""
    known = base is not None and "tags" in base
    tags: dict[str, str] = dict(base["tags"]) if known else {}
    unknown: set[str] = set()
    for entry in reversed(entries):
        if entry.change.action != "tags_set" or entry.recorded_at <= at:
            continue
        for key, value in (entry.change.before or {}).items():
            tags.pop(key, None)
            unknown.discard(key)
            if _is_hidden(entry, at):
                unknown.add(key)
            elif value is not None:
                tags[key] = value
    return tags, unknown if known else None


def _tell_aliases(now: Now, entries: Sequence[JournalEntry], at: datetime) -> dict[str, tuple[str | None, ...]]:
    """alias -> the version that had it; several where that is unknown."""
    found: dict[str, tuple[str | None, ...]] = {
        alias: (name,) for name, (row, _, _) in now.versions.items() for alias in row.aliases
    }
    by_alias: defaultdict[str, list[JournalEntry]] = defaultdict(list)
    for entry in entries:
        for end in (entry.change.before, entry.change.after):
            if isinstance(end, Mapping) and "alias" in end:
                by_alias[str(end["alias"])].append(entry)
                break
    for alias, own in by_alias.items():
        around = _around(own, _ALIASES, at)
        if around.later is None:
            continue
        found[alias] = _tell_alias(around, at)
    return found


def _list_lost_aliases(entry: JournalEntry) -> list[JournalEntry]:
    """The aliases that went with a version, as if each had been taken away."""
    change = entry.change
    if change.action != "deleted" or not isinstance(change.before, Mapping):
        return []
    ends = [{"alias": alias, "version": change.version} for alias in change.before.get("aliases", ())]
    return [replace(entry, change=replace(change, action="alias_deleted", before=end)) for end in ends]


def _tell_alias(around: _Around, at: datetime) -> tuple[str | None, ...]:
    earlier, later = around.earlier, around.later
    assert later is not None
    before, after = (_word(end, "version") for end in (later.change.before, later.change.after))
    was = None if earlier is None else _word(earlier.change.after, "version")
    if _is_hidden(later, at):
        not_before = later.change.not_before
        echo = earlier is not None and was == after and (not_before is None or earlier.recorded_at >= not_before)
        return (after,) if echo else (before, after)
    return (before,) if earlier is None or was == before else (was, before)


def _list_aliases(version: str, aliases: Mapping[str, tuple[str | None, ...]]) -> tuple[set[str], bool]:
    """The aliases that a version had, and whether there are some that it may have had."""
    held = {alias for alias, holders in aliases.items() if holders == (version,)}
    return held, any(version in holders and len(holders) > 1 for holders in aliases.values())


def _tell_since(one: _Holder, stage: str | None, at: datetime) -> tuple[datetime | None, str | None, str | None]:
    """Since when it had its stage at the time, how that is known, and who had set it."""
    around, row = _around(one.entries, ("stage_set",), at), one.row
    if stage in (UNKNOWN, None):
        return None, None, None
    if around.earlier is not None and _word(around.earlier.change.after, "stage") == stage:
        ours = around.earlier.change.origin is Origin.OURS
        by = around.earlier.change.actor.subject if ours else None
        return around.earlier.recorded_at, "journal" if ours else "observation", by
    if around.later is None and row is not None and row.stage_since is not None and row.stage_since <= at:
        return row.stage_since, row.stage_since_basis, row.set_by
    return None, None, None


def _tell_approved(one: _Holder, approval: str | None, at: datetime) -> tuple[str | None, datetime | None]:
    """Who had approved it at the time, and when."""
    if approval != Approval.APPROVED:
        return None, None
    around, row = _around(one.entries, ("approval_set",), at), one.row
    if around.earlier is not None:
        ours = around.earlier.change.origin is Origin.OURS
        return (around.earlier.change.actor.subject if ours else None), around.earlier.recorded_at
    if around.later is None and row is not None and row.approved_at is not None and row.approved_at <= at:
        return row.approved_by, row.approved_at
    return None, None


def _sort(registry: str, model: str, name: str, base: Any) -> str:
    """What orders a version that is gone among its siblings."""
    created = (base or {}).get("created_at")
    made = None if created is None else datetime.fromisoformat(created)
    return documents.version_sort(Version(registry=registry, model=model, version=name, identity="", created_at=made))
