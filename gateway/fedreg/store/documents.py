"""Models and versions as stored bytes, and what of a version orders it among its siblings."""

from __future__ import annotations

import hashlib
import re

import msgspec

from fedreg.domain.models import Model, Version
from fedreg.domain.stages import ARCHIVED, NONE, PRODUCTION, STAGING
from fedreg.store.columns import to_micros

_encoder = msgspec.json.Encoder(order="deterministic")
_version_decoder = msgspec.json.Decoder(Version)
_model_decoder = msgspec.json.Decoder(Model)
_DIGITS = re.compile(r"\d+")
_NUMBER_WIDTH = 20
_RANKS = {PRODUCTION: 0, STAGING: 1, NONE: 3, ARCHIVED: 4}
_CUSTOM_RANK = 2


def encode(item: Model | Version) -> bytes:
    """Deterministic JSON: equal items are equal bytes."""
    return _encoder.encode(item)


def decode_version(document: bytes) -> Version:
    return _version_decoder.decode(document)


def decode_model(document: bytes) -> Model:
    return _model_decoder.decode(document)


def hash_document(document: bytes) -> bytes:
    """16 bytes that tell one document from another."""
    return hashlib.blake2b(document, digest_size=16).digest()


def version_sort(version: Version) -> str:
    """A text by which a model's versions sort from oldest to newest; unique within the model.

    Numbers come first, by value. Other ids (commits, names) go by creation, then naturally: v9 before v10.
    """
    name = version.version
    if name.isascii() and name.isdigit():
        return f"0{name.zfill(_NUMBER_WIDTH)}:{name}"
    created = 0 if version.created_at is None else max(to_micros(version.created_at), 0)
    natural = _DIGITS.sub(lambda match: match[0].zfill(_NUMBER_WIDTH), name)
    return f"1{created:0{_NUMBER_WIDTH}d}:{natural}:{name}"


def stage_rank(stage: str) -> int:
    """Which version stands for its model: the lowest rank, then the newest. An archived one comes last of all."""
    return _RANKS.get(stage, _CUSTOM_RANK)


def search_text(name: str, model: Model | None) -> str:
    """What the full-text search of a model looks through: name, description, tags; case folded."""
    parts = [name]
    if model is not None:
        parts += [model.description or "", *(f"{key}={value}" for key, value in model.tags.items())]
    return "\n".join(parts).casefold()
