"""A span for each attempt of a vendor request, made of what the metrics are told of it anyway."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextvars import ContextVar

from opentelemetry.trace import SpanKind, Status, StatusCode, Tracer
from prometheus_client import CollectorRegistry

from fedreg.registries.metrics import CallMetrics, RegistryMetrics

_WELL = ("ok", "not_found", "cancelled")
# The number of the last attempt within this task, and whether another one follows it.
_attempts: ContextVar[tuple[int, bool]] = ContextVar("fedreg_attempts", default=(0, False))


class TracedCallMetrics(CallMetrics):
    """Counts as CallMetrics does, and ends a span a moment after its attempt. `kinds`: registry -> kind."""

    def __init__(self, tracer: Tracer, kinds: Mapping[str, str], collector: CollectorRegistry | None = None) -> None:
        super().__init__(collector)
        self._tracer = tracer
        self._kinds = kinds

    def of(self, registry: str) -> RegistryMetrics:
        return _TracedMetrics(super().of(registry), self._tracer, registry, self._kinds.get(registry, ""))


class _TracedMetrics(RegistryMetrics):
    """One registry's."""

    def __init__(self, inner: RegistryMetrics, tracer: Tracer, registry: str, kind: str) -> None:
        self.in_flight, self.circuit = inner.in_flight, inner.circuit
        self._inner = inner
        self._tracer = tracer
        self._attributes = {"fedreg.registry": registry, "fedreg.kind": kind}

    def attempt(self, operation: str, outcome: str, seconds: float) -> None:
        """Outcomes are `ok`, `cancelled` or an error's code; messages are left out, for they may quote secrets."""
        self._inner.attempt(operation, outcome, seconds)
        last, again = _attempts.get()
        number = last + 1 if again else 1
        _attempts.set((number, False))
        now = time.time_ns()
        span = self._tracer.start_span(
            f"{self._attributes['fedreg.kind']} {operation}",
            kind=SpanKind.CLIENT,
            attributes={
                **self._attributes,
                "fedreg.operation": operation,
                "fedreg.attempt": number,
                "fedreg.outcome": outcome,
            },
            start_time=now - int(seconds * 1e9),
        )
        if outcome not in _WELL:
            span.set_attribute("error.type", outcome)
            span.set_status(Status(StatusCode.ERROR))
        span.end(now)

    def retry(self, operation: str) -> None:
        self._inner.retry(operation)
        _attempts.set((_attempts.get()[0], True))
