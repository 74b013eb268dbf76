"""The header Idempotency-Key: a POST that is sent again starts nothing new."""

from __future__ import annotations

import hashlib

from aiohttp import web

from fedreg.api.context import actor_of
from fedreg.api.encoding import Request, encode
from fedreg.domain.errors import InvalidRequest
from fedreg.domain.records import RequestKey

HEADER = "Idempotency-Key"
MAX_LENGTH = 255


def request_key(request: web.Request, body: Request) -> RequestKey | None:
    """The caller's key of this request; None where it gave none. Raises InvalidRequest for one that is no token."""
    key = request.headers.get(HEADER)
    if key is None:
        return None
    if not (0 < len(key) <= MAX_LENGTH and key.isascii() and key.isprintable()):
        raise InvalidRequest(
            f"{HEADER} {key!r:.60} is no key", cure=f"use 1 to {MAX_LENGTH} printable ASCII characters"
        )
    what = f"{request.method} {request.rel_url.raw_path}\n".encode() + encode(body)
    return RequestKey(actor=actor_of(request).subject, key=key, fingerprint=hashlib.sha256(what).hexdigest())
