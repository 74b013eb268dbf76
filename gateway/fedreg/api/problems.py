"""Errors as application/problem+json (RFC 9457): the fields every surface prints, and the RFC's own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import web

from fedreg.domain.errors import FedregError, InvalidRequest, NotFound, Unauthenticated

MEDIA_TYPE = "application/problem+json"


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An error. `request_id` is this request's; a registry's own is `upstream_request_id`. `retry_after` in seconds."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    request_id: str
    code: str
    message: str
    retryable: bool
    outcome: str
    cure: str | None = None
    registry: str | None = None
    operation: str | None = None
    upstream_code: str | None = None
    upstream_request_id: str | None = None
    retry_after: float | None = None
    details: dict[str, Any] | None = None


class Refusal(InvalidRequest):
    """An invalid request that HTTP has a status and headers of its own for."""

    headers: Mapping[str, str] = {}  # only ever replaced


class MethodNotAllowed(Refusal):
    """The path exists, but not with this method."""

    status = 405


class RequestTooLarge(Refusal):
    """The body is larger than the gateway takes (server.max_body)."""

    status = 413


class RangeNotSatisfiable(Refusal):
    """The range begins after the end of the file."""

    status = 416


def to_problem(error: FedregError, *, instance: str, request_id: str) -> Problem:
    """An error as it is told to a caller."""
    fields = error.to_dict()
    upstream_request_id = fields.pop("request_id", None)
    return Problem(
        type=f"urn:fedreg:problem:{error.code}",
        title=error.code.replace("_", " ").capitalize(),
        status=error.status,
        detail=str(error),
        instance=instance,
        request_id=request_id,
        upstream_request_id=upstream_request_id,
        **fields,
    )


def respond_problem(error: FedregError, *, instance: str, request_id: str) -> web.Response:
    """The response for an error."""
    body = msgspec.json.encode(to_problem(error, instance=instance, request_id=request_id))
    headers = {"Content-Type": MEDIA_TYPE, **(error.headers if isinstance(error, Refusal) else {})}
    if error.retry_after is not None:
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = 'Bearer realm="fedreg"'
    return web.Response(body=body, status=error.status, headers=headers)


def from_http_exception(error: web.HTTPException, request: web.Request, max_body: int) -> FedregError:
    """aiohttp's own refusals as errors of the family."""
    if isinstance(error, web.HTTPNotFound):
        return NotFound(f"path {request.rel_url.raw_path!r} does not exist", cure="/openapi.json lists all paths")
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        refusal = MethodNotAllowed(f"method {error.method} is not allowed here", cure=f"use one of: {allowed}")
        refusal.headers = {"Allow": allowed}
        return refusal
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return RequestTooLarge(f"the body is larger than {max_body} bytes", cure="send less, or raise server.max_body")
    return InvalidRequest(f"the request can't be served: {error.reason}", cure="/openapi.json says what can")


def unexpected() -> FedregError:
    """What a caller learns of a mistake of ours: nothing but where to look."""
    return FedregError("the gateway made a mistake", cure="its log has the details under this request_id")
