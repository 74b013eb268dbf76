"""Prometheus metrics of vendor requests. One `CallMetrics` serves all registries of a gateway."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class CallMetrics:
    """Counts attempts, not port calls. Outcomes are `ok`, `cancelled` or an error code.

    Two of them on one CollectorRegistry collide, so the default is a CollectorRegistry of its own.
    """

    def __init__(self, collector: CollectorRegistry | None = None) -> None:
        self.collector = collector or CollectorRegistry()
        names = ["registry", "operation"]
        self._requests = Counter(
            "fedreg_registry_requests",
            "Requests sent to registries, each attempt counted.",
            [*names, "outcome"],
            registry=self.collector,
        )
        self._seconds = Histogram(
            "fedreg_registry_request_seconds",
            "Time of an attempt, waiting for a slot left out; of a stream, time to its first chunk.",
            names,
            registry=self.collector,
            buckets=BUCKETS,
        )
        self._retries = Counter(
            "fedreg_registry_retries", "Attempts after the first one.", names, registry=self.collector
        )
        self._in_flight = Gauge(
            "fedreg_registry_in_flight", "Requests and streams under way.", ["registry"], registry=self.collector
        )
        self._circuit = Gauge(
            "fedreg_registry_circuit_state",
            "0 closed, 1 half open, 2 open.",
            ["registry"],
            registry=self.collector,
        )

    def of(self, registry: str) -> RegistryMetrics:
        """The same, bound to one registry."""
        return RegistryMetrics(
            registry,
            self._requests,
            self._seconds,
            self._retries,
            self._in_flight.labels(registry),
            self._circuit.labels(registry),
        )


class RegistryMetrics:
    """One registry's children. Looking a child up costs more than counting, so they are kept."""

    def __init__(
        self,
        registry: str,
        requests: Counter,
        seconds: Histogram,
        retries: Counter,
        in_flight: Gauge,
        circuit: Gauge,
    ) -> None:
        self.in_flight = in_flight
        self.circuit = circuit
        self._registry = registry
        self._requests = requests
        self._seconds = seconds
        self._retries = retries
        self._request_children: dict[tuple[str, str], Counter] = {}
        self._seconds_children: dict[str, Histogram] = {}

    def attempt(self, operation: str, outcome: str, seconds: float) -> None:
        """Count one finished attempt."""
        counter = self._request_children.get((operation, outcome))
        if counter is None:
            counter = self._requests.labels(self._registry, operation, outcome)
            self._request_children[operation, outcome] = counter
        histogram = self._seconds_children.get(operation)
        if histogram is None:
            histogram = self._seconds_children[operation] = self._seconds.labels(self._registry, operation)
        counter.inc()
        histogram.observe(seconds)

    def retry(self, operation: str) -> None:
        """Count one repetition."""
        self._retries.labels(self._registry, operation).inc()
