"""Sizes as people write them, and durations and shares as figures need them."""

from __future__ import annotations

import re
from collections.abc import Sequence

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
_UNITS = {"": 1, "kib": KIB, "mib": MIB, "gib": GIB}


def parse_size(text: str) -> int:
    """`64MiB`, `1GiB` or plain bytes. Raises ValueError for anything else, and for nothing."""
    found = re.fullmatch(r"(\d+)\s*(KiB|MiB|GiB)?", text.strip(), re.IGNORECASE)
    if found is None or not int(found[1]):
        raise ValueError(f"size {text!r} is none: write 64MiB, 1GiB or a number of bytes")
    return int(found[1]) * _UNITS[(found[2] or "").lower()]


def show_size(size: float) -> str:
    """A size with its unit."""
    for unit, name in ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if abs(size) >= unit:
            return f"{size / unit:.4g} {name}"
    return f"{size:.0f} B"


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` (0 to 1) of them do not exceed. Raises ValueError for no values."""
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    return ordered[max(0, min(len(ordered) - 1, -int(-share * len(ordered) // 1) - 1))]
