"""The guard around every vendor request, as adapters see it. The loader injects the real one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from enum import StrEnum
from typing import Protocol, TypeVar

from fedreg.domain.models import OpenAt

Result = TypeVar("Result")


class Effect(StrEnum):
    """What repeating a request does.

    - `read`: nothing; repeated after any retryable error.
    - `idempotent`: the same as once (a PUT of the same value, a create with a client token); repeated likewise.
    - `write`: maybe a second effect; repeated only after errors whose outcome is `not_applied`.
    """

    READ = "read"
    IDEMPOTENT = "idempotent"
    WRITE = "write"


class Calls(Protocol):
    """Rate, concurrency, deadline, retry, circuit breaker and metrics around vendor requests.

    The request must raise the domain's errors only: their `retryable`, `outcome` and `retry_after` decide.
    A deadline that passes raises RegistryTimeout (outcome `unknown` for writes). Where the caller's request
    can't be cancelled (a blocking SDK), the SDK's own time limits must be shorter than the deadline.
    """

    async def run(
        self,
        operation: str,
        request: Callable[[], Awaitable[Result]],
        *,
        effect: Effect = Effect.READ,
        deadline: float | None = None,
    ) -> Result:
        """Run one vendor request. `deadline` in seconds per attempt; None means the registry's default."""
        ...

    def stream(self, operation: str, open_at: OpenAt, *, offset: int = 0) -> AsyncIterator[bytes]:
        """Read a byte stream under an idle deadline; after a retryable failure it is opened again where it stopped."""
        ...
