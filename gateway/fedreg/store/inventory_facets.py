"""Counts over the inventory: of everything from rows that triggers keep, of what filters match by counting."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from fedreg.domain.records import InventoryQuery
from fedreg.domain.reports import Facets
from fedreg.store.candidates import list_registries
from fedreg.store.index_items import facets, sum_facets
from fedreg.store.inventory_sorted import match_versions
from fedreg.store.schema import versions


def count_matches(conn: Connection, query: InventoryQuery) -> Facets:
    """How many versions match, by registry, stage and approval. `sort`, `limit` and `cursor` do not count."""
    if query == InventoryQuery(registries=query.registries):
        return facets(conn, query.registries)
    by = (versions.c.registry, versions.c.stage, versions.c.approval)
    matching = match_versions(query, list_registries(conn, query, with_versions=True))
    counted = select(*by, func.count().label("versions")).where(*matching).group_by(*by).order_by(*by)
    return sum_facets(conn.execute(counted))
