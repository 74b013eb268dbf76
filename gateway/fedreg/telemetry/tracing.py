"""Tracing as layers around what is there: the API, the engine, and the counting of vendor requests.

Imports nothing of OpenTelemetry before it is known that it is wanted.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp.typedefs import Middleware
from prometheus_client import CollectorRegistry

from fedreg.domain.errors import ConfigError
from fedreg.engine.port import Engine
from fedreg.registries.metrics import CallMetrics
from fedreg.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

    from fedreg.telemetry.operations import KindOf

NEEDED = "opentelemetry"


@dataclass(frozen=True, slots=True)
class Tracing:
    """Each layer, or none of them without a tracer. `kinds`: registry -> kind."""

    tracer: Tracer | None = None
    kinds: Mapping[str, str] = field(default_factory=dict)

    def middlewares(self) -> list[Middleware]:
        """What goes around the API's own middleware."""
        if self.tracer is None:
            return []
        from fedreg.telemetry.requests import trace_requests

        return [trace_requests(self.tracer)]

    def call_metrics(self, collector: CollectorRegistry | None = None) -> CallMetrics:
        """Metrics of vendor requests, which are told of each attempt."""
        if self.tracer is None:
            return CallMetrics(collector)
        from fedreg.telemetry.calls import TracedCallMetrics

        return TracedCallMetrics(self.tracer, self.kinds, collector)

    def around_engine(self, engine: Engine, kind_of: KindOf) -> Engine:
        """The engine, its workflows within spans. `kind_of`: an operation's id -> its kind."""
        if self.tracer is None:
            return engine
        from fedreg.telemetry.operations import trace_operations

        return trace_operations(engine, self.tracer, kind_of)


@asynccontextmanager
async def open_tracing(settings: Settings) -> AsyncIterator[Tracing]:
    """Tracing as it is configured; at the end what is left is sent. ConfigError where the extra is not installed."""
    if settings.telemetry is None:
        yield Tracing()
        return
    try:
        from fedreg.telemetry.exporting import open_tracer
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != NEEDED:
            raise
        raise ConfigError(
            f"telemetry: endpoint {settings.telemetry.endpoint!r} is configured, and {error.name} is not installed",
            cure="pip install 'fedreg[telemetry]', or take the section out",
        ) from None
    async with open_tracer(settings.telemetry) as tracer:
        yield Tracing(tracer, {name: entry.kind for name, entry in settings.registries.items()})
