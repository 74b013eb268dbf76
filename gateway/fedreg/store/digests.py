"""Digests the gateway knows of versions, each with what it rests on, and the manifest where one was read."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, update

from fedreg.domain.manifest import Basis, Digest, Manifest, ManifestEntry
from fedreg.store import index_sql, labels
from fedreg.store.columns import canonical_json
from fedreg.store.dialects import insert
from fedreg.store.schema import digests, versions

_STRENGTH = {Basis.CLAIMED: 0, Basis.REGISTRY: 1, Basis.READ: 2}


def set_digest(
    tx: Connection, registry: str, identity: str, digest: Digest, manifest: Manifest | None, now: datetime
) -> None:
    """Store a version's digest, and show it in the index. One on a weaker basis never replaces a stronger one."""
    known = get_digests(tx, registry, [identity]).get(identity)
    if not outranks(digest, known):
        return
    row: dict[str, Any] = {
        "registry": registry,
        "identity": identity,
        "value": digest.value,
        "basis": digest.basis.value,
        "manifest": None if manifest is None else [[e.path, e.size, e.sha256] for e in manifest.entries],
        "updated_at": now,
    }
    statement = insert(tx, digests).values(row)
    renewed = {name: statement.excluded[name] for name in ("value", "basis", "manifest", "updated_at")}
    tx.execute(statement.on_conflict_do_update(index_elements=["registry", "identity"], set_=renewed))
    _show(tx, registry, identity, digest)


def get_digests(conn: Connection, registry: str, identities: Collection[str]) -> dict[str, Digest]:
    """identity -> digest; identities without one are left out."""
    rows = conn.exec_driver_sql(index_sql.of(conn).digests, (registry, canonical_json(list(identities))))
    return {identity: Digest(value, Basis(basis)) for identity, value, basis in rows}


def get_manifest(conn: Connection, registry: str, identity: str) -> Manifest | None:
    """The files a stored digest was computed from, where they are known."""
    files = conn.scalar(
        select(digests.c.manifest).where(digests.c.registry == registry, digests.c.identity == identity)
    )
    return None if files is None else Manifest.of(ManifestEntry(*entry) for entry in files)


def outranks(digest: Digest, known: Digest | None) -> bool:
    """Whether a newer digest is to be shown instead of a known one."""
    return known is None or _STRENGTH[digest.basis] >= _STRENGTH[known.basis]


def _show(tx: Connection, registry: str, identity: str, digest: Digest) -> None:
    mine = (versions.c.registry == registry, versions.c.identity == identity)
    tx.execute(update(versions).where(*mine).values(digest=digest.value, digest_basis=digest.basis.value))
    for row in tx.execute(select(versions.c.id, versions.c.model, versions.c.version_sort).where(*mine)).all():
        labels.set_digest_label(tx, registry, row.model, row.version_sort, row.id, digest.value)
