"""Requests to an MLflow server: one method, and one table from its errors to the domain's."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp

from fedreg.domain.calls import Calls, Effect
from fedreg.domain.errors import (
    AlreadyExists,
    Conflict,
    FedregError,
    InvalidRequest,
    NotFound,
    Outcome,
    RateLimited,
    RegistryAuthError,
    RegistryError,
    RegistryTimeout,
    RegistryUnavailable,
    Unsupported,
)
from fedreg_adapters.mlflow.manifest import MlflowOptions
from fedreg_adapters.shared.answers import misread
from fedreg_adapters.shared.sessions import Endpoint, Session

API = "api/2.0/mlflow/"
Json = dict[str, Any]
Query = Mapping[str, str] | Sequence[tuple[str, str]]

# Codes: mlflow.exceptions.ERROR_CODE_TO_HTTP_STATUS. A code counts before its status.
_BY_CODE: Mapping[str, type[FedregError]] = {
    "RESOURCE_DOES_NOT_EXIST": NotFound,
    "NOT_FOUND": NotFound,
    "RESOURCE_ALREADY_EXISTS": AlreadyExists,
    "ALREADY_EXISTS": AlreadyExists,
    "INVALID_PARAMETER_VALUE": InvalidRequest,
    "BAD_REQUEST": InvalidRequest,
    "RESOURCE_LIMIT_EXCEEDED": InvalidRequest,
    "QUOTA_EXCEEDED": InvalidRequest,
    "RESOURCE_CONFLICT": Conflict,
    "INVALID_STATE": Conflict,
    "ABORTED": Conflict,
    "UNAUTHENTICATED": RegistryAuthError,
    "PERMISSION_DENIED": RegistryAuthError,
    "CUSTOMER_UNAUTHORIZED": RegistryAuthError,
    "RESOURCE_EXHAUSTED": RateLimited,
    "REQUEST_LIMIT_EXCEEDED": RateLimited,
    "TEMPORARILY_UNAVAILABLE": RegistryUnavailable,
    "NOT_IMPLEMENTED": Unsupported,
    "FEATURE_DISABLED": Unsupported,
    "ENDPOINT_NOT_FOUND": RegistryError,
}
_BY_STATUS: Mapping[int, type[FedregError]] = {
    400: InvalidRequest,
    401: RegistryAuthError,
    403: RegistryAuthError,
    404: RegistryError,  # without a code it is a missing endpoint, never a missing model
    408: RegistryTimeout,
    409: Conflict,
    413: InvalidRequest,
    429: RateLimited,
    501: Unsupported,
    502: RegistryUnavailable,
    503: RegistryUnavailable,
    504: RegistryTimeout,
}
_MAY_HAVE_HAPPENED = frozenset({408, 500, 502, 504})
_MISSING_ALIAS = re.compile(r"Registered model alias .* not found", re.DOTALL)


class Client:
    """An MLflow server, spoken to through `Calls`."""

    def __init__(self, registry: str, options: MlflowOptions, calls: Calls, *, concurrency: int) -> None:
        self.registry = registry
        self.calls = calls
        self.session = Session(registry, _endpoint(options, concurrency))

    async def get(self, operation: str, path: str, query: Query) -> Json:
        """A read: GET with a query."""
        return await self.send(operation, "GET", API + path, query=query)

    async def write(
        self, operation: str, path: str, body: Json, *, method: str = "POST", effect: Effect = Effect.WRITE
    ) -> Json:
        """A change: a JSON body, DELETE included."""
        return await self.send(operation, method, API + path, body=body, effect=effect)

    async def put(self, operation: str, path: str, body: Json, *, method: str = "POST") -> None:
        """A change that is the same done twice."""
        await self.write(operation, path, body, method=method, effect=Effect.IDEMPOTENT)

    async def delete(self, operation: str, path: str, body: Json) -> None:
        """A removal that is the same done twice."""
        await self.put(operation, path, body, method="DELETE")

    async def send(
        self,
        operation: str,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Json | None = None,
        effect: Effect = Effect.READ,
    ) -> Json:
        """One request and its JSON object. A write whose answer can't be read has outcome `unknown`."""

        async def request() -> Json:
            params = list(query.items() if isinstance(query, Mapping) else query or ())
            async with self.session.request(method, path, params=params, json=body) as answer:
                return await read_json(answer, self.registry, operation)

        return await self.calls.run(operation, request, effect=effect)

    async def pages(self, operation: str, path: str, field: str, query: Query) -> AsyncIterator[tuple[list[Json], str]]:
        """Search pages to the end: the items under `field`, and the token of the next page (empty on the last).

        Starts at the query's `page_token`. Raises RegistryError where a token repeats.
        """
        fixed = [(key, value) for key, value in _pairs(query) if key != "page_token"]
        token = dict(_pairs(query)).get("page_token", "")
        seen = {token}
        while True:
            answer = await self.get(operation, path, [*fixed, *([("page_token", token)] if token else [])])
            token = str(answer.get("next_page_token") or "")
            if token and token in seen:
                raise RegistryError(
                    f"{path} gave the page token {token!r} twice", registry=self.registry, operation=operation
                )
            seen.add(token)
            yield self.listed(operation, answer, field), token
            if not token:
                return

    def listed(self, operation: str, answer: Json, field: str) -> list[Json]:
        """The models or versions of an answer; none where the server leaves the field out. RegistryError for others."""
        items: list[Json] = answer.get(field, [])
        if not isinstance(items, list) or not all(map(_is_named, items)):
            raise misread(TypeError(field), self.registry, operation)
        return items

    async def aclose(self) -> None:
        await self.session.aclose()


def _is_named(item: Any) -> bool:
    return isinstance(item, dict) and isinstance(item.get("name"), str)


async def read_json(answer: aiohttp.ClientResponse, registry: str, operation: str) -> Json:
    """The JSON object of an answer, or the error it is."""
    text = (await answer.read()).decode("utf-8", "replace")
    if not 200 <= answer.status < 300:
        raise error_of(answer.status, answer.headers, text, registry, operation)
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if isinstance(found, dict):
        return found
    raise RegistryError(
        f"{answer.url.path} answered no JSON object but {_excerpt(text)!r}",
        registry=registry,
        operation=operation,
        outcome=Outcome.UNKNOWN,
        cure="check that url is that of an MLflow server and not of a proxy's sign-in page",
    )


def error_of(status: int, headers: Mapping[str, str], text: str, registry: str, operation: str) -> FedregError:
    """The domain's error for an answer that is none of 2xx."""
    code, message = _code_and_message(text)
    kind = _BY_CODE.get(code) or _BY_STATUS.get(status) or RegistryError
    if code == "INVALID_PARAMETER_VALUE" and _MISSING_ALIAS.search(message):  # 400, though it is a 404 in meaning
        kind = NotFound
    return kind(
        message or f"status {status}: {_excerpt(text)}",
        registry=registry,
        operation=operation,
        outcome=Outcome.UNKNOWN if status in _MAY_HAVE_HAPPENED else Outcome.NOT_APPLIED,
        upstream_code=code or str(status),
        request_id=headers.get("X-Request-Id"),
        retry_after=_retry_after(headers.get("Retry-After")),
        cure=_cure(status, text, headers),
    )


def _code_and_message(text: str) -> tuple[str, str]:
    try:
        found = json.loads(text)
    except ValueError:
        return "", ""
    if not isinstance(found, dict):
        return "", ""
    return str(found.get("error_code") or ""), str(found.get("message") or found.get("detail") or "")


def _cure(status: int, text: str, headers: Mapping[str, str]) -> str | None:
    if status == 403 and "Host header" in text:
        return "start the server with --allowed-hosts naming the host of url"
    if status == 401:
        return "correct or renew token, or username and password"
    if status == 403:
        return "give the user more permissions on the model or its experiment: READ, EDIT or MANAGE"
    if 300 <= status < 400:
        return f"the server redirects to {headers.get('Location', 'nowhere')!r}: set url to the final address"
    return None


def _retry_after(text: str | None) -> float | None:
    if text is None:
        return None
    if text.strip().isdigit():
        return float(text)
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (at - datetime.now(UTC)).total_seconds()) if at.tzinfo else None


def _excerpt(text: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", text).split())[:160]


def _pairs(query: Query) -> list[tuple[str, str]]:
    return list(query.items() if isinstance(query, Mapping) else query)


def _endpoint(options: MlflowOptions, concurrency: int) -> Endpoint:
    return Endpoint(
        url=options.url,
        token=options.token or None,
        username=options.username or None,
        password=options.password,
        client_cert=options.client_cert,
        client_key=options.client_key,
        ca_bundle=options.ca_bundle,
        verify=options.verify,
        concurrency=concurrency,
    )
