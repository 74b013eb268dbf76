"""A circuit breaker per registry, on purgatory's state machine.

purgatory's own context manager counts every exception, lets any number of requests probe a half-open circuit
and re-raises one exception instance (its traceback grows); here availability failures alone count and one
request probes.
"""

from __future__ import annotations

import time

from prometheus_client import Gauge
from purgatory.domain.model import CLOSED, HALF_OPENED, OPENED, Context

from fedreg.domain.errors import RegistryUnavailable

_STATES = {CLOSED: 0, HALF_OPENED: 1, OPENED: 2}


class Circuit:
    """Opens after `threshold` availability failures in a row, for `ttl` seconds."""

    def __init__(self, registry: str, threshold: int, ttl: float, state: Gauge) -> None:
        self._registry = registry
        self._context = Context(registry, threshold, ttl)
        self._state = state
        self._probing = False
        state.set(0)

    @property
    def is_closed(self) -> bool:
        return bool(self._context.state == CLOSED)

    def enter(self) -> bool:
        """Begin a request; True where it is the probe. RegistryUnavailable while the circuit is open."""
        context = self._context
        if context.state == CLOSED:
            return False
        remaining = (context.opened_at or 0.0) + context.ttl - time.time()
        if self._probing or remaining >= 0:
            raise self._refusal(max(remaining, 1.0))
        if context.state == OPENED:
            context.handle_new_request()
        self._probing = True
        self._publish()
        return True

    def succeed(self) -> None:
        """The registry answered, if only with an error of its own."""
        context = self._context
        context.handle_end_request()
        if context.messages:
            self._publish()

    def fail(self, error: BaseException) -> None:
        """The registry was unreachable or silent."""
        self._context.handle_exception(error)
        self._publish()

    def leave_probe(self) -> None:
        """The probe is over, whatever came of it; a cancelled one leaves the circuit half open."""
        self._probing = False

    def _publish(self) -> None:
        self._state.set(_STATES[self._context.state])
        self._context.messages.clear()

    def _refusal(self, seconds: float) -> RegistryUnavailable:
        return RegistryUnavailable(
            f"registry {self._registry!r} failed several times in a row; no request is sent for {seconds:.0f} s",
            registry=self._registry,
            retry_after=round(seconds, 3),
            cure="it is tried again by itself; `fedreg doctor` shows what is wrong",
        )
