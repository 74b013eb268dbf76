"""Calls of the in-process vendor, with its errors turned into the domain's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from fedreg.domain.calls import Calls, Effect
from fedreg.domain.errors import (
    AlreadyExists,
    Conflict,
    FedregError,
    InvalidRequest,
    NotFound,
    Outcome,
    PreconditionFailed,
    RateLimited,
    RegistryAuthError,
    RegistryError,
    RegistryUnavailable,
)
from fedreg.domain.models import OpenAt
from fedreg_adapters.memory.manifest import NAMES
from fedreg_adapters.memory.standin import ConnectionLost, VendorError, open_space

Json = dict[str, Any]

# Every code the vendor has. None of these calls was carried out.
ERRORS: dict[str, tuple[type[FedregError], str]] = {
    "no-such": (NotFound, "it does not exist"),
    "taken": (AlreadyExists, "it exists already"),
    "bad-input": (InvalidRequest, "the registry refuses a value"),
    "not-empty": (Conflict, "it still has versions"),
    "full": (Conflict, "the registry is full"),
    "moved-on": (PreconditionFailed, "it has changed since it was read"),
    "busy": (RateLimited, "the registry asks to slow down"),
    "down": (RegistryUnavailable, "the registry says it is down"),
    "expired": (RegistryAuthError, "the credentials have expired"),
    "not-allowed": (RegistryAuthError, "the credentials do not permit it"),
}
CURES = {"not-empty": "delete them first", "full": "delete what is not needed there"}
QUOTED = {"no-such", "taken", "bad-input", *CURES}  # the texts of others may repeat credentials or whole pages


class Vendor(Protocol):
    """The vendor as this client uses it."""

    async def call(self, name: str, /, **given: Any) -> Any: ...

    async def put_blob(self, upload: str, path: str, chunks: AsyncIterator[bytes]) -> Json: ...

    def get_blob(self, where: str | tuple[str, int], path: str, offset: int) -> AsyncIterator[bytes]: ...


class Client:
    """Vendor requests, each through `Calls` under the effect that its repetition has."""

    def __init__(self, registry: str, space: str, calls: Calls) -> None:
        self.registry = registry
        self._calls = calls
        self._vendor: Vendor = open_space(space)

    async def ask(self, operation: str, call: str, model: str | None = None, **given: Any) -> Json:
        """Read."""
        return await self._request(Effect.READ, operation, call, model, given)

    async def put(self, operation: str, call: str, model: str | None = None, **given: Any) -> Json:
        """Write what is the same done twice."""
        return await self._request(Effect.IDEMPOTENT, operation, call, model, given)

    async def tell(self, operation: str, call: str, model: str | None = None, **given: Any) -> Json:
        """Write what must not be done twice."""
        return await self._request(Effect.WRITE, operation, call, model, given)

    async def put_blob(self, upload: str, path: str, open_at: OpenAt) -> Json:
        """Upload a file; each attempt opens its source again."""

        async def request() -> Json:
            with self._translated(f"file {path!r}"):
                return await self._vendor.put_blob(upload, path, open_at(0))

        return await self._calls.run("put_file", request, effect=Effect.IDEMPOTENT)

    def get_blob(self, where: str | tuple[str, int], path: str, offset: int) -> AsyncIterator[bytes]:
        """The bytes of a file from `offset`; opened again where it breaks off."""

        async def open_at(position: int) -> AsyncIterator[bytes]:
            with self._translated(f"file {path!r}"):
                async for chunk in self._vendor.get_blob(where, path, position):
                    yield chunk

        return self._calls.stream("open_file", open_at, offset=offset)

    def next_token(self, operation: str, token: str, following: str | None) -> str | None:
        """The token of the next page. RegistryError where it is this page's: it would never end."""
        if following == token:
            text = f"the registry gave page token {token!r} twice"
            raise RegistryError(text, registry=self.registry, operation=operation)
        return following

    async def _request(self, effect: Effect, operation: str, call: str, model: str | None, given: Json) -> Json:
        about = f"model {model!r}" if model is not None else "the registry"
        if "number" in given:
            about = f"version '{given['number']}' of {about}"
        named = {"name": NAMES.encode(model)} if model is not None else {}

        async def request() -> Json:
            with self._translated(about):
                answer = await self._vendor.call(call, **named, **given)
            if not isinstance(answer, dict):
                raise self._error(RegistryError, about, "the answer is not what this registry sends: is there a proxy?")
            return answer

        return await self._calls.run(operation, request, effect=effect)

    @contextmanager
    def _translated(self, about: str) -> Iterator[None]:
        try:
            yield
        except VendorError as error:
            kind, words = ERRORS.get(error.code, (RegistryError, "the registry answered with an unknown error"))
            text = f"{words} [{error}]" if error.code in QUOTED else words
            raise self._error(
                kind, about, text, upstream_code=error.code, retry_after=error.wait, cure=CURES.get(error.code)
            ) from None
        except ConnectionLost as error:
            lost = "the connection was lost"
            raise self._error(RegistryUnavailable, about, lost, outcome=Outcome.UNKNOWN) from error

    def _error(self, kind: type[FedregError], about: str, text: str, **known: Any) -> FedregError:
        return kind(f"{about}: {text}", registry=self.registry, **known)
