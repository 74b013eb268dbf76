"""Any text in the alphabet of SageMaker's tags and properties, and back.

Values hold letters, digits, separators and `_.:/=+-@`, 256 characters at most. Other characters are written
as `=XX` per UTF-8 byte, `=` too; a text longer than one value is cut into several numbered ones.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from fedreg_adapters.sagemaker.manifest import SEPARATORS

VALUE_LENGTH = 256
MAX_PIECES = 8
_STANDS = re.compile(rf"[\w{SEPARATORS}.:/+\-@]")
_HELD = re.compile(rf"[\w{SEPARATORS}.:/=+\-@]*")
_ESCAPES = re.compile(r"(?:=[0-9A-F]{2})+")


def is_plain(text: str, limit: int = VALUE_LENGTH) -> bool:
    """Whether a tag or property can hold the text as it is."""
    return len(text) <= limit and _HELD.fullmatch(text) is not None


def write_text(key: str, text: str) -> dict[str, str] | None:
    """The pieces under `key`, `key:2`, `key:3`, …; None where there would be more than 8 of them."""
    escaped = [char if _STANDS.fullmatch(char) else _escape(char) for char in text]
    pieces = [""]
    for unit in escaped:
        if len(pieces[-1]) + len(unit) > VALUE_LENGTH:
            pieces.append("")
        pieces[-1] += unit
    if len(pieces) > MAX_PIECES:
        return None
    return {_piece(key, number): piece for number, piece in enumerate(pieces, 1)}


def read_text(key: str, held: Mapping[str, str]) -> str | None:
    """What `write_text` put under `key`; None where nothing is there."""
    if key not in held:
        return None
    pieces = [held[key]]
    while (further := _piece(key, len(pieces) + 1)) in held:
        pieces.append(held[further])
    return _ESCAPES.sub(_unescape, "".join(pieces))


def keys_of(key: str, held: Mapping[str, str]) -> list[str]:
    """The keys of all pieces under `key` that are there."""
    return [name for number in range(1, MAX_PIECES + 1) if (name := _piece(key, number)) in held]


def _piece(key: str, number: int) -> str:
    return key if number == 1 else f"{key}:{number}"


def _escape(char: str) -> str:
    return "".join(f"={byte:02X}" for byte in char.encode("utf-8", "surrogatepass"))


def _unescape(found: re.Match[str]) -> str:
    return bytes.fromhex(found.group().replace("=", "")).decode("utf-8", "replace")
