"""The guard around every vendor request: pace, slots, deadline, retry, circuit breaker and metrics."""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, TypeVar, cast

from aiolimiter import AsyncLimiter
from tenacity import RetryCallState, retry_if_exception, wait_random_exponential
from tenacity.asyncio import AsyncRetrying

from fedreg.domain.calls import Effect
from fedreg.domain.errors import FedregError, Outcome, RegistryError, RegistryTimeout, RegistryUnavailable
from fedreg.domain.models import OpenAt
from fedreg.registries.circuit import Circuit
from fedreg.registries.metrics import CallMetrics
from fedreg.registries.policy import CallPolicy

log = logging.getLogger(__name__)
Result = TypeVar("Result")
Sleep = Callable[[float], Awaitable[None]]
Permit = Callable[[], Awaitable[None]]
DEFAULT_CONCURRENCY = 8


class GuardedCalls:
    """`Calls` for one registry.

    An attempt takes a slot, waits for its turn, passes the circuit, and runs under its deadline; retries give
    the slot back while they wait. An error leaves with `registry` and `operation` filled in. Anything but the
    domain's errors becomes a RegistryError whose text holds the exception's type only: an SDK's message may
    quote credentials. Cancellation passes through. `permit` is awaited right before each attempt of a write, and
    raises where this process may not write any more. `sleep` waits between attempts.
    """

    def __init__(
        self,
        registry: str,
        policy: CallPolicy | None = None,
        *,
        metrics: CallMetrics | None = None,
        permit: Permit | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.registry = registry
        self.policy = policy = policy or CallPolicy()
        self._metrics = (metrics or CallMetrics()).of(registry)
        self._circuit = Circuit(registry, policy.breaker_threshold, policy.breaker_ttl, self._metrics.circuit)
        self._slots = asyncio.Semaphore(policy.concurrency or DEFAULT_CONCURRENCY)
        self._stream_slots = asyncio.Semaphore(policy.streams)
        self._limiter = _limiter(policy.rate)
        self._backoff = wait_random_exponential(multiplier=policy.backoff, max=policy.backoff_max)
        self._permit = permit
        self._sleep = sleep

    async def run(
        self,
        operation: str,
        request: Callable[[], Awaitable[Result]],
        *,
        effect: Effect = Effect.READ,
        deadline: float | None = None,
    ) -> Result:
        """Run one vendor request; see `fedreg.domain.calls.Calls`."""
        seconds = self.policy.deadline if deadline is None else deadline

        async def attempt() -> Result:
            async with self._slots:
                return await self._attempt(operation, request, effect, seconds)

        return await self._repeat(operation, attempt, effect)

    async def stream(self, operation: str, open_at: OpenAt, *, offset: int = 0) -> AsyncIterator[bytes]:
        """Read a byte stream; see `fedreg.domain.calls.Calls`. Every chunk renews the retry budget."""
        reader = _Reader(open_at, offset)

        async def attempt() -> bytes | None:
            if reader.source is not None:
                return await self._next_chunk(operation, reader)
            return await self._attempt(operation, reader.first, Effect.READ, self.policy.idle_deadline)

        async def close() -> None:
            await self._guard(operation, reader.aclose, Effect.READ, self.policy.idle_deadline)

        async with self._stream_slots, aclosing(reader):
            while True:
                chunk = await self._repeat(operation, attempt, Effect.READ, before=close)
                if chunk is None:
                    return
                yield chunk

    async def _attempt(
        self, operation: str, request: Callable[[], Awaitable[Result]], effect: Effect, deadline: float
    ) -> Result:
        """One counted attempt."""
        if self._limiter is not None:
            await self._limiter.acquire()
        if self._permit is not None and effect is not Effect.READ:
            await self._permit()
        probe = self._enter(operation)
        metrics, outcome, started = self._metrics, "cancelled", time.perf_counter()
        metrics.in_flight.inc()
        try:
            result = await self._guard(operation, request, effect, deadline)
            outcome = "ok"
            self._circuit.succeed()
            return result
        except FedregError as error:
            outcome = error.code
            self._judge(error)
            raise
        finally:
            metrics.in_flight.dec()
            metrics.attempt(operation, outcome, time.perf_counter() - started)
            if probe:
                self._circuit.leave_probe()

    async def _next_chunk(self, operation: str, reader: _Reader) -> bytes | None:
        """A later chunk of an open stream: not a request of its own, so neither paced nor counted."""
        try:
            return await self._guard(operation, reader.next, Effect.READ, self.policy.idle_deadline)
        except FedregError as error:
            self._judge(error)
            raise

    async def _guard(
        self, operation: str, request: Callable[[], Awaitable[Result]], effect: Effect, deadline: float
    ) -> Result:
        """The deadline and the translation of errors."""
        try:
            async with asyncio.timeout(deadline):
                return await request()
        except FedregError as error:
            error.registry = error.registry or self.registry
            error.operation = error.operation or operation
            raise
        except TimeoutError as error:
            raise RegistryTimeout(
                f"registry {self.registry!r} did not answer {operation!r} in time (deadline {deadline:g} s)",
                registry=self.registry,
                operation=operation,
                outcome=_outcome(effect),
                cure="try again, or raise the deadlines in the `calls` section of this registry",
            ) from error
        except Exception as error:
            # frames only: the message may hold what the error below leaves out
            frames = "".join(traceback.format_tb(error.__traceback__))
            log.error("registry %r: %r failed with %s\n%s", self.registry, operation, type(error).__name__, frames)
            raise RegistryError(
                f"registry {self.registry!r}: {operation!r} failed with an unexpected {type(error).__name__}",
                registry=self.registry,
                operation=operation,
                outcome=_outcome(effect),
                cure="this is a defect of the adapter; the log shows where",
            ) from error

    async def _repeat(
        self,
        operation: str,
        attempt: Callable[[], Awaitable[Result]],
        effect: Effect,
        before: Callable[[], Awaitable[None]] | None = None,
    ) -> Result:
        """Attempt, and again where that is safe. `before` runs ahead of each repetition.

        The first attempt goes without tenacity, which costs more than all the rest together; it joins when
        that attempt failed, counting it as the first.
        """
        started = time.monotonic()
        try:
            return await attempt()
        except FedregError as error:
            if not self._may_repeat(error, effect):
                raise
            failed: FedregError | None = error

        async def again() -> Result:
            nonlocal failed
            if failed is not None:
                first, failed = failed, None
                raise first
            self._metrics.retry(operation)
            if before is not None:
                await before()
            return await attempt()

        def spent(state: RetryCallState) -> bool:
            elapsed = time.monotonic() - started + state.upcoming_sleep
            return state.attempt_number >= self.policy.max_attempts or elapsed > self.policy.max_elapsed

        retrying = AsyncRetrying(
            stop=spent,
            wait=self._wait,
            retry=retry_if_exception(lambda error: self._may_repeat(error, effect)),
            sleep=self._sleep,
            reraise=True,
        )
        # tenacity's annotation loses the result's type
        return cast(Result, await retrying(again))

    def _enter(self, operation: str) -> bool:
        try:
            return self._circuit.enter()
        except RegistryUnavailable as error:
            error.operation = operation
            self._metrics.attempt(operation, "circuit_open", 0.0)
            raise

    def _judge(self, error: FedregError) -> None:
        """Only silence counts against a registry: one that says NotFound is well.

        An error of another registry (the source of an upload) says nothing about this one.
        """
        if error.registry != self.registry:
            return
        if isinstance(error, RegistryUnavailable | RegistryTimeout):
            self._circuit.fail(error)
        else:
            self._circuit.succeed()

    def _may_repeat(self, error: BaseException, effect: Effect) -> bool:
        """Reads and idempotent writes after any retryable error, writes if known not to have happened.

        Nothing while the circuit is open: waiting for it is the caller's choice. Nothing that another registry
        raised: its own guard has repeated it already.
        """
        if not isinstance(error, FedregError) or not error.retryable or error.registry != self.registry:
            return False
        if not self._circuit.is_closed:
            return False
        return effect is not Effect.WRITE or error.outcome is Outcome.NOT_APPLIED

    def _wait(self, state: RetryCallState) -> float:
        """Exponential with full jitter; never shorter than the registry asked for."""
        error = state.outcome.exception() if state.outcome is not None else None
        asked = error.retry_after if isinstance(error, FedregError) else None
        return max(self._backoff(state), asked or 0.0)


class _Reader:
    """A stream that can be opened again where it stopped."""

    def __init__(self, open_at: OpenAt, offset: int) -> None:
        self.source: AsyncIterator[bytes] | None = None
        self._open_at = open_at
        self._position = offset

    async def first(self) -> bytes | None:
        self.source = self._open_at(self._position)
        return await self.next()

    async def next(self) -> bytes | None:
        """The next chunk; None at the end."""
        if self.source is None:
            return await self.first()
        async for chunk in self.source:
            self._position += len(chunk)
            return chunk
        return None

    async def aclose(self) -> None:
        """Close the source, so that its connection is free at once. It may be opened again."""
        source, self.source = self.source, None
        close: Any = getattr(source, "aclose", None)
        if close is not None:
            await close()


def _outcome(effect: Effect) -> Outcome:
    """What is known after silence: a read changes nothing, a write may have happened."""
    return Outcome.NOT_APPLIED if effect is Effect.READ else Outcome.UNKNOWN


def _limiter(rate: float | None) -> AsyncLimiter | None:
    """A bucket of one second's worth, of at least one request: aiolimiter refuses a bucket below one."""
    if rate is None:
        return None
    size = max(rate, 1.0)
    return AsyncLimiter(size, size / rate)
