"""Opaque cursors, signed against the query they continue: a forged or foreign one is refused."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json

from sqlalchemy import Connection, select

from fedreg.domain.errors import InvalidRequest
from fedreg.store.schema import meta

_SIGNATURE_BYTES = 16


def write_cursor(conn: Connection, scope: str, position: list[str]) -> str:
    """The cursor of a position in the listing that `scope` describes."""
    payload = json.dumps(position, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(_sign(conn, scope, payload) + payload).rstrip(b"=").decode()


def read_cursor(conn: Connection, scope: str, cursor: str) -> list[str]:
    """The position in a cursor. Raises InvalidRequest for one we did not write, or wrote for another query."""
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    signature, payload = raw[:_SIGNATURE_BYTES], raw[_SIGNATURE_BYTES:]
    if not hmac.compare_digest(signature, _sign(conn, scope, payload)):
        raise InvalidRequest(
            f"cursor {cursor[:40]!r} is not one of this query's",
            cure="pass next_cursor of the previous page unchanged, with the same filters",
        )
    return [str(part) for part in json.loads(payload)]


def _sign(conn: Connection, scope: str, payload: bytes) -> bytes:
    key = str(conn.scalar(select(meta.c.value).where(meta.c.name == "cursor_key")))
    scope_hash = hashlib.sha256(scope.encode()).digest()
    return hmac.digest(bytes.fromhex(key), scope_hash + payload, "sha256")[:_SIGNATURE_BYTES]
