"""Signing heads of the journal with Ed25519, and reading them back.

A head is written as one line of JSON. What is signed is that line without `signature`, as canonical JSON (sorted
keys, no spaces, ASCII), so that anybody can check it with other tools: docs/audit.md has the lines.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC
from pathlib import Path
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from fedreg.domain.errors import ConfigError, InvalidRequest
from fedreg.domain.evidence import AuditKey, BadHead, Head
from fedreg.store.columns import canonical_json

FORMAT = 1
Keys = Mapping[str, Ed25519PublicKey]  # by key id
_END = "-----END PUBLIC KEY-----"
_NEW_KEY = "`openssl genpkey -algorithm ed25519 -out FILE` makes one"


def load_key(path: Path) -> Ed25519PrivateKey | None:
    """The key in a file, None where there is no file. Raises ConfigError for anything but an Ed25519 key as PEM."""
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"audit.key: {str(path)!r} can't be read: {error.strerror}", cure="let us read it") from error
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ConfigError(
            f"audit.key: {str(path)!r} is no private key without password, as PEM", cure=_NEW_KEY
        ) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"audit.key: {str(path)!r} is not an Ed25519 key", cure=_NEW_KEY)
    return key


def create_key(path: Path) -> Ed25519PrivateKey:
    """A new key in a new file that its owner alone can read. Raises ConfigError where it can't be written."""
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        cure = "name a file in a folder that is there and may be written to"
        raise ConfigError(f"audit.key: {str(path)!r} can't be made: {error.strerror}", cure=cure) from error
    return key


def show_key(key: Ed25519PublicKey) -> AuditKey:
    """A public key as PEM, with its id: 16 hex digits of the SHA-256 of its 32 bytes."""
    raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    return AuditKey(key_id=hashlib.sha256(raw).hexdigest()[:16], public_key=pem)


def read_keys(text: str) -> Keys:
    """The public keys of a PEM text, one or several. Raises InvalidRequest."""
    found: dict[str, Ed25519PublicKey] = {}
    for block in text.split(_END)[:-1]:
        try:
            key = load_pem_public_key((block + _END).strip().encode())
        except (ValueError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, Ed25519PublicKey):
            found = {}
            break
        found[show_key(key).key_id] = key
    if not found:
        raise InvalidRequest("public_key is no Ed25519 public key as PEM", cure="`fedreg audit --key` prints it")
    return found


def sign(head: Head, key: Ed25519PrivateKey) -> Head:
    """The head with its signature."""
    return replace(head, signature=base64.b64encode(key.sign(_signed_bytes(head))).decode())


def write_head(head: Head) -> str:
    """A head as one line of JSON, without its end."""
    return canonical_json({**_to_fields(head), "signature": head.signature})


def read_head(line: str) -> Head | None:
    """The head on a line, whether or not its signature is right; None for a line that is none."""
    try:
        fields = msgspec.json.decode(line, type=dict[str, Any])
        head = msgspec.convert({name: fields[name] for name in Head.__dataclass_fields__}, Head)
    except (msgspec.MsgspecError, UnicodeEncodeError, KeyError):
        return None
    return head if head.recorded_at.tzinfo and {**_to_fields(head), "signature": head.signature} == fields else None


def check_head(head: Head, keys: Keys, store: str) -> str | None:
    """Why a head proves nothing about this store; None where it does."""
    key = keys.get(head.key_id)
    if key is None:
        return f"forged: signed with key {head.key_id!r}, which is not one of the public keys"
    try:
        key.verify(base64.b64decode(head.signature, validate=True), _signed_bytes(head))
    except (InvalidSignature, binascii.Error, ValueError):
        return "forged: the signature is not of this head"
    return None if head.store == store else f"it is of another store, {head.store!r}"


def sort_heads(placed: Iterable[tuple[str, Head | None]], keys: Keys, store: str) -> tuple[list[Head], list[BadHead]]:
    """Heads that prove something about a store, and the others with their places. None stands for no head at all."""
    good: list[Head] = []
    bad: list[BadHead] = []
    for place, head in placed:
        why = "unsigned: it is no head" if head is None else check_head(head, keys, store)
        if why is None and head is not None:
            good.append(head)
        else:
            bad.append(BadHead(place=place, why=why or ""))
    return good, bad


def _to_fields(head: Head) -> dict[str, Any]:
    return {
        "fedreg_head": FORMAT,
        "sequence": head.sequence,
        "hash": head.hash,
        "recorded_at": head.recorded_at.astimezone(UTC).isoformat(timespec="microseconds"),
        "store": head.store,
        "key_id": head.key_id,
    }


def _signed_bytes(head: Head) -> bytes:
    return canonical_json(_to_fields(head)).encode()
