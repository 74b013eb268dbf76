"""Links made by API."""

from __future__ import annotations

from datetime import datetime

import msgspec
from sqlalchemy import Connection, delete, insert, select

from fedreg.domain.links import Link
from fedreg.store.schema import links


def list_links(conn: Connection) -> dict[str, Link]:
    """All of them, by name."""
    rows = conn.execute(select(links.c.name, links.c.link).order_by(links.c.name))
    return {row.name: msgspec.convert(row.link, Link) for row in rows}


def get_link(conn: Connection, name: str) -> Link | None:
    """One link, or None."""
    row = conn.execute(select(links.c.link).where(links.c.name == name)).first()
    return None if row is None else msgspec.convert(row.link, Link)


def set_link(tx: Connection, name: str, link: Link, *, now: datetime, actor: str) -> None:
    """Store a link, replacing the one of that name."""
    delete_link(tx, name)
    values = {"name": name, "link": msgspec.to_builtins(link), "updated_at": now, "updated_by": actor}
    tx.execute(insert(links).values(values))


def delete_link(tx: Connection, name: str) -> bool:
    """Forget a link; whether there was one."""
    return tx.execute(delete(links).where(links.c.name == name)).rowcount > 0
