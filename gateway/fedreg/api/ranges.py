"""Byte ranges (RFC 9110, one range a request)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fedreg.api.problems import RangeNotSatisfiable

_RANGE = re.compile(r"bytes\s*=\s*(\d{0,18})\s*-\s*(\d{0,18})\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes `start` to `stop`, `stop` left out."""

    start: int
    stop: int

    @property
    def length(self) -> int:
        return self.stop - self.start


def parse_range(header: str | None, size: int) -> ByteRange | None:
    """The range asked for; None where the whole file is meant: no range, several, or one that makes no sense.

    Raises RangeNotSatisfiable for one that begins after the end.
    """
    found = _RANGE.fullmatch(header) if header else None
    if found is None:
        return None
    first, last = found.groups()
    if not first and not last:
        return None
    if not first:
        start, stop = max(0, size - int(last)), size
    else:
        start, stop = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < start:
            return None
    if start >= size:
        refusal = RangeNotSatisfiable(f"range {header!r}: the file has {size} bytes", cure="ask for less")
        refusal.headers = {"Content-Range": f"bytes */{size}"}
        raise refusal
    return ByteRange(start, stop)
