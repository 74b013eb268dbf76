"""Alembic's entry: runs on the connection, and in the transaction, that `fedreg.store.upgrade` hands over."""

from typing import Any

from alembic import context
from sqlalchemy import Connection, Table, Text, event

from fedreg.store.schema import metadata


@event.listens_for(Table, "before_create")
def sort_by_bytes(table: Table, connection: Connection, **_: Any) -> None:
    """Pages follow the order of text, which is that of its bytes; PostgreSQL's own is the database's language."""
    if connection.dialect.name == "postgresql":
        for column in table.columns:
            if isinstance(column.type, Text):
                column.type = Text(collation="C")


context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
try:
    context.run_migrations()
finally:
    event.remove(Table, "before_create", sort_by_bytes)
