"""Reading the index: whole models and versions, counts, and what a sweep did not show."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, select

from fedreg.domain.manifest import Basis, Digest
from fedreg.domain.models import Model, Version, VersionId
from fedreg.domain.reports import Facets
from fedreg.store import documents
from fedreg.store.dialects import listed
from fedreg.store.schema import facets as facet_rows
from fedreg.store.schema import labels, models, version_documents, versions

_HOLDERS = (
    select(versions.c.version)
    .join(labels, labels.c.version_id == versions.c.id)
    .where(
        labels.c.registry == bindparam("of_registry"),
        labels.c.kind == "stage",
        labels.c.key == bindparam("of_stage"),
        labels.c.value == "",
        labels.c.model == bindparam("of_model"),
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """What a full sweep did not show. Candidates only: a deletion is believed after a get says NotFound."""

    models: tuple[str, ...]
    versions: tuple[VersionId, ...]


def get_model(conn: Connection, registry: str, name: str) -> Model | None:
    """A model as it was last seen; None where it never was (even if versions of it were)."""
    document = conn.scalar(select(models.c.document).where(models.c.registry == registry, models.c.name == name))
    return None if document is None else documents.decode_model(document)


def get_version(conn: Connection, registry: str, model: str, version: str) -> Version | None:
    """A version as it was last seen, or None."""
    found = get_versions(conn, registry, model, [version])
    return found[0] if found else None


def list_holders(conn: Connection, registry: str, model: str, stage: str) -> list[str]:
    """The numbers of a model's versions that have a stage, as they were last seen."""
    return list(conn.scalars(_HOLDERS, {"of_registry": registry, "of_model": model, "of_stage": stage}))


def get_versions(
    conn: Connection, registry: str, model: str, names: Collection[str] | None = None, *, limit: int | None = None
) -> list[Version]:
    """A model's versions as they were last seen, newest first; `names` picks some of them."""
    query = (
        select(version_documents.c.document)
        .join(versions, versions.c.id == version_documents.c.version_id)
        .where(versions.c.registry == registry, versions.c.model == model)
        .order_by(versions.c.version_sort.desc())
    )
    if names is not None:
        query = query.where(versions.c.version.in_(listed(names)))
    return [documents.decode_version(found) for found in conn.scalars(query.limit(limit))]


def list_seen_versions(conn: Connection, registry: str, ids: Collection[VersionId]) -> list[tuple[Version, datetime]]:
    """Versions as they were last seen, with the digest that the gateway knows, and when.

    Those that are not there, or are others by now, are left out.
    """
    query = (
        select(version_documents.c.document, versions.c.observed_at, versions.c.digest, versions.c.digest_basis)
        .join(versions, versions.c.id == version_documents.c.version_id)
        .where(versions.c.registry == registry, versions.c.identity.in_(listed([one.identity for one in ids])))
    )
    found: list[tuple[Version, datetime]] = []
    for row in conn.execute(query):
        digest = None if row.digest is None else Digest(row.digest, Basis(row.digest_basis))
        found.append((replace(documents.decode_version(row.document), digest=digest), row.observed_at))
    wanted = set(ids)
    return [(version, at) for version, at in found if version.id in wanted]


def list_seen_models(conn: Connection, registry: str, names: Collection[str]) -> list[tuple[Model, datetime]]:
    """Models as they were last seen, and when; without those of which only versions were."""
    query = select(models.c.document, models.c.observed_at).where(
        models.c.registry == registry, models.c.name.in_(listed(names)), models.c.document.is_not(None)
    )
    return [(documents.decode_model(row.document), row.observed_at) for row in conn.execute(query)]


def facets(conn: Connection, registries: Collection[str] = ()) -> Facets:
    """Counts over all registries, or the given ones."""
    query = select(facet_rows).where(facet_rows.c.versions > 0)
    if registries:
        query = query.where(facet_rows.c.registry.in_(listed(registries)))
    return sum_facets(conn.execute(query.order_by(facet_rows.c.registry, facet_rows.c.stage, facet_rows.c.approval)))


def sum_facets(rows: Iterable[Row[Any]]) -> Facets:
    """The counts of rows of registry, stage, approval and how many `versions` there are."""
    found = Facets(registries={}, stages={}, approvals={})
    for row in rows:
        for counts, word in (
            (found.registries, row.registry),
            (found.stages, row.stage),
            (found.approvals, row.approval),
        ):
            counts[word] = counts.get(word, 0) + row.versions
    return found


def count_versions(conn: Connection, registry: str) -> int:
    """How many versions of a registry the index has."""
    counted = select(func.sum(facet_rows.c.versions)).where(facet_rows.c.registry == registry)
    return int(conn.scalar(counted) or 0)


def missing_after_sweep(conn: Connection, registry: str, sweep: datetime) -> Missing:
    """What was last seen before the full sweep that began at `sweep`."""
    names = conn.scalars(
        select(models.c.name).where(
            models.c.registry == registry, models.c.observed_at < sweep, models.c.document.is_not(None)
        )
    )
    gone = select(versions.c.model, versions.c.version, versions.c.identity).where(
        versions.c.registry == registry, versions.c.observed_at < sweep
    )
    found = tuple(VersionId(model=row.model, version=row.version, identity=row.identity) for row in conn.execute(gone))
    return Missing(models=tuple(sorted(names)), versions=found)
