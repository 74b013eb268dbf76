"""Pages of the inventory by a time, or backwards.

By name the index delivers a page in its order, registry by registry (`inventory`). Here all that matches is looked
at, and the labels of the filters lead; by `stage_since` a partial index has the order. Rows without the time come
last, by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    FromClause,
    Row,
    Select,
    func,
    or_,
    select,
    tuple_,
    type_coerce,
)

from fedreg.domain.records import InventoryQuery, Sort
from fedreg.domain.stages import NONE
from fedreg.store.candidates import find_by_text, list_filters, list_registries, where_named
from fedreg.store.cursors import read_cursor, write_cursor
from fedreg.store.dialects import listed
from fedreg.store.inventory_lines import OF_MODEL, OF_VERSION, asks_versions, cursor_scope
from fedreg.store.labels import Label
from fedreg.store.schema import labels, models, versions

Columns = tuple[ColumnElement[Any], ...]
_TIMES: dict[str, ColumnElement[Any]] = {
    "stage_since": versions.c.stage_since,
    "approved_at": versions.c.approved_at,
    "observed_at": versions.c.observed_at,
}


def list_sorted_versions(conn: Connection, query: InventoryQuery) -> tuple[list[Row[Any]], str | None]:
    """A page of versions and the cursor of the next. Raises InvalidRequest for a bad cursor."""
    registries = list_registries(conn, query, with_versions=True)
    statement = select(*OF_VERSION).where(*match_versions(query, registries))
    names = (versions.c.registry, versions.c.model, versions.c.version_sort)
    return _list_page(conn, query, "versions", statement, _TIMES.get(Sort(query.sort).field), names)


def list_sorted_models(conn: Connection, query: InventoryQuery) -> tuple[list[Row[Any]], str | None]:
    """A page of models, by their leading versions, and the cursor of the next. InvalidRequest for a bad cursor."""
    registries = list_registries(conn, query, with_versions=asks_versions(query))
    source, shown = _lead(query, registries)
    statement = select(*OF_MODEL).select_from(source).where(models.c.registry.in_(listed(registries)), *shown)
    statement = where_named(statement, models.c.name, query.model)
    found = find_by_text(query)
    if found is not None:
        statement = statement.where(models.c.id.in_(found))
    times = {**_TIMES, "observed_at": models.c.observed_at}
    names = (models.c.registry, models.c.name)
    return _list_page(conn, query, "models", statement, times.get(Sort(query.sort).field), names)


def match_versions(query: InventoryQuery, registries: Sequence[str]) -> list[ColumnElement[bool]]:
    """What a version must satisfy, its model's name and text included."""
    conditions = _of_version(query, registries)
    if query.registries:  # left out else: it would keep the index of the order from being used
        conditions.append(versions.c.registry.in_(listed(registries)))
    if query.model is not None:
        named = where_named(select(models.c.registry, models.c.name), models.c.name, query.model)
        conditions.append(tuple_(versions.c.registry, versions.c.model).in_(named))
    found = find_by_text(query)
    if found is not None:
        mentioned = select(models.c.registry, models.c.name).where(models.c.id.in_(found))
        conditions.append(tuple_(versions.c.registry, versions.c.model).in_(mentioned))
    return conditions


def _of_version(query: InventoryQuery, registries: Sequence[str]) -> list[ColumnElement[bool]]:
    """What one and the same version must satisfy."""
    conditions = [_has_label(label, registries) for label in list_filters(query)]
    if query.stage == NONE:
        conditions.append(versions.c.stage == NONE)
    if query.approval is not None:
        conditions.append(versions.c.approval == query.approval)
    return conditions


def _has_label(label: Label, registries: Sequence[str]) -> ColumnElement[bool]:
    """Whether a version (or, for a tag, its model) has a label."""
    held = versions.c.id.in_(select(labels.c.version_id).where(*_of_label(label, registries)))
    if label[0] != "tag":
        return held
    return or_(held, tuple_(versions.c.registry, versions.c.model).in_(_tagged_models(label, registries)))


def _tagged_models(label: Label, registries: Sequence[str]) -> Select[Any]:
    """Models that carry a tag themselves."""
    own = labels.c.version_sort == ""
    return select(labels.c.registry, labels.c.model).where(*_of_label(label, registries), own)


def _of_label(label: Label, registries: Sequence[str]) -> tuple[ColumnElement[bool], ...]:
    kind, key, value = label
    of_these = labels.c.registry.in_(listed(registries))
    return (of_these, labels.c.kind == kind, labels.c.key == key, labels.c.value == value)


def _lead(query: InventoryQuery, registries: Sequence[str]) -> tuple[FromClause, list[ColumnElement[bool]]]:
    """Models joined with their leading matching version, and which of them show."""
    matching = _of_version(query, registries)
    if not matching:
        return models.outerjoin(versions, versions.c.id == models.c.leading_id), []
    place = func.row_number().over(
        partition_by=[versions.c.registry, versions.c.model],
        order_by=[versions.c.stage_rank, versions.c.version_sort.desc()],
    )
    ranked = (
        select(versions.c.id, versions.c.registry, versions.c.model, place.label("place"))
        .where(versions.c.registry.in_(listed(registries)), *matching)
        .subquery()
    )
    # By IN, so that they are worked out once, not for each model.
    leads = versions.c.id.in_(select(ranked.c.id).where(ranked.c.place == 1))
    of_model = (versions.c.registry == models.c.registry) & (versions.c.model == models.c.name)
    if asks_versions(query):
        return versions.join(models, of_model), [leads]
    # Only for a tag: a model without versions still has its own.
    own = tuple_(models.c.registry, models.c.name).in_(_tagged_models(list_filters(query)[0], registries))
    shown = or_(versions.c.id.is_not(None), (models.c.versions == 0) & own)
    return models.outerjoin(versions, of_model & leads), [shown]


def _list_page(
    conn: Connection,
    query: InventoryQuery,
    lines: str,
    statement: Select[Any],
    time: ColumnElement[Any] | None,
    names: Columns,
) -> tuple[list[Row[Any]], str | None]:
    """Rows that have the time, in its order, then those that have none; by names alone where there is no time."""
    scope, backwards, wanted = cursor_scope(query, lines), Sort(query.sort).descending, query.limit + 1
    after = None if query.cursor is None else read_cursor(conn, scope, query.cursor)
    found: list[Row[Any]] = []
    if time is not None:
        value = type_coerce(time, BigInteger)  # as it is stored
        statement = statement.add_columns(value.label("sort_value"))
        if after is None or after[0]:
            timed = statement.where(time.is_not(None))
            beyond = None if after is None else (int(after[0]), *after[1:])
            found = _fetch(conn, timed, (value, *names), beyond, backwards, wanted)
            after = None
        statement = statement.where(time.is_(None))
    if len(found) < wanted:
        beyond = None if after is None else tuple(after[1:])
        found += _fetch(conn, statement, names, beyond, backwards, wanted - len(found))
    if len(found) < wanted:
        return found, None
    return found[:-1], write_cursor(conn, scope, _position(found[-2], time is not None, len(names)))


def _fetch(
    conn: Connection, statement: Select[Any], order: Columns, after: tuple[Any, ...] | None, backwards: bool, limit: int
) -> list[Row[Any]]:
    if after is not None:
        place, end = tuple_(*order), tuple_(*after)
        statement = statement.where(place < end if backwards else place > end)
    ordered = [column.desc() if backwards else column for column in order]
    return list(conn.execute(statement.order_by(*ordered).limit(limit)))


def _position(row: Row[Any], timed: bool, names: int) -> list[str]:
    """A row's place: its time (empty for none) and its names."""
    value = row.sort_value if timed else None
    return ["" if value is None else str(value), *(row.registry, row.model, row.version_sort or "")[:names]]
