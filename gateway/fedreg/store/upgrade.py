"""Bringing a store to this release's schema.

The revision is compared without Alembic first: importing it costs more than the rest of opening a store.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import URL, Connection, text

from fedreg.domain.errors import ConfigError
from fedreg.store import health
from fedreg.store.dialects import WRITING, is_postgresql
from fedreg.store.place import Place, describe

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0010"
_FILE_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table'"
_SERVER_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
_HAS_TRIGRAMS = "SELECT count(*) FROM pg_extension WHERE extname = 'pg_trgm'"
_TRIGRAMS = "CREATE INDEX IF NOT EXISTS model_text_trigrams ON model_text USING gin (text gin_trgm_ops)"
_MIGRATIONS = Path(__file__).parent / "migrations"


@dataclass(frozen=True, slots=True)
class Upgrade:
    """What opening a store did to it: its revision before (None: it was empty) and now, and the copy made first."""

    before: str | None
    after: str
    backup: Path | None = None


def upgrade(connection: Connection, place: Place) -> Upgrade:
    """Create an empty store at head, or migrate an older one, a file after backing it up beside itself.

    All in one transaction. Raises ConfigError for a store that a newer release made, or no store at all.
    """
    if isinstance(place, URL):
        return _upgrade_server(connection, place)
    with connection.begin():
        revision = get_revision(connection, place)
    backup = None
    if revision == HEAD:
        return Upgrade(HEAD, HEAD)
    if revision is not None:
        _check_known(revision, place)
        if place is not None:
            backup = _back_up(connection, place, revision)
    migrate(connection, HEAD)
    return Upgrade(revision, HEAD, backup)


def _upgrade_server(connection: Connection, url: URL) -> Upgrade:
    """Under the lock of those who write: of several gateways that start at once the first migrates."""
    with connection.begin():
        connection.execute(text("SELECT pg_advisory_xact_lock(:writing)"), {"writing": WRITING})
        revision = get_revision(connection, url)
        if revision is not None and revision != HEAD:
            _check_known(revision, url)
        if revision != HEAD:
            _run_migrations(connection, HEAD)
        if connection.scalar(text(_HAS_TRIGRAMS)):  # without them a search reads every text
            connection.execute(text(_TRIGRAMS))
    return Upgrade(revision, HEAD)


def check_revision(connection: Connection, place: Place) -> None:
    """Raise ConfigError unless a reader of this release understands the store."""
    revision = get_revision(connection, place)
    if revision == HEAD:
        return
    if revision is not None:
        _check_known(revision, place)
    raise ConfigError(
        f"store {describe(place)!r} has revision {revision or 'none'}, this release reads {HEAD}",
        cure="stop its owner and run `fedreg store upgrade`",
    )


def get_revision(connection: Connection, place: Place) -> str | None:
    """The schema revision of a store, None for an empty file. ConfigError for somebody else's database."""
    names = set(connection.scalars(text(_SERVER_TABLES if is_postgresql(connection) else _FILE_TABLES)))
    if "alembic_version" in names and ("journal" in names or len(names) == 1):
        revision = connection.scalar(text("SELECT version_num FROM alembic_version"))
        return None if revision is None else str(revision)
    if names:
        raise ConfigError(
            f"store.url: {describe(place)!r} is a database, but not of fedreg's",
            cure="name a file that does not exist yet, or an empty database or schema",
        )
    return None


def migrate(connection: Connection, revision: str) -> None:
    """Run the migrations up to `revision` in one transaction."""
    with connection.begin():
        _run_migrations(connection, revision)


def _run_migrations(connection: Connection, revision: str) -> None:
    from alembic import command

    config = get_config()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def get_config() -> Config:
    """Alembic's configuration, without an ini file."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _check_known(revision: str, place: Place) -> None:
    from alembic.script import ScriptDirectory

    known = {script.revision for script in ScriptDirectory.from_config(get_config()).walk_revisions()}
    if revision not in known:
        raise ConfigError(
            f"store {describe(place)!r} has revision {revision}, made by a newer release; this one knows up to {HEAD}",
            cure="install the newer release of fedreg again, or restore the backup it made beside the store",
        )


def _back_up(connection: Connection, path: Path, revision: str) -> Path:
    target = path.with_name(f"{path.name}.{revision}.bak")
    number = 1
    while target.exists():
        number += 1
        target = path.with_name(f"{path.name}.{revision}.{number}.bak")
    health.backup(connection, target)
    return target
