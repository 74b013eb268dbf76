"""Carrying a store over to another database, row by row, and comparing both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import zip_longest
from typing import Any

from sqlalchemy import Column, Connection, MetaData, Table, delete, func, insert, select, text
from sqlalchemy.types import TypeDecorator

from fedreg.domain.errors import AlreadyExists, IntegrityError
from fedreg.store import chain
from fedreg.store.dialects import is_postgresql
from fedreg.store.schema import duties, facets, meta, metadata, model_text, replicas

_BATCH = 1000
_LEFT_OUT = (facets, replicas, duties)
"""Counts, which triggers keep, and the gateways of the other store with what they do."""

Announce = Callable[[str, int], None]


def check_empty(conn: Connection) -> None:
    """Raise AlreadyExists where a store holds anything but what a new one does."""
    for table in metadata.sorted_tables:
        if table is not meta and conn.scalar(select(func.count()).select_from(table).limit(1)):
            raise AlreadyExists(
                f"the store to move to is not empty: there is something in {table.name!r}",
                cure="name an empty database or schema",
            )


def copy_rows(source: Connection, target: Connection, announce: Announce) -> dict[str, int]:
    """Copy everything but the workflows' state; returns table -> rows. `announce` gets each table as it is done."""
    target.execute(delete(meta))  # its keys sign cursors, also those that callers have
    counts: dict[str, int] = {}
    for name, rows in _list_tables().items():
        counts[name] = 0
        for batch in _read(source, rows).partitions(_BATCH):
            target.execute(insert(rows), [row._asdict() for row in batch])
            counts[name] += len(batch)
        announce(name, counts[name])
    if is_postgresql(target):
        _set_sequences(target)
    return counts


def compare_rows(source: Connection, target: Connection) -> None:
    """Raise IntegrityError unless both hold the same rows, and the same journal that proves itself."""
    for name, rows in _list_tables().items():
        pairs = zip_longest(_values(source, rows), _values(target, rows))
        for number, (before, after) in enumerate(pairs, 1):
            if before != after:
                raise IntegrityError(
                    f"row {number} of {name!r} is not what it was", cure="nothing was moved; look at both databases"
                )
    chains = chain.verify(source), chain.verify(target)
    if chains[0] != chains[1]:
        raise IntegrityError(f"the journals differ: {chains[0]} became {chains[1]}", cure="nothing was moved")


def _list_tables() -> dict[str, Table]:
    """The tables in an order that keeps references whole, with columns as they are stored."""
    plain = MetaData()
    tables = [_as_stored(table, plain) for table in metadata.sorted_tables if table not in _LEFT_OUT]
    texts = [Column(c.name, c.type, primary_key=c.name == "rowid", autoincrement=False) for c in model_text.c]
    tables.append(Table(model_text.name, plain, *texts))
    return {table.name: table for table in tables}


def _as_stored(table: Table, into: MetaData) -> Table:
    columns = []
    for column in table.columns:
        kind = column.type.impl_instance if isinstance(column.type, TypeDecorator) else column.type
        columns.append(Column(column.name, kind, primary_key=column.primary_key, autoincrement=False))
    return Table(table.name, into, *columns)


def _read(conn: Connection, rows: Table) -> Any:
    ordered = select(rows).order_by(*rows.primary_key.columns)
    return conn.execute(ordered.execution_options(yield_per=_BATCH))


def _values(conn: Connection, rows: Table) -> Iterator[tuple[Any, ...]]:
    for row in _read(conn, rows):
        yield tuple(row)


def _set_sequences(conn: Connection) -> None:
    """Numbers that the database gives begin behind those that are there."""
    for table in metadata.sorted_tables:
        column = table.autoincrement_column
        if column is not None and table not in _LEFT_OUT:
            conn.execute(
                text("SELECT setval(pg_get_serial_sequence(:table, :column), :last)"),
                {"table": table.name, "column": column.name, "last": (conn.scalar(select(func.max(column))) or 0) + 1},
            )
