"""The one place that knows the SDK: spans go to a collector over OTLP/HTTP, in batches, in a thread of their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Tracer

from fedreg.settings.sections import TelemetrySettings
from fedreg.version import __version__

TRACES = "/v1/traces"


@asynccontextmanager
async def open_tracer(settings: TelemetrySettings) -> AsyncIterator[Tracer]:
    """A tracer of this gateway's own: no global provider is set. What is left at the end is sent, within `timeout`.

    A collector that can't be reached is logged by the exporter and costs spans, never a request.
    """
    exporter = OTLPSpanExporter(
        endpoint=settings.endpoint.rstrip("/") + TRACES, headers=dict(settings.headers), timeout=settings.timeout
    )
    resource = Resource.create({"service.name": settings.service_name, "service.version": __version__})
    sampler = ParentBased(TraceIdRatioBased(settings.sample_ratio))
    provider = TracerProvider(resource=resource, sampler=sampler, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    try:
        yield provider.get_tracer("fedreg", __version__)
    finally:
        await asyncio.to_thread(provider.shutdown)
