"""Which models a page of the inventory has to look into, in order: the first half of an inventory query.

The most selective filter leads, read in the order of the labels' key; the others prune it, per model. Every query
is of one registry, so that each index delivers the page's order by itself.
"""

from __future__ import annotations

import sys
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, Select, exists, func, select

from fedreg.domain.records import InventoryQuery
from fedreg.domain.stages import NONE
from fedreg.store.dialects import contains, contains_words, matches_glob
from fedreg.store.globs import is_pattern, literal_parts, literal_prefix
from fedreg.store.labels import Label, tag_label
from fedreg.store.schema import facets, labels, model_text, models

_TRIGRAM = 3
_COUNTED = 2000
_LAST_CHARACTER = chr(sys.maxunicode)


def list_filters(query: InventoryQuery) -> list[Label]:
    """The query's filters that are labels."""
    found: list[Label] = []
    if query.stage not in (None, NONE):
        found.append(("stage", str(query.stage), ""))
    if query.approval not in (None, "none"):
        found.append(("approval", str(query.approval), ""))
    if query.alias is not None:
        found.append(("alias", query.alias, ""))
    if query.digest is not None:
        found.append(("digest", to_digest(query.digest), ""))
    if query.tag is not None:
        found.append(tag_label(*query.tag))
    return found


def to_digest(given: str) -> str:
    """Digests are written with their algorithm; bare hex digits mean sha256."""
    return given if ":" in given else f"sha256:{given}"


def list_registries(conn: Connection, query: InventoryQuery, *, with_versions: bool) -> list[str]:
    """The registries that can have a match, in order. `with_versions`: only a version can match."""
    if not with_versions:
        found = _list_model_registries(conn)
    else:
        counted = select(facets.c.registry).distinct().where(facets.c.versions > 0)
        if query.stage == NONE:
            counted = counted.where(facets.c.stage == NONE)
        if query.approval is not None:
            counted = counted.where(facets.c.approval == query.approval)
        found = sorted(conn.scalars(counted))
    return [name for name in found if not query.registries or name in query.registries]


def list_candidates(
    conn: Connection, query: InventoryQuery, registry: str, *, after: str, inclusive: bool, limit: int
) -> list[str]:
    """Names, in order, of models that may match: all that do are among them."""
    filters = list_filters(query)
    if len(filters) > 1:
        filters.sort(key=lambda label: _estimate(conn, registry, label))
    name: ColumnElement[Any]
    statement: Select[Any]
    if filters:
        lead = labels.alias("lead")
        name = lead.c.model
        statement = select(name).distinct().where(*_of_label(lead, registry, filters[0]))
        for label in filters[1:]:
            other = labels.alias()
            statement = statement.where(exists().where(*_of_label(other, registry, label), other.c.model == name))
    else:
        name = models.c.name
        statement = select(name).where(models.c.registry == registry)
    statement = statement.where(name >= after if inclusive else name > after)
    statement = where_named(statement, name, query.model)
    found = find_by_text(query)
    if found is not None:
        named = models.alias()
        matching = select(named.c.name).where(named.c.registry == registry, named.c.id.in_(found))
        statement = statement.where(name.in_(matching) if filters else models.c.id.in_(found))
    return list(conn.scalars(statement.order_by(name).limit(limit)))


def has_label(registry: str, label: Label, model: ColumnElement[Any], sort: ColumnElement[Any] | None) -> Any:
    """Whether a version (or, for a tag, its model; for `sort` None the model alone) has a label."""
    row = labels.alias()
    own = row.c.version_sort == ""
    if sort is not None:
        own = row.c.version_sort.in_(["", sort]) if label[0] == "tag" else row.c.version_sort == sort
    return exists().where(*_of_label(row, registry, label), row.c.model == model, own)


def _of_label(rows: FromClause, registry: str, label: Label) -> tuple[ColumnElement[bool], ...]:
    kind, key, value = label
    return (rows.c.registry == registry, rows.c.kind == kind, rows.c.key == key, rows.c.value == value)


def _estimate(conn: Connection, registry: str, label: Label) -> int:
    some = select(labels.c.kind).where(*_of_label(labels, registry, label)).limit(_COUNTED).subquery()
    return int(conn.scalar(select(func.count()).select_from(some)) or 0)


def where_named(statement: Select[Any], name: ColumnElement[Any], glob: str | None) -> Select[Any]:
    """Only rows whose `name` matches a glob."""
    if glob is None:
        return statement
    if not is_pattern(glob):
        return statement.where(name == glob)
    prefix = literal_prefix(glob)
    if prefix:
        statement = statement.where(name >= prefix, name < prefix + _LAST_CHARACTER)
    return statement.where(matches_glob(name, glob))


def find_by_text(query: InventoryQuery) -> Select[Any] | None:
    """The ids of models whose text has every word that is asked for; None where none is."""
    terms = _list_terms(query)
    return select(model_text.c.rowid).where(*_match(terms)) if terms else None


def _list_terms(query: InventoryQuery) -> list[str]:
    """Words to be found in a model's text, case folded. A glob without a fixed beginning lends its longest part."""
    terms = (query.search or "").casefold().split()
    if query.model is not None and not literal_prefix(query.model):
        parts = [part.casefold() for part in literal_parts(query.model)]
        terms += sorted((part for part in parts if len(part) >= _TRIGRAM), key=len)[-1:]
    return terms


def _match(terms: list[str]) -> list[ColumnElement[bool]]:
    long = [term for term in terms if len(term) >= _TRIGRAM]
    conditions = [contains(model_text.c.text, term) for term in terms if len(term) < _TRIGRAM]
    if long:
        conditions.append(contains_words(model_text.c.text, long))
    return conditions


def _list_model_registries(conn: Connection) -> list[str]:
    """Hop from registry to registry: a DISTINCT would read the whole index."""
    found: list[str] = []
    name = conn.scalar(select(func.min(models.c.registry)))
    while name is not None:
        found.append(name)
        name = conn.scalar(select(func.min(models.c.registry)).where(models.c.registry > name))
    return found
