"""Where the files of versions are, remembered for a short while.

A version's source never changes, but asking for it costs the server more than the file it leads to. Opening the files
of a listing therefore goes to the place that was listed, until the listing is older than `FRESH` seconds.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fedreg_adapters.mlflow.artifacts import Files

FRESH = 60.0
_KEPT = 256


@dataclass(frozen=True, slots=True)
class Place:
    """The files of a version, and the stored spelling of paths that are stored under another one."""

    files: Files
    stored: Mapping[str, str]


class Places:
    """Places by model and version, as callers spell them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._found: OrderedDict[tuple[str, str], tuple[float, Place]] = OrderedDict()

    def put(self, model: str, version: str, place: Place) -> None:
        """Remember what a listing found."""
        self._found[model, version] = (self._clock(), place)
        self._found.move_to_end((model, version))
        while len(self._found) > _KEPT:
            self._found.popitem(last=False)

    def get(self, model: str, version: str) -> Place | None:
        """None where it was not listed lately."""
        at, place = self._found.get((model, version), (0.0, None))
        return place if place is not None and self._clock() - at <= FRESH else None

    def clear(self) -> None:
        """Forget all: a name may lead elsewhere after a deletion."""
        self._found.clear()
