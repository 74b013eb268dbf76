"""A span for each HTTP request, the child of what `traceparent` names. Names follow OpenTelemetry's conventions."""

from __future__ import annotations

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from opentelemetry.trace import SpanKind, Status, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from fedreg.api.context import REQUEST_ID, ROUTE_PATH
from fedreg.api.logs import mask_text

_propagator = TraceContextTextMapPropagator()


def trace_requests(tracer: Tracer) -> Middleware:
    """The outermost middleware. Neither headers nor the query string become attributes: they may hold secrets."""

    @web.middleware
    async def trace(request: web.Request, handler: Handler) -> web.StreamResponse:
        attributes = {
            "http.request.method": request.method,
            "url.scheme": request.scheme,
            "url.path": mask_text(request.rel_url.raw_path),
            "network.protocol.version": f"{request.version.major}.{request.version.minor}",
        }
        parent = _propagator.extract(request.headers)
        with tracer.start_as_current_span(
            request.method,
            parent,
            SpanKind.SERVER,
            attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                response = await handler(request)
                span.set_attribute("http.response.status_code", response.status)
                if response.status >= 500:
                    span.set_status(Status(StatusCode.ERROR))
                return response
            finally:
                route = request.get(ROUTE_PATH)
                if route is not None:
                    span.update_name(f"{request.method} {route}")
                    span.set_attribute("http.route", route)
                span.set_attribute("fedreg.request_id", mask_text(request.get(REQUEST_ID, "")))

    return trace
