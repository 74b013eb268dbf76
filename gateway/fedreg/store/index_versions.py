"""Writing versions to the index."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, func, select, update
from sqlalchemy.dialects.sqlite import insert

from fedreg.domain.manifest import Digest
from fedreg.domain.models import Version, VersionId
from fedreg.domain.records import Change
from fedreg.domain.stages import NONE, Approval
from fedreg.store import attribution, digests, documents, labels
from fedreg.store.attribution import APPROVAL_SET, STAGE_SET, Setting
from fedreg.store.columns import canonical_json, listed
from fedreg.store.differences import compare_versions
from fedreg.store.index_models import ensure_models, refresh_models
from fedreg.store.schema import version_documents, versions

Key = tuple[str, str]
Settings = dict[tuple[str, VersionId], Setting]


@dataclass(frozen=True, slots=True)
class _Seen:
    """A version as it was just seen, beside what the index has of it."""

    version: Version
    document: bytes
    content_hash: bytes
    row: Row[Any] | None = None
    before: Version | None = None


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
    tx.execute(delete(versions).where(versions.c.id.in_(listed(row_ids))))
    refresh_models(tx, registry, sorted({row.model for row in gone}))
    return len(row_ids)


def _upsert(tx: Connection, registry: str, group: dict[Key, Version], seen_at: datetime) -> list[Change]:
    known = _get_hashes(tx, registry, group)
    same: list[int] = []
    changed: dict[Key, _Seen] = {}
    for key, version in group.items():
        document = documents.encode(version)
        content_hash = documents.hash_document(document)
        found = known.get(key)
        if found is not None and found[1] == content_hash:
            same.append(found[0])
        else:
            changed[key] = _Seen(version, document, content_hash)
    if same:
        tx.execute(update(versions).where(versions.c.id.in_(listed(same))).values(observed_at=seen_at))
    return _store(tx, registry, changed, seen_at) if changed else []


def _store(tx: Connection, registry: str, changed: dict[Key, _Seen], seen_at: datetime) -> list[Change]:
    seen = _load_before(tx, registry, changed)
    names = sorted({one.version.model for one in seen})
    known_digests = digests.get_digests(tx, registry, [one.version.identity for one in seen])
    settings = attribution.list_settings(tx, registry, [one.version.id for one in seen if _is_set(one)])
    rows = [_to_row(one, known_digests.get(one.version.identity), settings, seen_at) for one in seen]
    ensure_models(tx, registry, names, seen_at)
    statement = insert(versions)
    fresh = {name: statement.excluded[name] for name in rows[0] if name not in ("registry", "model", "version")}
    tx.execute(
        statement.on_conflict_do_update(
            index_elements=["registry", "model", "version"],
            set_=fresh,
            where=versions.c.content_hash != statement.excluded.content_hash,
        ),
        rows,
    )
    _store_details(tx, registry, seen, rows)
    refresh_models(tx, registry, names)
    return [
        change
        for one in seen
        for change in compare_versions(one.before, one.version, None if one.row is None else one.row.observed_at)
    ]


def _store_details(tx: Connection, registry: str, seen: list[_Seen], rows: list[dict[str, Any]]) -> None:
    ids = _get_hashes(tx, registry, [(one.version.model, one.version.version) for one in seen])
    statement = insert(version_documents)
    placed = [(ids[one.version.model, one.version.version][0], one, row) for one, row in zip(seen, rows, strict=True)]
    tx.execute(
        statement.on_conflict_do_update(index_elements=["version_id"], set_={"document": statement.excluded.document}),
        [{"version_id": row_id, "document": one.document} for row_id, one, _ in placed],
    )
    labels.set_labels(
        tx,
        registry,
        [
            (row_id, row["model"], row["version_sort"], labels.list_labels(one.version, row["digest"]))
            for row_id, one, row in placed
        ],
    )


def _get_hashes(tx: Connection, registry: str, keys: Iterable[Key]) -> dict[Key, tuple[int, bytes]]:
    """(model, version) -> (row id, content hash) of the versions that are there."""
    pairs = func.json_each(canonical_json([list(key) for key in keys])).table_valued("value").alias("pairs")
    # An outer join, so that SQLite can't begin at the other end and read the whole registry once per key.
    query = select(versions.c.model, versions.c.version, versions.c.id, versions.c.content_hash).select_from(
        pairs.outerjoin(
            versions,
            (versions.c.registry == registry)
            & (versions.c.model == func.json_extract(pairs.c.value, "$[0]"))
            & (versions.c.version == func.json_extract(pairs.c.value, "$[1]")),
        )
    )
    return {
        (model, version): (row_id, found) for model, version, row_id, found in tx.execute(query) if row_id is not None
    }


def _load_before(tx: Connection, registry: str, changed: dict[Key, _Seen]) -> list[_Seen]:
    ids = [row_id for row_id, _ in _get_hashes(tx, registry, changed).values()]
    query = select(versions, version_documents.c.document).join(
        version_documents, version_documents.c.version_id == versions.c.id
    )
    rows = {(row.model, row.version): row for row in tx.execute(query.where(versions.c.id.in_(listed(ids))))}
    return [
        one
        if (row := rows.get(key)) is None
        else _Seen(one.version, one.document, one.content_hash, row, documents.decode_version(row.document))
        for key, one in changed.items()
    ]


def _is_set(one: _Seen) -> bool:
    """Whether the journal may know who set this version's stage or approval."""
    return one.before is not None or one.version.stage != NONE or one.version.approval is Approval.APPROVED


def _to_row(one: _Seen, known: Digest | None, settings: Settings, seen_at: datetime) -> dict[str, Any]:
    version = one.version
    digest = known
    if version.digest is not None and digests.outranks(version.digest, known):
        digest = version.digest
    return {
        "registry": version.registry,
        "model": version.model,
        "version": version.version,
        "version_sort": documents.version_sort(version),
        "identity": version.identity,
        "stage": version.stage,
        "stage_rank": documents.stage_rank(version.stage),
        **_attribute_stage(one, settings.get((STAGE_SET, version.id)), seen_at),
        "approval": version.approval.value,
        **_attribute_approval(one, settings.get((APPROVAL_SET, version.id)), seen_at),
        "aliases": list(version.aliases),
        "digest": None if digest is None else digest.value,
        "digest_basis": None if digest is None else digest.basis.value,
        "content_hash": one.content_hash,
        "observed_at": seen_at,
    }


def _attribute_stage(one: _Seen, setting: Setting | None, seen_at: datetime) -> dict[str, Any]:
    before = one.before if one.before is not None and one.before.identity == one.version.identity else None
    if before is not None and one.row is not None and before.stage == one.version.stage:
        row = one.row
        since, basis, by = row.stage_since, row.stage_since_basis, row.set_by
    elif setting is not None and setting.by is not None and setting.word == one.version.stage:
        since, basis, by = setting.at, "journal", setting.by
    elif before is None and one.version.stage == NONE:  # it never had one, as far as anybody knows
        since, basis, by = None, None, None
    else:
        since, basis, by = seen_at, "observation", None
    return {"stage_since": since, "stage_since_basis": basis, "set_by": by}


def _attribute_approval(one: _Seen, setting: Setting | None, seen_at: datetime) -> dict[str, Any]:
    before = one.before if one.before is not None and one.before.identity == one.version.identity else None
    by: str | None = None
    at: datetime | None = None
    if one.version.approval is Approval.APPROVED:
        if before is not None and one.row is not None and before.approval is Approval.APPROVED:
            by, at = one.row.approved_by, one.row.approved_at
        elif setting is not None and setting.by is not None and setting.word == Approval.APPROVED:
            by, at = setting.by, setting.at
        else:
            at = seen_at
    return {"approved_by": by, "approved_at": at}
