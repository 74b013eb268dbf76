"""Pages of the inventory at a past time, in the order of names.

Models without a later entry are as the index has them, so its filters lead; those with one are told anew. A row that
may match, because the value asked for is unknown, is among the answers and says so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

from sqlalchemy import Connection, Select, Text, or_, select, type_coerce

from fedreg.domain.errors import InvalidRequest
from fedreg.domain.models import Version
from fedreg.domain.records import InventoryQuery, InventoryRow, JournalEntry, Origin, Sort
from fedreg.domain.reports import Facets
from fedreg.domain.stages import NONE
from fedreg.store import documents, journal
from fedreg.store.candidates import list_candidates, to_digest
from fedreg.store.columns import canonical_json
from fedreg.store.cursors import read_cursor, write_cursor
from fedreg.store.dialects import listed
from fedreg.store.inventory_lines import OF_VERSION, asks_versions, check_query, cursor_scope, to_version_row
from fedreg.store.past import EVERYTHING, UNKNOWN, Now, PastModel, PastVersion, tell_model
from fedreg.store.schema import journal as journal_rows
from fedreg.store.schema import models, version_documents, versions

_CHUNK = 250
Since = Mapping[str, datetime | None]  # registry -> since when the journal tells what changed
Placed = tuple[tuple[str, str, str], InventoryRow]


def list_past_rows(
    conn: Connection, query: InventoryQuery, covered: Since, *, lines: str
) -> tuple[list[InventoryRow], str | None]:
    """A page of `versions` or `models` as they were at `query.as_of`, and the cursor of the next.

    `covered` names the registries to look at. One that was not covered then has one row, which is unknown. Raises
    InvalidRequest for a bad limit, order or cursor.
    """
    if check_query(query) is not Sort.NAME:
        raise InvalidRequest(f"sort '{query.sort}': a past time is listed by name", cure="leave sort out")
    scope = cursor_scope(query, lines)
    after = None if query.cursor is None else tuple(read_cursor(conn, scope, query.cursor))
    found: list[Placed] = []
    for placed in _list_rows(conn, query, covered, lines, after):
        if len(found) == query.limit:
            return [row for _, row in found], write_cursor(conn, scope, list(found[-1][0]))
        found.append(placed)
    return [row for _, row in found], None


def count_past(conn: Connection, query: InventoryQuery, covered: Since) -> Facets:
    """How many versions match as they were at `query.as_of`; registries that were not covered are not counted."""
    found = Facets(registries={}, stages={}, approvals={})
    told = {name: since for name, since in covered.items() if _is_covered(query, since)}
    for _, row in _list_rows(conn, query, told, "versions", None):
        for counts, word in (
            (found.registries, row.registry),
            (found.stages, row.stage),
            (found.approvals, row.approval),
        ):
            counts[word] = counts.get(word, 0) + 1
    return found


def _is_covered(query: InventoryQuery, since: datetime | None) -> bool:
    return since is not None and query.as_of is not None and since <= query.as_of


def _list_rows(
    conn: Connection, query: InventoryQuery, covered: Since, lines: str, after: tuple[str, ...] | None
) -> Iterator[Placed]:
    for registry in sorted(covered):
        if after is not None and registry < after[0]:
            continue
        start = after if after is not None and registry == after[0] else None
        if not _is_covered(query, covered[registry]):
            if start is None:
                yield (registry, "", ""), _unknown_row(registry)
            continue
        for model in _list_models(conn, query, registry, start[1] if start else ""):
            matching = [one for one in model.versions if _matches(query, model, one)]
            if lines == "models":
                if (matching or _matches_alone(query, model)) and (start is None or model.name > start[1]):
                    yield (registry, model.name, ""), _leading_row(registry, model, matching)
                continue
            for one in matching:
                place = (registry, model.name, one.sort)
                if start is None or place > start:
                    yield place, one.row


def _list_models(conn: Connection, query: InventoryQuery, registry: str, start: str) -> Iterator[PastModel]:
    """Models that may match as they were, from the name `start` on, in order."""
    assert query.as_of is not None
    touched = _list_touched(conn, query, registry, start)
    position, inclusive, more = start, True, True
    while more or touched:
        limit = min(query.limit + 1, _CHUNK)
        names = list_candidates(conn, _by_index(query), registry, after=position, inclusive=inclusive, limit=limit)
        more = len(names) == limit
        last = names[-1] if more else None
        changed = [name for name in touched if last is None or name <= last][:_CHUNK]
        if len(changed) == _CHUNK:  # as far as these go
            last = changed[-1]
            names = [name for name in names if name <= last]
        more = more or last is not None
        touched = touched[len(changed) :]
        wanted = sorted({*names, *changed})
        # With filters those that match now may have changed too.
        for model in _tell(conn, registry, wanted, wanted if _list_words(query) else changed, query.as_of):
            if model is not None and _names(query, model):
                yield model
        if last is None:
            return
        position, inclusive = last, False


def _by_index(query: InventoryQuery) -> InventoryQuery:
    return replace(query, cursor=None, sort=Sort.NAME, registries=())


def _list_touched(conn: Connection, query: InventoryQuery, registry: str, start: str) -> list[str]:
    """Models with an entry after the time that may make them match, in order."""
    named = select(journal_rows.c.model).distinct()
    named = named.where(journal_rows.c.registry == registry, journal_rows.c.recorded_at > query.as_of)
    words = _list_words(query)
    if words:
        before = type_coerce(journal_rows.c.before, Text)
        mentioned = [before.contains(word, autoescape=True) for word in words]
        unsure = [journal_rows.c.origin == Origin.OBSERVED, journal_rows.c.action == "deleted"]
        named = named.where(or_(*mentioned, *unsure))
    found = conn.scalars(named.where(journal_rows.c.model >= start))
    return sorted(name for name in found if query.model is None or fnmatchcase(name, query.model))


def _list_words(query: InventoryQuery) -> list[str]:
    """What `before` of a later entry has in it where a filter matched then and does not now."""
    words = [canonical_json(word) for word in (query.stage, query.approval, query.alias) if word is not None]
    if query.tag is not None:
        words.append(":".join(canonical_json(part) for part in query.tag))
    if query.digest is not None:
        words.append(canonical_json(to_digest(query.digest)))
    return words


def _tell(
    conn: Connection, registry: str, names: Sequence[str], touched: Sequence[str], at: datetime
) -> list[PastModel | None]:
    now, told = _load(conn, registry, names), _load_entries(conn, registry, touched)
    return [tell_model(registry, name, now.get(name, Now()), told.get(name, ()), at) for name in names]


def _load(conn: Connection, registry: str, names: Sequence[str]) -> dict[str, Now]:
    """Models of the index, with their versions."""
    mine = (models.c.registry == registry, models.c.name.in_(listed(names)))
    documented = {row.name: row.document for row in conn.execute(select(models.c.name, models.c.document).where(*mine))}
    lines: defaultdict[str, dict[str, tuple[InventoryRow, str, Version]]] = defaultdict(dict)
    joined = versions.join(version_documents, version_documents.c.version_id == versions.c.id)
    query: Select[Any] = select(*OF_VERSION, version_documents.c.document).select_from(joined)
    for row in conn.execute(query.where(versions.c.registry == registry, versions.c.model.in_(listed(names)))):
        line, version = to_version_row(row), documents.decode_version(row.document)
        lines[row.model][row.version] = (line, row.version_sort, version)
    return {
        name: Now(None if document is None else documents.decode_model(document), lines.get(name, {}))
        for name, document in documented.items()
    }


def _load_entries(conn: Connection, registry: str, names: Sequence[str]) -> dict[str, list[JournalEntry]]:
    found: defaultdict[str, list[JournalEntry]] = defaultdict(list)
    for entry in journal.list_of_models(conn, registry, names):
        found[entry.change.model].append(entry)
    return found


def _names(query: InventoryQuery, model: PastModel) -> bool:
    """Whether a model's own name and texts match."""
    if query.model is not None and not fnmatchcase(model.name, query.model):
        return False
    parts = [model.name, model.description or "", *(f"{key}={value}" for key, value in model.tags.items())]
    text = "\n".join(parts).casefold()
    unsure = bool({"tags", "description"} & set(model.unknown))
    return unsure or all(term in text for term in (query.search or "").casefold().split())


def _matches(query: InventoryQuery, model: PastModel, one: PastVersion) -> bool:
    """Whether a version matched, or may have."""
    row, unknown = one.row, one.row.unknown
    stages = one.stages if query.stage != NONE else {row.stage}
    if query.stage is not None and "stage" not in unknown and query.stage not in stages:
        return False
    if query.approval is not None and "approval" not in unknown and row.approval != query.approval:
        return False
    if query.alias is not None and "aliases" not in unknown and query.alias not in row.aliases:
        return False
    if query.digest is not None and "digest" not in unknown and row.digest != to_digest(query.digest):
        return False
    return query.tag is None or _has_tag(query.tag, model, one)


def _has_tag(tag: tuple[str, str], model: PastModel, one: PastVersion) -> bool:
    unsure = one.unknown_tags is None or tag[0] in one.unknown_tags or "tags" in model.unknown
    return unsure or tag in one.tags.items() or tag in model.tags.items()


def _matches_alone(query: InventoryQuery, model: PastModel) -> bool:
    """Whether a model without versions is a line of its own."""
    if model.versions or asks_versions(query):
        return False
    return query.tag is None or query.tag in model.tags.items() or "tags" in model.unknown


def _unknown_row(registry: str) -> InventoryRow:
    """What is told of a registry at a time that the journal does not cover."""
    return InventoryRow(
        registry=registry, model=UNKNOWN, version=None, stage=UNKNOWN, approval=UNKNOWN, unknown=(EVERYTHING,)
    )


def _leading_row(registry: str, past: PastModel, matching: Sequence[PastVersion]) -> InventoryRow:
    """A model's line: the version that leads those that match, how many versions there were, and who held what."""
    stages = {one.row.stage: one.row.version or "" for one in past.versions if one.row.stage not in (NONE, UNKNOWN)}
    if not matching:
        return InventoryRow(
            registry=registry, model=past.name, version=None, stage=NONE, versions=0, unknown=past.unknown
        )
    newest = sorted(matching, key=lambda one: one.sort, reverse=True)
    lead = min(newest, key=lambda one: documents.stage_rank(one.row.stage))
    return replace(lead.row, versions=len(past.versions), stages=stages)
