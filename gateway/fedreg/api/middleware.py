"""The one middleware: request id, errors, metrics and access log. Its cost is in every request."""

from __future__ import annotations

import logging
import os
import time
from itertools import count

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from structlog.contextvars import bind_contextvars

from fedreg.api.context import PRINCIPAL, REQUEST_ID, ROUTE_PATH
from fedreg.api.logs import RequestLine, log_request
from fedreg.api.metrics import HttpMetrics
from fedreg.api.problems import from_http_exception, respond_problem, unexpected
from fedreg.domain.errors import FedregError

REQUEST_ID_HEADER = "X-Request-Id"
CLIENT_GONE = 499  # no status is sent: the client closed the connection first
_OWN_IDS = (f"{prefix}{number:016x}" for prefix in [os.urandom(8).hex()] for number in count(1))
_QUIET = frozenset({"/healthz", "/readyz", "/metrics"})

log = structlog.get_logger("fedreg.api")


def make_middleware(metrics: HttpMetrics, max_body: int) -> Middleware:
    """The middleware of one application."""

    @web.middleware
    async def observe(request: web.Request, handler: Handler) -> web.StreamResponse:
        request_id = request[REQUEST_ID] = _request_id(request)
        bind_contextvars(request_id=request_id)
        started = time.perf_counter()
        status = CLIENT_GONE
        metrics.in_flight.inc()
        try:
            try:
                response = await handler(request)
            except Exception as error:
                if isinstance(error, ConnectionError) and _is_gone(request):
                    raise
                response = _refuse(request, error, max_body)
            status = response.status
            if not response.prepared:
                response.headers[REQUEST_ID_HEADER] = request_id
            return response
        finally:
            metrics.in_flight.dec()
            seconds = time.perf_counter() - started
            metrics.record(request.method, request.get(ROUTE_PATH), status, seconds)
            _write_log(request, status, seconds)

    return observe


def _request_id(request: web.Request) -> str:
    """The caller's own id where it is a sane one, else a new one: no secret, so it need not be random."""
    given = request.headers.get(REQUEST_ID_HEADER)
    if given and len(given) <= 128 and given.isascii() and given.isprintable():
        return given
    return next(_OWN_IDS)


def _is_gone(request: web.Request) -> bool:
    """Whether the client has closed the connection: there is nobody to answer, and nothing to complain about."""
    return request.transport is None or request.transport.is_closing()


def _refuse(request: web.Request, error: Exception, max_body: int) -> web.Response:
    if isinstance(error, web.HTTPException):
        error = from_http_exception(error, request, max_body)
    elif type(error) is FedregError or not isinstance(error, FedregError):  # the bare one wraps somebody's exception
        log.error("unexpected error", method=request.method, path=request.rel_url.raw_path, exc_info=error)
        error = unexpected()
    return respond_problem(error, instance=request.rel_url.raw_path, request_id=request[REQUEST_ID])


def _write_log(request: web.Request, status: int, seconds: float) -> None:
    path = request.rel_url.raw_path
    principal = request.get(PRINCIPAL)
    level = logging.DEBUG if path in _QUIET and status < 400 else logging.INFO if status < 500 else logging.WARNING
    log_request(
        level,
        RequestLine(
            request_id=request[REQUEST_ID],
            method=request.method,
            path=path,
            status=status,
            ms=round(seconds * 1000, 2),
            actor=principal.actor.subject if principal else None,
            remote=request.remote,
        ),
    )
