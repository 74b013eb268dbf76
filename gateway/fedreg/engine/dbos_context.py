"""What a workflow sees of DBOS: numbered steps, steps in parallel, children, progress."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from dbos import DBOS, StepReservation
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    stop_after_attempt,
    wait_exponential,
    wait_random,
)

from fedreg.domain.errors import Cancelled, FedregError, InvalidRequest, Outcome
from fedreg.engine.port import Json, StepFunction
from fedreg.engine.serialization import to_error, to_json

_backoff = wait_exponential(multiplier=0.5, max=30.0) + wait_random(0, 0.5)


class DbosContext:
    """Implements `port.Context` for one execution of one workflow."""

    def __init__(
        self,
        workflow_id: str,
        run_child: Callable[[str, str, Mapping[str, Json]], Awaitable[Json]],
        progress: Callable[[Mapping[str, Json]], None],
    ) -> None:
        self._id = workflow_id
        self._run_child = run_child
        self._progress = progress

    @property
    def id(self) -> str:
        return self._id

    def step(self, name: str, fn: StepFunction, *, retries: int = 0, preemptible: bool = True) -> Awaitable[Json]:
        # Reserved here, outside any coroutine, so that the order of calls numbers the steps, not the scheduler.
        return _run(DBOS.reserve_step(), name, fn, retries, preemptible)

    async def run(self, name: str, fn: StepFunction, *, retries: int = 0) -> Json:
        return await _attempt(name, fn, retries)

    async def step_many(
        self,
        steps: Sequence[tuple[str, StepFunction]],
        *,
        concurrency: int,
        retries: int = 0,
        return_errors: bool = False,
    ) -> list[Json]:
        if concurrency < 1:
            raise InvalidRequest(f"concurrency is {concurrency}", cure="give 1 or more")
        outcomes: list[Any] = [None] * len(steps)
        reserved = enumerate([(name, fn, DBOS.reserve_step()) for name, fn in steps])
        stop = False

        async def work() -> None:
            nonlocal stop
            for index, (name, fn, reservation) in reserved:
                try:
                    # Skipping is kept too: on a replay nothing may start that had not started before the error.
                    outcomes[index] = await _run(reservation, name, _skip if stop else fn, retries, True)
                except FedregError as error:
                    outcomes[index] = error
                    stop = not return_errors

        await _all([asyncio.create_task(work()) for _ in range(min(concurrency, len(steps)))])
        if not return_errors:
            _raise_first(outcomes)
        return outcomes

    def child(self, name: str, key: str, args: Mapping[str, Json]) -> StepFunction:
        if not key or "/" in key:
            raise InvalidRequest(f"child key {key!r} of workflow {self._id!r}", cure='give a key without "/"')
        return lambda: self._run_child(name, f"{self._id}/{key}", args)

    def set_progress(self, progress: Mapping[str, Json]) -> None:
        self._progress(progress)


async def _run(reservation: StepReservation, name: str, fn: StepFunction, retries: int, preemptible: bool) -> Json:
    async def body() -> Json:
        return await _attempt(name, fn, retries)

    return await reservation.run_async({"name": name, "preemptible": preemptible}, body)


async def _attempt(name: str, fn: StepFunction, retries: int) -> Json:
    """The result as JSON values; any error as one of the domain's."""
    try:
        return to_json(await _retry(fn, retries), f"step {name!r}")
    except FedregError:
        raise
    except Exception as error:
        raise to_error(error, name) from error


async def _retry(fn: StepFunction, retries: int) -> Json:
    """DBOS's own retries would hide the error in one of DBOS's, so they stay off."""
    if not retries:
        return await fn()
    async for attempt in AsyncRetrying(
        stop=stop_after_attempt(retries + 1), retry=retry_if_exception(_may_repeat), wait=_wait, reraise=True
    ):
        with attempt:
            return await fn()
    raise AssertionError("unreachable: the last attempt returns or raises")


def _may_repeat(error: BaseException) -> bool:
    return isinstance(error, FedregError) and error.retryable and error.outcome is Outcome.NOT_APPLIED


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after if isinstance(error, FedregError) else None
    return _backoff(state) if asked is None else asked


async def _skip() -> Json:
    raise Cancelled("not started, because another step failed", details={"skipped": True})


def _raise_first(outcomes: Sequence[Any]) -> None:
    errors = [outcome for outcome in outcomes if isinstance(outcome, FedregError)]
    for error in errors:
        if not error.details.get("skipped"):
            raise error


async def _all(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Await all; if one is torn down (cancellation of the workflow or of the engine) tear down the others."""
    try:
        await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
