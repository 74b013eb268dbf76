"""Where a store lies: a SQLite file, memory, or a PostgreSQL database."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from fedreg.domain.errors import ConfigError

Place = Path | URL | None
"""A SQLite file, a PostgreSQL database, or None for SQLite in memory."""

_DRIVER = "postgresql+psycopg"
_CURE = "write sqlite:///fedreg.db, or postgresql://user:password@host/database"


def parse_url(url: str) -> Place:
    """The place of `sqlite:///path`, `sqlite://` or `postgresql://…`. ConfigError for anything else, without its text:
    a URL may hold a password."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise ConfigError("store.url is no URL", cure=_CURE) from error
    if parsed.drivername in ("postgresql", "postgres", _DRIVER):
        if "@" in f"{parsed.host}{parsed.database}":
            raise ConfigError("store.url: there is an @ too many", cure="write an @ of the password as %40")
        if not parsed.database:
            raise ConfigError(f"store.url {parsed.render_as_string()!r} names no database", cure=_CURE)
        return parsed.set(drivername=_DRIVER)
    if parsed.drivername != "sqlite":
        raise ConfigError(f"store.url: a store of kind {parsed.drivername!r} is not known", cure=_CURE)
    if parsed.database in (None, "", ":memory:"):
        return None
    return Path(str(parsed.database))


def describe(place: Place) -> str:
    """The place as messages name it, without a password."""
    if isinstance(place, URL):
        shown = place.set(drivername="postgresql").difference_update_query(["password", "sslpassword"])
        return shown.render_as_string(hide_password=True)
    return "the store in memory" if place is None else str(place)
