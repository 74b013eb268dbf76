"""The port of the durable engine: what a workflow sees (`Context`) and what its callers see (`Engine`).

A workflow is an async function `workflow(ctx, args)` of JSON values. After a crash it runs again from its first
line, and each step that had finished returns its stored result instead of running. So a workflow's own code must
ask for the same steps in the same order given the same results: clocks, random numbers, live state and I/O belong
inside steps, or in `Context.run` where the work leaves a record of its own. A step runs *at least once*: a kill
between its effect and its checkpoint repeats it, so every effect is compared before it is written.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol

from fedreg.domain.errors import EngineClosed, FedregError

__all__ = ["Context", "Engine", "EngineClosed", "Json", "State", "Status", "StepFunction", "Workflow"]

Json = Any
"""A JSON value: None, bool, int, float, str, list, or dict with string keys."""

StepFunction = Callable[[], Awaitable[Json]]
Workflow = Callable[["Context", dict[str, Json]], Awaitable[Json]]


class State(StrEnum):
    """Where a workflow is. `pending` waits for its turn, be it the first or after a resume."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def finished(self) -> bool:
        return self in (State.SUCCEEDED, State.FAILED, State.CANCELLED)


@dataclass(frozen=True, slots=True)
class Status:
    """A workflow as its callers see it. `error` is set when failed; `progress` is None after a restart until the
    workflow reports again, and for a workflow run by another process. Times are aware, UTC."""

    id: str
    name: str
    state: State
    error: FedregError | None
    created_at: datetime
    updated_at: datetime
    progress: Mapping[str, Json] | None


class Context(Protocol):
    """What a running workflow may ask of the engine. Valid only while that workflow runs."""

    @property
    def id(self) -> str: ...

    def step(self, name: str, fn: StepFunction, *, retries: int = 0, preemptible: bool = True) -> Awaitable[Json]:
        """Run `fn` at least once and keep its result.

        The step takes its number when this is *called*, not when it is awaited, so `asyncio.gather(ctx.step(…),
        ctx.step(…))` replays safely. A replay finding another name under that number fails. The result comes
        back as JSON values, on the first run as on a replay.

        `retries` repeats `fn` after an error that is `retryable` with outcome `not_applied`, after `retry_after`
        or with backoff. A preemptible step is cancelled (asyncio.CancelledError, nothing kept) within about a
        second of its workflow's cancellation; another one runs to its end first. Domain errors are kept and raised
        again on a replay; any other exception becomes a FedregError naming its type. Not callable within a step.
        """
        ...

    async def run(self, name: str, fn: StepFunction, *, retries: int = 0) -> Json:
        """As `step`, but nothing is kept: `fn` runs again whenever its workflow does, and is never preempted.

        For work that keeps a record of its own and gives the same result, or error, once that says it is done:
        a checkpoint is two commits more.
        """
        ...

    async def step_many(
        self,
        steps: Sequence[tuple[str, StepFunction]],
        *,
        concurrency: int,
        retries: int = 0,
        return_errors: bool = False,
    ) -> list[Json]:
        """Run steps, at most `concurrency` at a time; results in the order given, each kept as it finishes.

        Safe to replay: all steps are numbered before the first starts. After an error no further step starts,
        those running end, the rest are kept as skipped, and the first error in order is raised. With
        `return_errors` all run, and an error stands in its step's place.
        """
        ...

    def child(self, name: str, key: str, args: Mapping[str, Json]) -> StepFunction:
        """A step function that starts workflow `name` as `{id}/{key}` and returns its result, or raises its error.

        Pass it to `step` or `step_many`: a parent that resumes finds its children as they are. `key` holds no "/".
        Cancelling or resuming the parent does the same to its children.
        """
        ...

    def set_progress(self, progress: Mapping[str, Json]) -> None:
        """Replace the progress `Engine.status` shows. In memory, cheap, callable within steps; not a step itself."""
        ...


class Engine(Protocol):
    """Runs registered workflows to their end, over crashes and restarts. Callable within steps, too."""

    def register(self, name: str, workflow: Workflow) -> None:
        """Make `workflow` known; before `launch` only. ValueError if the name is taken or it is too late."""
        ...

    async def launch(self) -> None:
        """Start within the running loop, on which all workflows will run, and resume what a dead process of the
        same executor left unfinished; what an older release left, whose steps were others, begins anew. Conflict if
        this process has an engine already; ConfigError if the database can't be opened."""
        ...

    async def aclose(self) -> None:
        """Stop at once, leaving unfinished workflows for the next launch. Close it before what the steps use."""
        ...

    async def start(self, name: str, workflow_id: str, args: Mapping[str, Json]) -> None:
        """Start a workflow, returning when it is durably accepted. An id known already is left as it is (its first
        args count). InvalidRequest if the id is empty or holds "/"; Conflict if it belongs to another name;
        NotFound if the name is not registered; EngineClosed."""
        ...

    async def wait(self, workflow_id: str) -> Json:
        """The workflow's result when it has finished. Raises its error; Cancelled; NotFound; EngineClosed."""
        ...

    async def status(self, workflow_id: str) -> Status:
        """NotFound if there is none, or retention removed it."""
        ...

    async def list_workflows(
        self,
        *,
        name: str | None = None,
        states: Sequence[State] = (),
        id_prefix: str | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> list[Status]:
        """Workflows, newest first, children (ids with "/") among them."""
        ...

    async def cancel(self, workflow_id: str) -> None:
        """Stop a workflow and its children at their next step. Cancelled already: nothing. NotFound; Conflict if it
        has succeeded or failed."""
        ...

    async def resume(self, workflow_id: str) -> None:
        """Go on with a cancelled workflow, or with a failed one from its first failed step (that step and those
        numbered after it run again), its children included. NotFound; Conflict if it is under way or succeeded."""
        ...

    async def adopt(self, executor_id: str) -> Sequence[str]:
        """Take over what a dead replica left unfinished; ids. Only for an executor known to be dead."""
        ...

    async def delete_finished(self, older_than: timedelta) -> int:
        """Forget workflows that finished longer ago, unless the workflow they belong to is unfinished. How many."""
        ...
