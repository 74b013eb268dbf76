"""A route as data, and the function aiohttp calls for it.

A handler is `async (request, *, query: Q, body: B) -> Answer`, `query` and `body` being optional: what a route takes
and answers is read from its handler's annotations, once, so that code, checks and OpenAPI document can't disagree.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_args, get_origin, get_type_hints

from aiohttp import web

from fedreg.api.auth import Authenticator
from fedreg.api.context import PRINCIPAL, ROUTE_PATH
from fedreg.api.encoding import JSON, Listing, Reply, Request, body_reader, encode, etag_of, query_reader, respond
from fedreg.api.paging import PageQuery, open_cursor, seal_cursor
from fedreg.api.spellings import read_model_name
from fedreg.settings.sections import Role

Handler = Callable[..., Awaitable[Any]]
Endpoint = Callable[[web.Request], Awaitable[web.StreamResponse]]


class NoQuery(Request, frozen=True, kw_only=True):
    """A query string that must be empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One method of one path. `role` None: open to everybody. `answers`: type of the body by status, None for none.

    `etag`: the answer is a resource with an ETag, computed from its encoded form. `keyed`: takes an Idempotency-Key.
    """

    method: str
    path: str
    handler: Handler
    role: Role | None
    summary: str
    group: str
    status: int
    query: type[Request]
    body: type[Request] | None
    answers: Mapping[int, Any]
    media: str = JSON
    etag: bool = False
    keyed: bool = False

    @property
    def name(self) -> str:
        """Unique; the operationId."""
        return f"{self.group}_{self.handler.__name__}"


def make_route(
    method: str,
    path: str,
    handler: Handler,
    role: Role | None,
    summary: str,
    *,
    status: int = 200,
    answers: Mapping[int, Any] | None = None,
    media: str = JSON,
    etag: bool = False,
    keyed: bool = False,
) -> Route:
    """A route with its types read from the handler. `answers` where they differ by status."""
    hints = get_type_hints(handler)
    answer = hints["return"]
    if get_origin(answer) is Reply:
        answer = get_args(answer)[0]
    return Route(
        method=method,
        path=path,
        handler=handler,
        role=role,
        summary=summary,
        group=handler.__module__.rpartition(".")[2],
        status=status,
        query=hints.get("query", NoQuery),
        body=hints.get("body"),
        answers=answers or {status: None if answer in (type(None), web.StreamResponse, web.Response) else answer},
        media=media,
        etag=etag,
        keyed=keyed,
    )


def _is_listing(answer: Any) -> bool:
    return get_origin(answer) is Listing or (isinstance(answer, type) and issubclass(answer, Listing))


def make_endpoint(route: Route, authenticator: Authenticator) -> Endpoint:
    """The function for aiohttp: who asks, what is asked, the handler, its answer encoded."""
    read_query = query_reader(route.query)
    read_body = None if route.body is None else body_reader(route.body)
    takes_query = route.query is not NoQuery
    paged = issubclass(route.query, PageQuery) and _is_listing(route.answers.get(route.status))
    handler, role = route.handler, route.role
    names_model = "{model}" in route.path

    async def endpoint(request: web.Request) -> web.StreamResponse:
        request[ROUTE_PATH] = route.path
        if role is not None:
            principal = request[PRINCIPAL] = authenticator.identify(request)
            registry = request.match_info.get("registry")
            principal.require(role) if registry is None else principal.require(role, registry)
        if names_model:
            await read_model_name(request)
        query = read_query(request)
        if paged and isinstance(query, PageQuery):
            query = await open_cursor(request, query)
        given = {"query": query} if takes_query else {}
        if read_body is not None:
            given["body"] = read_body(await request.read())
        answer = await handler(request, **given)
        return _respond(route, request, await seal_cursor(request, answer) if paged else answer)

    return endpoint


def _respond(route: Route, request: web.Request, answer: Any) -> web.StreamResponse:
    if isinstance(answer, web.StreamResponse):
        return answer
    status, headers = route.status, {}
    if isinstance(answer, Reply):
        answer, status, headers = answer.value, answer.status or status, dict(answer.headers)
    if answer is None:
        return web.Response(status=status, headers=headers)
    encoded = encode(answer)
    if route.etag:
        headers["ETag"] = tag = etag_of(encoded)
        if route.method == "GET" and matches(request.headers.get("If-None-Match"), tag):
            return web.Response(status=304, headers=headers)
    return respond(encoded, status, headers)


def matches(header: str | None, tag: str) -> bool:
    """Whether an If-Match or If-None-Match header names this ETag, or any by `*`."""
    if header is None:
        return False
    return header.strip() == "*" or tag in (item.strip().removeprefix("W/") for item in header.split(","))
