"""The OpenAPI 3.1 document, from the table of routes and the types of its handlers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from fedreg.api.encoding import JSON
from fedreg.api.endpoints import Route
from fedreg.api.problems import MEDIA_TYPE, Problem
from fedreg.version import __version__

TEMPLATE = "#/components/schemas/{name}"
_PARAMETER = re.compile(r"{(\w+)}")
_DESCRIPTION = """\
Names of models and versions are percent-encoded in paths: `team/churn` is `team%2Fchurn`. Where a proxy decodes or
refuses `%2F`, a model's slashes may also stand as they are, unless a part of the name is `versions`, `aliases` or
`history`; and a name may be written as its registry spells it (`native_name` of the model, `teamx--2fzchurn` at
SageMaker), unless the registry has a model that is really called so. No path reaches a model named `.` or `..`, unless
its registry spells it otherwise: clients take those parts out.

A version is its id, or a selector after an `@`: `@alias:champion`, `@stage:production`.

Lists are paged: `limit` and `cursor` in, `items` and `next_cursor` out; a cursor is good for its own query only.
Errors are problem+json; `code` says which. Models and versions have an `ETag`; a change with `If-Match` fails with
412 where it was lost. The operations that a change was are named in the header `Fedreg-Operation`. `X-Request-Id` is
taken from the request or made.

A POST that starts something takes an `Idempotency-Key`, kept for a week: sent again with the same key, the request
answers what the first one has started.
"""
PATH_PARAMETERS: Mapping[str, str] = {
    "registry": "the configured name of a registry",
    "model": "a model's name, percent-encoded, or as its registry spells it",
    "version": "a version's id, percent-encoded, or a selector after an @",
    "alias": "an alias, percent-encoded",
    "path": "the path of a file; slashes stand as they are",
    "id": "the id of an operation, or of a webhook",
    "sequence": "the place of an entry in the journal",
    "link": "the name of a link",
}


def build_openapi(routes: Sequence[Route]) -> dict[str, Any]:
    """The document as JSON values."""
    references, components = _schemas(routes)
    paths: dict[str, dict[str, Any]] = {}
    for route in sorted(routes, key=lambda route: route.path):
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, references)
    document = {
        "openapi": "3.1.0",
        "info": {"title": "fedreg", "version": __version__, "description": _DESCRIPTION},
        "tags": [{"name": group} for group in sorted({route.group for route in routes})],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "responses": {
                "Problem": {
                    "description": "What went wrong, and the cure.",
                    "content": {MEDIA_TYPE: {"schema": references[Problem]}},
                }
            },
        },
    }
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(document))  # tuples become lists
    return plain


def _schemas(routes: Iterable[Route]) -> tuple[dict[Any, Any], dict[str, Any]]:
    """The schema of each type that a route takes or answers, and the components they refer to."""
    kinds = dict.fromkeys([Problem])
    for route in routes:
        kinds |= dict.fromkeys(kind for kind in (route.body, *route.answers.values()) if kind is not None)
    schemas, components = msgspec.json.schema_components(list(kinds), schema_hook=_any_schema, ref_template=TEMPLATE)
    return dict(zip(kinds, schemas, strict=True)), dict(components)


def _any_schema(kind: type[Any]) -> dict[str, Any]:
    """`object` in an annotation is any JSON value."""
    if kind is object:
        return {"description": "any JSON value"}
    raise TypeError(f"{kind} has no JSON Schema")


def _operation(route: Route, references: Mapping[Any, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "tags": [route.group],
        "parameters": [*_path_parameters(route), *_query_parameters(route), *_header_parameters(route)],
        "responses": {
            **{str(status): _response(route, status, kind, references) for status, kind in route.answers.items()},
            **({"304": {"description": HTTPStatus.NOT_MODIFIED.phrase}} if _is_conditional(route) else {}),
            "default": {"$ref": "#/components/responses/Problem"},
        },
    }
    if route.body is not None:
        operation["requestBody"] = {"required": True, "content": {JSON: {"schema": references[route.body]}}}
    if route.role is not None:
        operation["security"] = [{"token": []}]
        operation["x-fedreg-role"] = route.role.value
    return operation


def _response(route: Route, status: int, kind: Any, references: Mapping[Any, Any]) -> dict[str, Any]:
    response: dict[str, Any] = {"description": HTTPStatus(status).phrase}
    if kind is not None:
        response["content"] = {route.media: {"schema": references[kind]}}
    elif status == HTTPStatus.OK:
        response["content"] = {route.media: {}}
    if route.etag:
        response["headers"] = {"ETag": {"schema": {"type": "string"}}}
    return response


def _is_conditional(route: Route) -> bool:
    """Whether a GET may be answered by 304."""
    return route.etag and route.method == "GET"


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": PATH_PARAMETERS[name],
            "schema": {"type": "string"},
        }
        for name in _PARAMETER.findall(route.path)
    ]


def _query_parameters(route: Route) -> list[dict[str, Any]]:
    _, components = msgspec.json.schema_components([route.query], ref_template=TEMPLATE)
    schema = components[route.query.__name__]
    required = schema.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, **_described(_inline(field, components))}
        for name, field in schema["properties"].items()
    ]


def _described(field: Mapping[str, Any]) -> dict[str, Any]:
    """The description belongs to the parameter, the rest to its schema."""
    schema = dict(field)
    description = schema.pop("description", None) or next(
        (part["description"] for part in schema.get("anyOf", []) if "description" in part), None
    )
    return {"schema": schema} | ({"description": description} if description else {})


def _inline(value: Any, components: Mapping[str, Any]) -> Any:
    """A query's schema with its references (enums) put in their place."""
    if isinstance(value, Mapping):
        if "$ref" in value:
            return _inline(components[value["$ref"].rpartition("/")[2]], components)
        return {key: _inline(item, components) for key, item in value.items()}
    return [_inline(item, components) for item in value] if isinstance(value, list | tuple) else value


def _header_parameters(route: Route) -> list[dict[str, Any]]:
    names = []
    if route.method in ("PUT", "PATCH", "DELETE"):
        names.append(("If-Match", "the ETag the change is meant for; 412 where it was lost"))
    elif _is_conditional(route):
        names.append(("If-None-Match", "304 where this is still the ETag"))
    elif route.keyed:
        names.append(("Idempotency-Key", "the same key again gives what it has started; 409 with another request"))
    elif route.path.endswith("/{path}"):
        names.append(("Range", "one range: bytes=0-99, bytes=100-, bytes=-100"))
    return [{"name": name, "in": "header", "description": text, "schema": {"type": "string"}} for name, text in names]
