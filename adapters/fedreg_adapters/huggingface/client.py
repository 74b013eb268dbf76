"""Requests to the Hub: the SDK's session, headers and errors, in a bounded pool of threads, one guarded request each.

HfApi's own methods are not used here: most have no time limit, several repeat a request by themselves and sleep in
between, its lists hide where a page ends, and it can't move a branch (docs/decisions/0018-hub-requests.md).
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import httpx2
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
from huggingface_hub.utils import get_session, hf_raise_for_status

from fedreg.domain.calls import Calls, Effect
from fedreg.domain.errors import ConfigError, FedregError, Outcome, RegistryError
from fedreg_adapters.huggingface.errors import from_failure
from fedreg_adapters.huggingface.manifest import HuggingFaceOptions
from fedreg_adapters.shared.threads import Threads

Json = dict[str, Any]
Query = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the Hub answered: the body as text, and the query of the next page where there is one."""

    text: str
    following: Query | None


class Client:
    """One registry's connection. Nothing is requested before the first call."""

    def __init__(self, registry: str, options: HuggingFaceOptions, calls: Calls) -> None:
        self.registry, self.options, self.calls = registry, options, calls
        self.threads = Threads(options.max_threads, name=f"huggingface-{registry}")
        self.endpoint = _address(options.endpoint)
        # not by `build_hf_headers`: it asks huggingface.co, whatever the endpoint, for a list of programs to report
        self.headers = {
            "User-Agent": "fedreg",
            **({"Authorization": f"Bearer {options.token}"} if options.token else {}),
        }

    def repo(self, native: str) -> str:
        """The API's path of a repository of the namespace."""
        return f"/api/models/{self.options.namespace}/{quote(native, safe='')}"

    def own_path(self, address: str) -> str:
        """The path below the endpoint of an address that the Hub gave: behind a mirror it may name another host."""
        path, below = urlsplit(address).path, urlsplit(self.endpoint).path
        return path.removeprefix(below) if path.startswith(f"{below}/") else path

    async def send(
        self,
        operation: str,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Any = None,
        content: bytes | None = None,
        effect: Effect = Effect.READ,
    ) -> Answer:
        """One guarded request. `body` goes as JSON, `content` as NDJSON."""

        async def request() -> Answer:
            return await self.threads.run(self._send, operation, method, path, query, body, content)

        return await self.calls.run(operation, request, effect=effect)

    async def get(self, operation: str, path: str, query: Query | None = None) -> Json:
        """A JSON object. RegistryError where more would follow: it would be read as the whole."""
        answer = await self.send(operation, "GET", path, query=query)
        found = self._read(operation, answer.text)
        if answer.following is not None:
            raise self._odd(operation, "a part of what it should answer whole")
        if not isinstance(found, dict):
            raise self._odd(operation, "no JSON object")
        return found

    async def post(self, operation: str, path: str, body: Any, effect: Effect = Effect.IDEMPOTENT) -> Json:
        """A JSON object for a JSON body."""
        found = self._read(operation, (await self.send(operation, "POST", path, body=body, effect=effect)).text)
        if not isinstance(found, dict):
            raise self._odd(operation, "no JSON object")
        return found

    async def page(self, operation: str, path: str, query: Query) -> tuple[list[Json], Query | None]:
        """One page of a list, and the query of the next. RegistryError where that is this page's: it would not end."""
        answer = await self.send(operation, "GET", path, query=query)
        found = self._read(operation, answer.text)
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            raise self._odd(operation, "no list")
        if answer.following is not None and {**query, **answer.following} == query:
            raise self._odd(operation, "a page that is followed by itself")
        return found, answer.following

    async def pages(self, operation: str, path: str, query: Query) -> AsyncIterator[list[Json]]:
        """Every page of a list."""
        at: Query | None = query
        seen: list[Query] = []
        while at is not None:
            items, following = await self.page(operation, path, at)
            yield items
            seen.append(at)
            at = None if following is None else {**at, **following}
            if at in seen:
                raise self._odd(operation, "a page a second time")

    async def aclose(self) -> None:
        """Let the threads go. The SDK's session belongs to the whole process, and stays."""
        await self.threads.aclose()

    def _send(
        self, operation: str, method: str, path: str, query: Query | None, body: Any, content: bytes | None
    ) -> Answer:
        """Runs in a thread; its time limit is the options', not the deadline's: a thread can't be cancelled."""
        headers = {**self.headers, **({"Content-Type": "application/x-ndjson"} if content is not None else {})}
        try:
            answer = get_session().request(
                method,
                f"{self.endpoint}{path}",
                params=dict(query) if query else None,
                json=body,
                content=content,
                headers=headers,
                timeout=self.options.timeout,
                follow_redirects=False,
            )
            hf_raise_for_status(answer)
        except (HfHubHTTPError, OfflineModeIsEnabled, httpx2.HTTPError, httpx2.InvalidURL, RuntimeError) as error:
            raise from_failure(error, self.registry, operation) from None  # its text has addresses and headers
        if 300 <= answer.status_code < 400:
            place = urlsplit(answer.headers.get("Location", "")).path
            raise RegistryError(
                f"{operation}: the Hub says that this is now at {place!r}",
                registry=self.registry,
                operation=operation,
                upstream_code=str(answer.status_code),
                cure="the repository was renamed, or endpoint is not the Hub's final address",
            )
        link = answer.links.get("next", {}).get("url")
        return Answer(answer.text, None if link is None else dict(parse_qsl(urlsplit(link).query)))

    def _read(self, operation: str, text: str) -> Any:
        try:
            return json.loads(text)
        except ValueError:
            raise self._odd(operation, "no JSON") from None

    def _odd(self, operation: str, what: str) -> FedregError:
        return RegistryError(
            f"{operation}: the Hub answered {what}",
            registry=self.registry,
            operation=operation,
            outcome=Outcome.UNKNOWN,
            cure="check that endpoint is that of a Hub and not of a proxy's sign-in page",
        )


def _address(endpoint: str) -> str:
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise ConfigError("endpoint is no address", cure="give https://host[:port], without credentials")
    return endpoint.rstrip("/")
