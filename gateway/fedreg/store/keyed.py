"""Reads by key on the calling thread: they take microseconds, a hand-over to a reader thread takes a hundred.

Past SQLAlchemy for the same reason. Single rows of the index and of what hangs on an identity; nothing else.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, TypeVar

from sqlalchemy import Connection

from fedreg.domain.manifest import Basis, Digest
from fedreg.domain.models import Model, Version
from fedreg.store import documents
from fedreg.store.connections import driver
from fedreg.store.writer import Writer

T = TypeVar("T")
_KEPT = 8192  # answers

_VERSION = """
SELECT d.document, v.digest, v.digest_basis FROM versions v JOIN version_documents d ON d.version_id = v.id
WHERE v.registry = ? AND v.model = ? AND v.version = ?"""
_MODEL = "SELECT document FROM models WHERE registry = ? AND name = ?"
# One statement, since each costs a transaction of its own; a digest has no field.
_HELD = """
SELECT field, value, NULL FROM overflow WHERE registry = ?1 AND identity = ?2
UNION ALL SELECT NULL, value, basis FROM digests WHERE registry = ?1 AND identity = ?2"""


class KeyedReads:
    """Over a connection that only one thread uses.

    Where this process has the `writer`, what was read is kept until that commits: nobody else can change it.
    """

    def __init__(self, connection: Connection, writer: Writer | None) -> None:
        self._connection = connection
        self._driver: sqlite3.Connection = driver(connection)
        self._writer = writer
        self._kept: dict[tuple[str, ...], Any] = {}
        self._kept_at = 0

    def get_version(self, registry: str, model: str, version: str) -> Version | None:
        """A version as it was last seen, with the digest known of it."""
        found: Version | None = self._keep(self._read_version, registry, model, version)
        return found

    def get_model(self, registry: str, name: str) -> Model | None:
        """A model as it was last seen."""
        row = self._driver.execute(_MODEL, (registry, name)).fetchone()
        return None if row is None or row[0] is None else documents.decode_model(row[0])

    def get_held(self, registry: str, identity: str) -> tuple[Mapping[str, Any], Digest | None]:
        """What the gateway holds of an identity: overflow values by field, and its digest."""
        found: tuple[Mapping[str, Any], Digest | None] = self._keep(self._read_held, registry, identity)
        return found

    def read(self, fn: Callable[[Connection], T]) -> T:
        """Run `fn` in one snapshot."""
        with self._connection.begin():
            return fn(self._connection)

    def _keep(self, read: Callable[..., Any], *key: str) -> Any:
        """Keys of two and three parts never meet."""
        if self._writer is None:
            return read(*key)
        commits = self._writer.commits
        if commits != self._kept_at or len(self._kept) >= _KEPT:
            self._kept, self._kept_at = {}, commits
        if key not in self._kept:
            self._kept[key] = read(*key)
        return self._kept[key]

    def _read_version(self, registry: str, model: str, version: str) -> Version | None:
        row = self._driver.execute(_VERSION, (registry, model, version)).fetchone()
        if row is None:
            return None
        found = documents.decode_version(row[0])
        return found if row[1] is None else replace(found, digest=Digest(row[1], Basis(row[2])))

    def _read_held(self, registry: str, identity: str) -> tuple[Mapping[str, Any], Digest | None]:
        values: dict[str, Any] = {}
        digest: Digest | None = None
        for field, value, basis in self._driver.execute(_HELD, (registry, identity)):
            if field is None:
                digest = Digest(value, Basis(basis))
            else:
                values[field] = None if value is None else json.loads(value)
        return MappingProxyType(values), digest

    def close(self) -> None:
        """Release the connection."""
        self._connection.close()
