"""The index of models and versions: what registries showed last. It can always be rebuilt by a scan."""

from fedreg.domain.reports import Facets
from fedreg.store.index_items import (
    Missing,
    count_versions,
    facets,
    get_model,
    get_version,
    get_versions,
    list_holders,
    list_seen_models,
    list_seen_versions,
    missing_after_sweep,
)
from fedreg.store.index_models import delete_models, upsert_models
from fedreg.store.index_versions import delete_versions, upsert_versions
from fedreg.store.inventory import get_row, list_model_rows, list_rows
from fedreg.store.inventory_facets import count_matches
from fedreg.store.inventory_past import count_past, list_past_rows

__all__ = [
    "Facets",
    "Missing",
    "count_matches",
    "count_past",
    "count_versions",
    "delete_models",
    "delete_versions",
    "facets",
    "get_model",
    "get_row",
    "get_version",
    "get_versions",
    "list_holders",
    "list_model_rows",
    "list_past_rows",
    "list_rows",
    "list_seen_models",
    "list_seen_versions",
    "missing_after_sweep",
    "upsert_models",
    "upsert_versions",
]
