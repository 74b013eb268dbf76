"""The routes and the fields of requests that methods of the Python interface become."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import textwrap
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, cast

import aiohttp
import msgspec

from fedreg.api.routes import ROUTES
from fedreg.client import interface, remote
from fedreg.client.transport import Transport
from surfaces.methods import METHODS, base_of, changes_of

VERBS = {
    "get": "GET",
    "pages": "GET",
    "events": "GET",
    "stream": "GET",
    "post": "POST",
    "post_once": "POST",
    "put": "PUT",
}


def list_routes(method: str) -> list[str]:
    """The routes that a method asks for itself, as `GET /v1/models`; where it has none, those of what it calls."""
    own, called = _walk(method, {})
    return own or [route for other in called for route in list_routes(other)]


@cache
def _functions() -> dict[str, ast.FunctionDef | ast.AsyncFunctionDef]:
    found: dict[str, ast.FunctionDef | ast.AsyncFunctionDef] = {}
    for kind in (interface.Client, remote.RemoteClient):
        [body] = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
        assert isinstance(body, ast.ClassDef)
        found |= {one.name: one for one in body.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)}
    return found


def _walk(name: str, given: Mapping[str, ast.expr]) -> tuple[list[str], list[str]]:
    """Routes in the source of a function and of the private ones it calls, and the public ones it calls."""
    function = _functions()[name]
    known = dict(given)
    routes, called = [], []
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            known[node.targets[0].id] = node.value
    for node in ast.walk(function):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        verb, of = node.func.attr, ast.unparse(node.func.value)
        if of == "self._http":
            sends = verb == "send"
            asked = ast.literal_eval(node.args[0]) if sends else VERBS[verb]
            routes.append(f"{asked} {_pattern(node.args[int(sends)], known)}")
        elif of == "self" and verb in METHODS:
            called.append(verb)
        elif of == "self" and verb in _functions():
            names = [argument.arg for argument in _functions()[verb].args.args[1:]]
            further = _walk(verb, dict(zip(names, node.args, strict=False)))
            routes, called = routes + further[0], called + further[1]
    return list(dict.fromkeys(routes)), list(dict.fromkeys(called))


def _pattern(node: ast.expr, known: Mapping[str, ast.expr]) -> str:
    """The path that an expression stands for, its names still in braces."""
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "fill":
        return _pattern(node.args[0], known)
    if isinstance(node, ast.Name):
        return _pattern(known[node.id], known) if node.id in known else str(getattr(remote, node.id))
    if isinstance(node, ast.JoinedStr):
        return "".join(_pattern(part, known) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        return _pattern(node.value, known)
    return str(ast.literal_eval(node))


class Sent(Exception):
    """What would have been sent: fields of path (in braces), query and body, and the `route`."""

    def __init__(self, fields: dict[str, Any]) -> None:
        super().__init__(fields)
        self.fields = fields


class _Wire(Transport):
    def __init__(self) -> None:
        super().__init__("http://gateway", cast(aiohttp.ClientSession, None))

    @asynccontextmanager
    async def _open(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None,
        body: Any,
        headers: Mapping[str, str],
        timeout: aiohttp.ClientTimeout | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        raise Sent(_match(method, path) | {**(query or {})} | (msgspec.to_builtins(body) or {}))
        yield  # what makes it a generator


def _match(method: str, path: str) -> dict[str, Any]:
    for route in ROUTES:
        pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(route.path))
        if route.method == method and (found := re.fullmatch(pattern, path)):
            return {"route": f"{method} {route.path}", **{f"{{{key}}}": found[key] for key in found.groupdict()}}
    raise LookupError(f"no route is {method} {path}")


def find_fields(method: str) -> dict[str, list[str]]:
    """For each parameter, the fields of the method's first request that change with it; `route` where it chooses one.

    Fields of a path are in braces.
    """
    plain, found = _ask(method, base_of(method)), {}
    for name, given in changes_of(method):
        asked = _ask(method, given)
        changed = sorted(key for key in plain | asked if plain.get(key) != asked.get(key))
        found[name] = [key for key in changed if "route" not in changed or key[0] == "{" or key == "route"]
    return found


def _ask(method: str, given: Mapping[str, Any]) -> dict[str, Any]:
    async def ask() -> None:
        answer = getattr(remote.RemoteClient(_Wire()), method)(**given)
        if inspect.isasyncgen(answer):
            await anext(answer)
        else:
            await answer

    try:
        asyncio.run(ask())
    except Sent as sent:
        return sent.fields
    raise LookupError(f"{method} asks for nothing")
