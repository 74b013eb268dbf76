"""Writing versions to the index."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, select

from fedreg.domain.manifest import Digest
from fedreg.domain.models import Version, VersionId
from fedreg.domain.records import Change
from fedreg.domain.stages import NONE, Approval
from fedreg.store import attribution, digests, documents, index_sql, labels
from fedreg.store.attribution import APPROVAL_SET, STAGE_SET, Setting
from fedreg.store.columns import canonical_json, from_micros, to_micros
from fedreg.store.dialects import listed, listed_ids
from fedreg.store.differences import compare_versions
from fedreg.store.index_models import ensure_models, refresh_models
from fedreg.store.schema import versions

Key = tuple[str, str]
Settings = dict[tuple[str, VersionId], Setting]


@dataclass(frozen=True, slots=True)
class _Seen:
    """A version as it was just seen, beside what the index has of it: its row's id, who set what, the version."""

    version: Version
    document: bytes
    content_hash: bytes
    row_id: int | None = None
    row: Row[Any] | None = None
    before: Version | None = None

    @property
    def same(self) -> Version | None:
        """The version before, where it is this very one."""
        before = self.before
        return before if before is not None and before.identity == self.version.identity else None


def upsert_versions(
    tx: Connection, items: Iterable[Version], observed_at: datetime, sweep: datetime | None = None
) -> list[Change]:
    """Bring versions up to date and return what changed, for the journal.

    `sweep` is the start of the full scan that saw them: a version counts as seen in it whatever the clock did since.
    """
    seen_at = observed_at if sweep is None else max(observed_at, sweep)
    by_registry: defaultdict[str, dict[Key, Version]] = defaultdict(dict)
    for version in items:
        by_registry[version.registry][version.model, version.version] = version
    return [change for registry, group in by_registry.items() for change in _upsert(tx, registry, group, seen_at)]


def delete_versions(tx: Connection, registry: str, ids: Collection[VersionId]) -> int:
    """Remove versions from the index, each only where its identity is still the one there; returns how many."""
    rows = tx.execute(
        select(versions.c.id, versions.c.model, versions.c.version, versions.c.identity).where(
            versions.c.registry == registry, versions.c.identity.in_(listed([one.identity for one in ids]))
        )
    )
    wanted = set(ids)
    gone = [row for row in rows if VersionId(model=row.model, version=row.version, identity=row.identity) in wanted]
    row_ids = [row.id for row in gone]
    labels.delete_labels(tx, row_ids)
    tx.execute(delete(versions).where(versions.c.id.in_(listed_ids(row_ids))))
    refresh_models(tx, registry, sorted({row.model for row in gone}))
    return len(row_ids)


def _upsert(tx: Connection, registry: str, group: dict[Key, Version], seen_at: datetime) -> list[Change]:
    known = _get_hashes(tx, registry, group)
    same: list[int] = []
    changed: dict[Key, _Seen] = {}
    for key, version in group.items():
        document = documents.encode(version)
        content_hash = documents.hash_document(document)
        row_id, found = known.get(key, (None, None))
        if row_id is not None and found == content_hash:
            same.append(row_id)
        else:
            changed[key] = _Seen(version, document, content_hash, row_id)
    if same:
        tx.exec_driver_sql(index_sql.of(tx).touch, (to_micros(seen_at), canonical_json(same)))
    return _store(tx, registry, changed, seen_at) if changed else []


def _store(tx: Connection, registry: str, changed: dict[Key, _Seen], seen_at: datetime) -> list[Change]:
    seen = _load_before(tx, changed)
    names = sorted({one.version.model for one in seen})
    known_digests = digests.get_digests(tx, registry, [one.version.identity for one in seen])
    settings = attribution.list_settings(tx, registry, [one.version.id for one in seen if _is_set(one)])
    at = to_micros(seen_at)
    shown = [_choose_digest(one.version, known_digests.get(one.version.identity)) for one in seen]
    rows = [_to_row(one, digest, settings, at) for one, digest in zip(seen, shown, strict=True)]
    ensure_models(tx, registry, names, seen_at)
    tx.exec_driver_sql(index_sql.of(tx).upsert, rows)
    _store_details(tx, registry, seen, shown)
    refresh_models(tx, registry, names)
    return [
        change
        for one in seen
        for change in compare_versions(
            one.before, one.version, None if one.row is None else from_micros(one.row.observed_at)
        )
    ]


def _store_details(tx: Connection, registry: str, seen: list[_Seen], shown: list[Digest | None]) -> None:
    fresh = [(one.version.model, one.version.version) for one in seen if one.row_id is None]
    ids = _get_hashes(tx, registry, fresh)
    placed = [one.row_id or ids[one.version.model, one.version.version][0] for one in seen]
    tx.exec_driver_sql(
        index_sql.of(tx).upsert_document, [(row_id, one.document) for row_id, one in zip(placed, seen, strict=True)]
    )
    labels.delete_labels(tx, [one.row_id for one in seen if one.row_id is not None])
    labels.add_labels(
        tx,
        registry,
        [
            (
                row_id,
                one.version.model,
                documents.version_sort(one.version),
                labels.list_labels(one.version, None if digest is None else digest.value),
            )
            for row_id, one, digest in zip(placed, seen, shown, strict=True)
        ],
    )


def _get_hashes(tx: Connection, registry: str, keys: Collection[Key]) -> dict[Key, tuple[int, bytes]]:
    """(model, version) -> (row id, content hash) of the versions that are there."""
    if not keys:
        return {}
    if len(keys) == 1:
        found = tx.exec_driver_sql(index_sql.of(tx).one_hash, (registry, *next(iter(keys))))
    else:
        found = tx.exec_driver_sql(index_sql.of(tx).hashes, (registry, canonical_json([list(key) for key in keys])))
    return {(model, version): (row_id, content_hash) for model, version, row_id, content_hash in found}


def _load_before(tx: Connection, changed: dict[Key, _Seen]) -> list[_Seen]:
    ids = [one.row_id for one in changed.values() if one.row_id is not None]
    if not ids:
        return list(changed.values())
    rows = {
        (row.model, row.version): row for row in tx.exec_driver_sql(index_sql.of(tx).before, (canonical_json(ids),))
    }
    return [
        one if (row := rows.get(key)) is None else replace(one, row=row, before=documents.decode_version(row.document))
        for key, one in changed.items()
    ]


def _is_set(one: _Seen) -> bool:
    """Whether the journal may know who set this version's stage or approval."""
    return one.before is not None or one.version.stage != NONE or one.version.approval is Approval.APPROVED


def _choose_digest(version: Version, known: Digest | None) -> Digest | None:
    """The one to show: what the registry says, unless the gateway knows better."""
    return version.digest if version.digest is not None and digests.outranks(version.digest, known) else known


def _to_row(one: _Seen, digest: Digest | None, settings: Settings, seen_at: int) -> tuple[Any, ...]:
    """As `index_sql.UPSERT` binds it."""
    version = one.version
    return (
        version.registry,
        version.model,
        version.version,
        documents.version_sort(version),
        version.identity,
        version.stage,
        documents.stage_rank(version.stage),
        *_attribute_stage(one, settings.get((STAGE_SET, version.id)), seen_at),
        version.approval.value,
        *_attribute_approval(one, settings.get((APPROVAL_SET, version.id)), seen_at),
        canonical_json(list(version.aliases)),
        None if digest is None else digest.value,
        None if digest is None else digest.basis.value,
        one.content_hash,
        seen_at,
    )


def _attribute_stage(one: _Seen, setting: Setting | None, seen_at: int) -> tuple[int | None, str | None, str | None]:
    """Since when, how that is known, and who set it."""
    before, row = one.same, one.row
    if before is not None and row is not None and before.stage == one.version.stage:
        return row.stage_since, row.stage_since_basis, row.set_by
    if setting is not None and setting.by is not None and setting.word == one.version.stage:
        return setting.at, "journal", setting.by
    if before is None and one.version.stage == NONE:  # it never had one, as far as anybody knows
        return None, None, None
    return seen_at, "observation", None


def _attribute_approval(one: _Seen, setting: Setting | None, seen_at: int) -> tuple[str | None, int | None]:
    """Who approved it, and when."""
    before, row = one.same, one.row
    if one.version.approval is not Approval.APPROVED:
        return None, None
    if before is not None and row is not None and before.approval is Approval.APPROVED:
        return row.approved_by, row.approved_at
    if setting is not None and setting.by is not None and setting.word == Approval.APPROVED:
        return setting.by, setting.at
    return None, seen_at
