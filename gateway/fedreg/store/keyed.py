"""Reads by key on the calling thread: they take microseconds, a hand-over to a reader thread takes a hundred.

Past SQLAlchemy for the same reason. Single rows of the index and of what hangs on an identity; nothing else.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from fedreg.domain.manifest import Basis, Digest
from fedreg.domain.models import Model, Version
from fedreg.store import documents
from fedreg.store.connections import driver

_VERSION = """
SELECT d.document, v.digest, v.digest_basis FROM versions v JOIN version_documents d ON d.version_id = v.id
WHERE v.registry = ? AND v.model = ? AND v.version = ?"""
_MODEL = "SELECT document FROM models WHERE registry = ? AND name = ?"
# One statement, since each costs a transaction of its own; a digest has no field.
_HELD = """
SELECT field, value, NULL FROM overflow WHERE registry = ?1 AND identity = ?2
UNION ALL SELECT NULL, value, basis FROM digests WHERE registry = ?1 AND identity = ?2"""


class KeyedReads:
    """Over a connection that only one thread uses."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._driver: sqlite3.Connection = driver(connection)

    def get_version(self, registry: str, model: str, version: str) -> Version | None:
        """A version as it was last seen, with the digest known of it."""
        row = self._driver.execute(_VERSION, (registry, model, version)).fetchone()
        if row is None:
            return None
        found = documents.decode_version(row[0])
        return found if row[1] is None else replace(found, digest=Digest(row[1], Basis(row[2])))

    def get_model(self, registry: str, name: str) -> Model | None:
        """A model as it was last seen."""
        row = self._driver.execute(_MODEL, (registry, name)).fetchone()
        return None if row is None or row[0] is None else documents.decode_model(row[0])

    def get_held(self, registry: str, identity: str) -> tuple[dict[str, Any], Digest | None]:
        """What the gateway holds of an identity: overflow values by field, and its digest."""
        values: dict[str, Any] = {}
        digest: Digest | None = None
        for field, value, basis in self._driver.execute(_HELD, (registry, identity)):
            if field is None:
                digest = Digest(value, Basis(basis))
            else:
                values[field] = None if value is None else json.loads(value)
        return values, digest

    def close(self) -> None:
        """Release the connection."""
        self._connection.close()
