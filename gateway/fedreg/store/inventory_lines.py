"""What a line of the inventory shows, whatever the order, and what a cursor of it is good for."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Row

from fedreg.domain.errors import InvalidRequest
from fedreg.domain.records import InventoryQuery, InventoryRow, Sort
from fedreg.domain.stages import NONE, Approval
from fedreg.store.columns import canonical_json, to_micros
from fedreg.store.schema import models, versions

MAX_LIMIT = 10_000
SHOWN: tuple[ColumnElement[Any], ...] = tuple(
    versions.c[name]
    for name in (
        "version",
        "version_sort",
        "stage",
        "stage_since",
        "stage_since_basis",
        "set_by",
        "approval",
        "approved_by",
        "approved_at",
        "aliases",
        "digest",
        "digest_basis",
    )
)
OF_VERSION: tuple[ColumnElement[Any], ...] = (
    versions.c.registry,
    versions.c.model,
    versions.c.observed_at,
    *SHOWN,
)
OF_MODEL: tuple[ColumnElement[Any], ...] = (
    models.c.registry,
    models.c.name.label("model"),
    models.c.versions,
    models.c.stages,
    models.c.observed_at,
    *SHOWN,
)
_FOR_PAGES = ("version_sort", "sort_value", "document")


def check_query(query: InventoryQuery) -> Sort:
    """The order that is asked for. Raises InvalidRequest for an unknown one, and for a limit out of range."""
    if not 1 <= query.limit <= MAX_LIMIT:
        raise InvalidRequest(f"limit {query.limit} is out of range", cure=f"use 1 to {MAX_LIMIT}")
    try:
        return Sort(query.sort)
    except ValueError:
        raise InvalidRequest(f"sort {query.sort!r} is no order", cure=f"it takes: {', '.join(Sort)}") from None


def asks_versions(query: InventoryQuery) -> bool:
    """Whether only a model with versions can match."""
    return any(part is not None for part in (query.stage, query.approval, query.alias, query.digest))


def cursor_scope(query: InventoryQuery, lines: str) -> str:
    """What a cursor of these lines (`versions` or `models`) is good for: the filters and the order."""
    filters = [query.model, query.stage, query.alias, query.approval, query.tag, query.digest, query.search]
    moment = None if query.as_of is None else to_micros(query.as_of)
    return canonical_json([lines, sorted(query.registries), filters, query.sort, moment])


def to_version_row(row: Row[Any]) -> InventoryRow:
    return InventoryRow(**{**_shown(row), "aliases": tuple(row.aliases or ())})


def to_model_row(row: Row[Any]) -> InventoryRow:
    shown = _shown(row)
    if row.version is None:  # nothing to lead
        shown |= {"stage": NONE, "approval": Approval.NONE.value}
    return InventoryRow(**{**shown, "aliases": tuple(row.aliases or ()), "stages": row.stages or {}})


def _shown(row: Row[Any]) -> dict[str, Any]:
    return {name: value for name, value in row._asdict().items() if name not in _FOR_PAGES}
