"""Labels: what versions, and models by their tags, are found by. One row each, stored in the order of a page.

Kinds: `tag` (key, value), `alias`, `stage` and `approval` (other than none), `digest`; all but tags have their
word in `key`. A model's own tags have `version_sort` '' and minus the model's id as `version_id`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, delete, insert

from fedreg.domain.models import Version
from fedreg.domain.stages import NONE, Approval
from fedreg.store import index_sql
from fedreg.store.schema import labels

Label = tuple[str, str, str]
_LONGEST_VALUE = 200


def tag_label(key: str, value: str) -> Label:
    """A tag's label; a long value is stood for by its hash, so that keys stay short."""
    if len(value) > _LONGEST_VALUE:
        value = f"sha256:{hashlib.sha256(value.encode('utf-8', 'surrogatepass')).hexdigest()}"
    return ("tag", key, value)


def list_labels(version: Version, digest: str | None) -> set[Label]:
    """All labels of a version. It has every stage it holds, not only the highest."""
    stages = {version.stage, *version.stages} - {NONE}
    found = {tag_label(key, value) for key, value in version.tags.items()}
    found |= {("alias", alias, "") for alias in version.aliases} | {("stage", stage, "") for stage in stages}
    if version.approval is not Approval.NONE:
        found.add(("approval", version.approval.value, ""))
    if digest is not None:
        found.add(("digest", digest, ""))
    return found


Holder = tuple[int, str, str, set[Label]]  # version_id, model, version_sort, labels


def set_labels(tx: Connection, registry: str, holders: Iterable[Holder]) -> None:
    """Replace the labels of each holder."""
    listed = list(holders)
    delete_labels(tx, [holder[0] for holder in listed])
    add_labels(tx, registry, listed)


def add_labels(tx: Connection, registry: str, holders: Iterable[Holder]) -> None:
    """Store the labels of holders that have none."""
    rows = [
        (registry, kind, key, value, model, sort, version_id)
        for version_id, model, sort, found in holders
        for kind, key, value in found
    ]
    if rows:
        tx.exec_driver_sql(index_sql.of(tx).insert_label, rows)


def set_model_labels(tx: Connection, registry: str, holders: Iterable[tuple[int, str, Mapping[str, str]]]) -> None:
    """Replace the labels of models' own tags: (model id, name, tags)."""
    set_labels(
        tx,
        registry,
        [(-model_id, name, "", {tag_label(k, v) for k, v in tags.items()}) for model_id, name, tags in holders],
    )


def set_digest_label(
    tx: Connection, registry: str, model: str, version_sort: str, version_id: int, digest: str
) -> None:
    """Replace a version's digest label alone."""
    tx.execute(delete(labels).where(labels.c.version_id == version_id, labels.c.kind == "digest"))
    row = {"registry": registry, "kind": "digest", "key": digest, "value": "", "model": model}
    tx.execute(insert(labels).values(**row, version_sort=version_sort, version_id=version_id))


def delete_labels(tx: Connection, version_ids: list[int]) -> None:
    """Remove all labels of these versions (or, by minus their ids, models)."""
    if version_ids:
        tx.exec_driver_sql(index_sql.of(tx).delete_labels, [(row_id,) for row_id in version_ids])
