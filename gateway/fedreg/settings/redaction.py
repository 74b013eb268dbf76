"""Settings as JSON values, with secrets masked: what `fedreg config show` prints."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

MASK = "***"
_PASSWORD = re.compile(r"(?<=://)([^/@:\s]*):[^/@\s]*(?=@)")
_QUERY = re.compile(r"(?i)([?&][^=&\s]*(?:password|secret|token|signature|sig|key)[^=&\s]*=)[^&\s]+")


def redact(value: Any, *, secret: bool = False) -> Any:
    """Dataclasses become mappings. Fields with `repr=False` are masked where set, passwords in URLs everywhere."""
    if secret and value:
        return MASK
    if is_dataclass(value):
        return {item.name: redact(getattr(value, item.name), secret=not item.repr) for item in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): redact(item) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [redact(item) for item in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, str | Path):
        return mask_url(str(value))
    return value


def mask_url(text: str) -> str:
    """The same, without the passwords, tokens and signatures that a URL may hold."""
    return _QUERY.sub(rf"\g<1>{MASK}", _PASSWORD.sub(rf"\g<1>:{MASK}", text))
