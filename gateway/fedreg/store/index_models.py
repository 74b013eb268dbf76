"""Writing models to the index."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import datetime

from sqlalchemy import Connection, bindparam, delete, insert, select, text, update

from fedreg.domain.models import Model
from fedreg.domain.records import Change
from fedreg.store import documents, index_sql, labels
from fedreg.store.columns import canonical_json
from fedreg.store.dialects import listed, listed_ids
from fedreg.store.differences import compare_models
from fedreg.store.schema import model_text, models, versions


def upsert_models(
    tx: Connection, items: Iterable[Model], observed_at: datetime, sweep: datetime | None = None
) -> list[Change]:
    """Bring models up to date and return what changed, for the journal.

    `sweep` is the start of the full scan that saw them: a model counts as seen in it whatever the clock did since.
    """
    seen_at = observed_at if sweep is None else max(observed_at, sweep)
    by_registry: defaultdict[str, dict[str, Model]] = defaultdict(dict)
    for model in items:
        by_registry[model.registry][model.name] = model
    return [change for registry, group in by_registry.items() for change in _upsert(tx, registry, group, seen_at)]


def ensure_models(tx: Connection, registry: str, names: Collection[str], observed_at: datetime) -> None:
    """Make rows for models whose versions were seen first."""
    known = {
        name for (name,) in tx.exec_driver_sql(index_sql.of(tx).known_models, (registry, canonical_json(list(names))))
    }
    missing = sorted(set(names) - known)
    if missing:
        _insert(tx, registry, missing, observed_at)
        _set_texts(tx, registry, {name: documents.search_text(name, None) for name in missing})


def refresh_models(tx: Connection, registry: str, names: Collection[str]) -> None:
    """Compute again what model rows say of their versions: how many, the leading one, who holds which stage."""
    mine = (registry, canonical_json(list(names)))
    ranked = {model: (count, row_id) for model, row_id, count in tx.exec_driver_sql(index_sql.of(tx).ranked, mine)}
    stages: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for model, stage, version in tx.exec_driver_sql(index_sql.of(tx).holders, mine):
        stages[model][stage] = version
    rows = [(*ranked.get(name, (0, None)), canonical_json(stages.get(name, {})), registry, name) for name in names]
    if rows:
        tx.exec_driver_sql(index_sql.of(tx).set_leading, rows)


def delete_models(tx: Connection, registry: str, names: Collection[str]) -> int:
    """Remove models with all their versions from the index; returns how many models there were."""
    mine = (models.c.registry == registry, models.c.name.in_(listed(names)))
    ids = list(tx.scalars(select(models.c.id).where(*mine)))
    of_these = (versions.c.registry == registry, versions.c.model.in_(listed(names)))
    version_ids = list(tx.scalars(select(versions.c.id).where(*of_these)))
    labels.delete_labels(tx, [*version_ids, *(-model_id for model_id in ids)])
    tx.execute(delete(versions).where(*of_these))
    if ids:
        tx.execute(_DELETE_TEXT, [{"id": model_id} for model_id in ids])
    tx.execute(delete(models).where(*mine))
    return len(ids)


def _upsert(tx: Connection, registry: str, group: dict[str, Model], seen_at: datetime) -> list[Change]:
    encoded = {name: documents.encode(model) for name, model in group.items()}
    hashes = {name: documents.hash_document(document) for name, document in encoded.items()}
    known = {
        row.name: row
        for row in tx.execute(select(models).where(models.c.registry == registry, models.c.name.in_(listed(group))))
    }
    same = [row.id for name, row in known.items() if row.content_hash == hashes[name]]
    tx.execute(update(models).where(models.c.id.in_(listed_ids(same))).values(observed_at=seen_at))
    changed = [name for name in group if name not in known or known[name].content_hash != hashes[name]]
    if not changed:
        return []
    changes: list[Change] = []
    for name in changed:
        row = known.get(name)
        before = documents.decode_model(row.document) if row is not None and row.document is not None else None
        changes += compare_models(before, group[name], None if row is None else row.observed_at)
    _insert(tx, registry, [name for name in changed if name not in known], seen_at)
    statement = update(models).where(models.c.registry == registry, models.c.name == bindparam("named"))
    tx.execute(
        statement.values(content_hash=bindparam("hash"), document=bindparam("bytes"), observed_at=seen_at),
        [{"named": name, "hash": hashes[name], "bytes": encoded[name]} for name in changed],
    )
    model_ids = _set_texts(tx, registry, {name: documents.search_text(name, group[name]) for name in changed})
    labels.set_model_labels(tx, registry, [(model_ids[name], name, group[name].tags) for name in changed])
    return changes


def _insert(tx: Connection, registry: str, names: list[str], observed_at: datetime) -> None:
    if names:
        tx.execute(insert(models), [{"registry": registry, "name": name, "observed_at": observed_at} for name in names])


_DELETE_TEXT = text("DELETE FROM model_text WHERE rowid = :id")


def _set_texts(tx: Connection, registry: str, texts: dict[str, str]) -> dict[str, int]:
    """Replace what these models are searched by; returns name -> id."""
    rows = tx.execute(
        select(models.c.name, models.c.id).where(models.c.registry == registry, models.c.name.in_(listed(texts)))
    )
    ids: dict[str, int] = {row.name: row.id for row in rows}
    tx.execute(_DELETE_TEXT, [{"id": model_id} for model_id in ids.values()])
    tx.execute(insert(model_text), [{"rowid": ids[name], "text": found} for name, found in texts.items()])
    return ids
