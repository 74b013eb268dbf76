"""Bringing a store file to this release's schema.

The revision is compared without Alembic first: importing it costs more than the rest of opening a store.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, text

from fedreg.domain.errors import ConfigError
from fedreg.store import health

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0008"
_MIGRATIONS = Path(__file__).parent / "migrations"


@dataclass(frozen=True, slots=True)
class Upgrade:
    """What opening a store did to it: its revision before (None: it was empty) and now, and the copy made first."""

    before: str | None
    after: str
    backup: Path | None = None


def upgrade(connection: Connection, path: Path | None) -> Upgrade:
    """Create an empty store at head, or migrate an older one after backing it up beside itself.

    All in one transaction. Raises ConfigError for a store that a newer release made, or no store at all.
    """
    with connection.begin():
        revision = get_revision(connection, path)
    backup = None
    if revision == HEAD:
        return Upgrade(HEAD, HEAD)
    if revision is not None:
        _check_known(revision, path)
        if path is not None:
            backup = _back_up(connection, path, revision)
    migrate(connection, HEAD)
    return Upgrade(revision, HEAD, backup)


def check_revision(connection: Connection, path: Path) -> None:
    """Raise ConfigError unless a reader of this release understands the store."""
    revision = get_revision(connection, path)
    if revision == HEAD:
        return
    if revision is not None:
        _check_known(revision, path)
    raise ConfigError(
        f"store {str(path)!r} has revision {revision or 'none'}, this release reads {HEAD}",
        cure="stop its owner and run `fedreg store upgrade`",
    )


def get_revision(connection: Connection, path: Path | None) -> str | None:
    """The schema revision of a store, None for an empty file. ConfigError for somebody else's database."""
    names = set(connection.scalars(text("SELECT name FROM sqlite_master WHERE type = 'table'")))
    if "alembic_version" in names and ("journal" in names or len(names) == 1):
        revision = connection.scalar(text("SELECT version_num FROM alembic_version"))
        return None if revision is None else str(revision)
    if names:
        raise ConfigError(
            f"store.url: {str(path)!r} is a database, but not of fedreg's", cure="name a file that does not exist yet"
        )
    return None


def migrate(connection: Connection, revision: str) -> None:
    """Run the migrations up to `revision` in one transaction."""
    from alembic import command

    config = get_config()
    config.attributes["connection"] = connection
    with connection.begin():
        command.upgrade(config, revision)


def get_config() -> Config:
    """Alembic's configuration, without an ini file."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _check_known(revision: str, path: Path | None) -> None:
    from alembic.script import ScriptDirectory

    known = {script.revision for script in ScriptDirectory.from_config(get_config()).walk_revisions()}
    if revision not in known:
        raise ConfigError(
            f"store {str(path)!r} has revision {revision}, made by a newer release; this one knows up to {HEAD}",
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
