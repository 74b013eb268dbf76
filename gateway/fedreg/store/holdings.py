"""Who has a stage or an alias at a place, since when and by whom, as the index has it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from fedreg.domain.models import Version
from fedreg.store import index
from fedreg.store.schema import models, versions


@dataclass(frozen=True, slots=True)
class Holding:
    """A version with the time and the author of its stage."""

    version: Version
    since: datetime | None
    by: str | None


def list_holdings(conn: Connection, registry: str, model: str) -> list[Holding]:
    """All versions of a model."""
    where = (versions.c.registry == registry, versions.c.model == model)
    rows = conn.execute(select(versions.c.version, versions.c.stage_since, versions.c.set_by).where(*where))
    settings = {row.version: (row.stage_since, row.set_by) for row in rows}
    return [
        Holding(version, *settings.get(version.version, (None, None)))
        for version in index.get_versions(conn, registry, model)
    ]


def list_models(conn: Connection) -> list[tuple[str, str]]:
    """(registry, name) of every model in the index."""
    rows = conn.execute(select(models.c.registry, models.c.name).order_by(models.c.registry, models.c.name))
    return [(row.registry, row.name) for row in rows]
