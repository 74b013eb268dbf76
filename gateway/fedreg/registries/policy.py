"""A configured registry, and how requests to it are paced, bounded and repeated (its `calls:` section)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import Any

from fedreg.domain.errors import ConfigError

SHORTEST_POLL = 1.0
_COUNTS = ("concurrency", "streams", "max_attempts", "breaker_threshold")


@dataclass(frozen=True, slots=True, kw_only=True)
class CallPolicy:
    """Limits around the requests of one registry. Times in seconds.

    - `rate`: requests started per second, bursts of one second's worth; None sets no limit.
    - `concurrency`: requests at once; None means what the kind declares.
    - `streams`: downloads at once. They have slots of their own: an upload that holds a request slot while it
      waits for a stream of the same registry would otherwise starve itself.
    - `deadline`: one attempt, unless a request names its own.
    - `max_attempts`, `max_elapsed`: no further attempt starts beyond either.
    - `backoff`, `backoff_max`: first and longest wait between attempts, before jitter.
    - `idle_deadline`: longest silence within a stream.
    - `breaker_threshold`, `breaker_ttl`: failures in a row that open the circuit, and how long it stays open.
    """

    rate: float | None = None
    concurrency: int | None = None
    streams: int = 8
    deadline: float = 30.0
    max_attempts: int = 4
    max_elapsed: float = 60.0
    backoff: float = 0.2
    backoff_max: float = 10.0
    idle_deadline: float = 30.0
    breaker_threshold: int = 5
    breaker_ttl: float = 15.0

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            lowest = 1 if item.name in _COUNTS else 0
            if value is not None and not (value > 0 and value >= lowest and math.isfinite(value)):
                raise ConfigError(
                    f"{item.name}: {value!r} is out of range",
                    cure="give a whole number of at least 1" if lowest else "give a number above 0",
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryEntry:
    """A configured registry. `options` is an instance of its kind's options dataclass.

    `poll`: seconds between scans while the gateway is served; None for no scans but those asked for.
    """

    kind: str
    options: Any
    calls: CallPolicy = field(default_factory=CallPolicy)
    poll: float | None = None

    def __post_init__(self) -> None:
        if self.poll is not None and not (self.poll >= SHORTEST_POLL and math.isfinite(self.poll)):
            raise ConfigError(
                f"poll: {self.poll:g} is out of range", cure=f"give {SHORTEST_POLL:g} seconds or more, or 0 for never"
            )
