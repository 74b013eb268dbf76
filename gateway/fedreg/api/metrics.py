"""Prometheus metrics of requests. Routes are labelled by their pattern, so names of models never become labels."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
UNMATCHED = "unmatched"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class EventCounts:
    """Messages that came as events: `refused` ones are of no registry, for they are all that is kept of them."""

    def __init__(self, collector: CollectorRegistry) -> None:
        self._messages = Counter(
            "fedreg_events", "Messages pushed as events of registries.", ["registry", "outcome"], registry=collector
        )

    def add(self, registry: str | None, outcome: str) -> None:
        """Count one message: fresh, known, ignored, handshake, malformed, failed or refused."""
        self._messages.labels(registry or "", outcome).inc()


class HttpMetrics:
    """Counts and times. Looking a child up costs more than counting, so they are kept."""

    def __init__(self, collector: CollectorRegistry) -> None:
        self.collector = collector
        self._requests = Counter(
            "fedreg_http_requests", "Requests answered.", ["method", "route", "status"], registry=collector
        )
        self._seconds = Histogram(
            "fedreg_http_request_seconds",
            "Time from the request's head to the end of its answer.",
            ["method", "route"],
            registry=collector,
            buckets=BUCKETS,
        )
        self.in_flight: Gauge = Gauge("fedreg_http_in_flight", "Requests under way.", registry=collector)
        self._children: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def record(self, method: str, route: str | None, status: int, seconds: float) -> None:
        """Count one finished request. `route` None: no route matched."""
        key = (method, route or UNMATCHED, status)
        children = self._children.get(key)
        if children is None:
            children = self._children[key] = self._make_children(*key)
        children[0].inc()
        children[1].observe(seconds)

    def _make_children(self, method: str, route: str, status: int) -> tuple[Counter, Histogram]:
        method = method if method in _METHODS else "other"
        return self._requests.labels(method, route, str(status)), self._seconds.labels(method, route)
