"""The inventory: pages of versions or of models, in the order registry, model, version from oldest to newest.

Other orders are `inventory_sorted`'s.

A version line matches a tag that the version or its model carries. A model line shows the leading one of its
versions that match (highest stage, else newest; an archived one only where all are), and appears where there is
one; it counts all versions. The `links` of a row are the configuration's matter: here they are empty.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, Row, func, or_, select, tuple_

from fedreg.domain.records import InventoryQuery, InventoryRow, Sort
from fedreg.domain.stages import NONE
from fedreg.store.candidates import has_label, list_candidates, list_filters, list_registries, to_digest
from fedreg.store.cursors import read_cursor, write_cursor
from fedreg.store.dialects import listed
from fedreg.store.inventory_lines import (
    OF_MODEL,
    OF_VERSION,
    asks_versions,
    check_query,
    cursor_scope,
    to_model_row,
    to_version_row,
)
from fedreg.store.inventory_sorted import list_sorted_models, list_sorted_versions
from fedreg.store.schema import models, versions

_LARGEST_CHUNK = 2000
Position = tuple[str, str, str]
Fetch = Callable[[Connection, InventoryQuery, str, list[str], Position | None], list[Row[Any]]]


def list_rows(conn: Connection, query: InventoryQuery) -> tuple[list[InventoryRow], str | None]:
    """A page of versions and the cursor of the next. Raises InvalidRequest for a bad limit, order or cursor."""
    rows, cursor = (
        _list_page(conn, query, "versions", _fetch_versions, with_versions=True)
        if check_query(query) is Sort.NAME
        else list_sorted_versions(conn, query)
    )
    return [to_version_row(row) for row in rows], cursor


def list_model_rows(conn: Connection, query: InventoryQuery) -> tuple[list[InventoryRow], str | None]:
    """A page of models and the cursor of the next. Raises InvalidRequest for a bad limit, order or cursor."""
    rows, cursor = (
        _list_page(conn, query, "models", _fetch_models, with_versions=asks_versions(query))
        if check_query(query) is Sort.NAME
        else list_sorted_models(conn, query)
    )
    return [to_model_row(row) for row in rows], cursor


def get_row(conn: Connection, registry: str, model: str, version: str) -> InventoryRow | None:
    """The inventory line of one version, or None."""
    query = _select_versions(registry).where(versions.c.model == model, versions.c.version == version)
    row = conn.execute(query).first()
    return None if row is None else to_version_row(row)


def _list_page(
    conn: Connection, query: InventoryQuery, lines: str, fetch: Fetch, *, with_versions: bool
) -> tuple[list[Row[Any]], str | None]:
    scope = cursor_scope(query, lines)
    after: Position | None = None
    if query.cursor is not None:
        registry, model, sort = read_cursor(conn, scope, query.cursor)
        after = (registry, model, sort)
    found: list[Row[Any]] = []
    for registry in list_registries(conn, query, with_versions=with_versions):
        if after is not None and registry < after[0]:
            continue
        start = after if after is not None and registry == after[0] else None
        for row in _scan(conn, query, registry, start, fetch):
            if len(found) == query.limit:
                last = found[-1]
                return found, write_cursor(conn, scope, [last.registry, last.model, last.version_sort or ""])
            found.append(row)
    return found, None


def _scan(
    conn: Connection, query: InventoryQuery, registry: str, after: Position | None, fetch: Fetch
) -> Iterator[Row[Any]]:
    """Matching rows of one registry in order, read in growing chunks of candidate models."""
    name, inclusive, chunk = after[1] if after else "", True, query.limit + 1
    while True:
        names = list_candidates(conn, query, registry, after=name, inclusive=inclusive, limit=chunk)
        if names:
            yield from fetch(conn, query, registry, names, after)
        if len(names) < chunk:
            return
        name, inclusive, chunk = names[-1], False, min(4 * chunk, max(_LARGEST_CHUNK, query.limit + 1))


def _fetch_versions(
    conn: Connection, query: InventoryQuery, registry: str, names: list[str], after: Position | None
) -> list[Row[Any]]:
    statement = _select_versions(registry).where(
        versions.c.model.in_(listed(names)), *_version_conditions(query, registry)
    )
    if after is not None:
        statement = statement.where(tuple_(versions.c.model, versions.c.version_sort) > tuple_(*after[1:]))
    statement = statement.order_by(versions.c.model, versions.c.version_sort).limit(query.limit + 1)
    return list(conn.execute(statement))


def _fetch_models(
    conn: Connection, query: InventoryQuery, registry: str, names: list[str], after: Position | None
) -> list[Row[Any]]:
    source, leading, conditions = _lead(query, registry, names)
    statement = (
        select(*OF_MODEL)
        .select_from(source.outerjoin(versions, versions.c.id == leading))
        .where(models.c.registry == registry, models.c.name.in_(listed(names)), *conditions)
        .order_by(models.c.name)
    )
    if after is not None:
        statement = statement.where(models.c.name > after[1])
    return list(conn.execute(statement.limit(query.limit + 1)))


def _lead(
    query: InventoryQuery, registry: str, names: list[str]
) -> tuple[FromClause, ColumnElement[Any], list[ColumnElement[bool]]]:
    """Models joined with their leading matching version: the join, that version's id, and which models show."""
    matching = _version_conditions(query, registry)
    if not matching:
        return models, models.c.leading_id, []
    place = func.row_number().over(
        partition_by=versions.c.model, order_by=[versions.c.stage_rank, versions.c.version_sort.desc()]
    )
    ranked = (
        select(versions.c.id, versions.c.model, place.label("place"))
        .where(versions.c.registry == registry, versions.c.model.in_(listed(names)), *matching)
        .subquery()
    )
    first = select(ranked.c.model, ranked.c.id).where(ranked.c.place == 1).subquery()
    shown: ColumnElement[bool] = first.c.id.is_not(None)
    if not asks_versions(query):  # only for a tag: a model without versions still has its own
        own = has_label(registry, list_filters(query)[0], models.c.name, None)
        shown = or_(shown, (models.c.versions == 0) & own)
    return models.outerjoin(first, first.c.model == models.c.name), first.c.id, [shown]


def _select_versions(registry: str) -> Any:
    return select(*OF_VERSION).where(versions.c.registry == registry)


def _version_conditions(query: InventoryQuery, registry: str) -> list[ColumnElement[bool]]:
    """What one and the same version must satisfy."""
    conditions: list[ColumnElement[bool]] = []
    if query.stage == NONE:
        conditions.append(versions.c.stage == NONE)
    if query.approval is not None:
        conditions.append(versions.c.approval == query.approval)
    if query.digest is not None:
        conditions.append(versions.c.digest == to_digest(query.digest))
    conditions += [
        has_label(registry, label, versions.c.model, versions.c.version_sort)
        for label in list_filters(query)
        if label[0] in ("stage", "alias", "tag")
    ]
    return conditions
