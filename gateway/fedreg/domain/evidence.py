"""The journal as evidence: signed heads of its chain, and what can be wrong with an entry or a head."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The journal's last entry as it was at a time, signed. Once it is outside, nobody can take that entry back.

    `store` is the store's id, `key_id` names the public key, `signature` is Ed25519 in base64.
    """

    sequence: int
    hash: str
    recorded_at: datetime
    store: str
    key_id: str
    signature: str = ""


class Fault(StrEnum):
    """What is wrong with the first bad entry; `forged` where entries are in order and a head is not."""

    CHANGED = "changed"
    MISSING = "missing"
    OUT_OF_ORDER = "out of order"
    CUT_OFF = "cut off"
    FORGED = "forged"


@dataclass(frozen=True, slots=True, kw_only=True)
class BadHead:
    """A head that proves nothing: where it stands (`FILE:LINE`, `store:SEQUENCE`) and why."""

    place: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """Of what times the journal can tell. `since`: when the registry's first scan was complete, None where none was.

    `until`: when the last complete scan began; of later times what this gateway did is told, and what others did once
    a scan has seen it.
    """

    registry: str
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditKey:
    """The public half of the key that signs heads, as PEM; `key_id` is what heads call it."""

    key_id: str
    public_key: str
