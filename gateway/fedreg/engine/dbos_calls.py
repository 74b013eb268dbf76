"""DBOS calls on stored workflows: trees of parents and children, resuming, taking over, older versions, retention.

A child's id is its parent's, "/", and a key; so a tree is a prefix.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from dbos import DBOS
from sqlalchemy.exc import OperationalError

from fedreg.domain.errors import NotFound, StoreError
from fedreg.engine.port import Json, State

_T = TypeVar("_T")
_log = logging.getLogger(__name__)

# Raise it when a workflow changes so that unfinished ones can't be replayed: those of another version begin anew.
# 1: release 0.1.0. 2: a change is one step, a copy has a step more. 3: a change has none, a promotion none to settle.
APPLICATION_VERSION = "3"

STATES = {
    "ENQUEUED": State.PENDING,
    "DELAYED": State.PENDING,
    "PENDING": State.RUNNING,
    "SUCCESS": State.SUCCEEDED,
    "ERROR": State.FAILED,
    "MAX_RECOVERY_ATTEMPTS_EXCEEDED": State.FAILED,
    "CANCELLED": State.CANCELLED,
}
FINISHED = [raw for raw, state in STATES.items() if state.finished]
UNFINISHED = [raw for raw, state in STATES.items() if not state.finished]
STOPPED = [raw for raw, state in STATES.items() if state in (State.CANCELLED, State.FAILED)]

Start = Callable[[str, str, Mapping[str, Json]], Awaitable[None]]

# SQLite refuses statements with more values than some thousands.
_BATCH = 500


async def apart(call: Coroutine[Any, Any, _T]) -> _T:
    """Run a DBOS call outside any workflow's context, where it would take a step number.

    Raises StoreError where its database can't work, as with a full disk.
    """
    try:
        return await asyncio.create_task(call, context=contextvars.Context())
    except OperationalError as error:
        raise StoreError(f"the durable engine's database could not do its work: {error.orig}") from error


async def list_ids(states: Sequence[str], prefix: str | None = None, **conditions: Any) -> list[str]:
    rows = await apart(
        DBOS.list_workflows_async(
            workflow_id_prefix=prefix, status=list(states), load_input=False, load_output=False, **conditions
        )
    )
    return [row.workflow_id for row in rows]


async def cancel_tree(workflow_id: str) -> None:
    """The parent first: it then starts no further child."""
    await apart(DBOS.cancel_workflow_async(workflow_id))
    children = await list_ids(UNFINISHED, f"{workflow_id}/")
    if children:
        await apart(DBOS.cancel_workflows_async(children))


async def resume_tree(workflow_id: str) -> None:
    """The children first: the parent then waits for them instead of meeting their old failure."""
    for stopped in [*await list_ids(STOPPED, f"{workflow_id}/"), workflow_id]:
        row = await apart(DBOS.get_workflow_status_async(stopped))
        if row is not None and row.app_version != APPLICATION_VERSION:
            anew = DBOS.rewind_workflow_async(stopped, start_step=1, application_version=APPLICATION_VERSION)
            await apart(anew)
        elif row is not None and row.status == "ERROR":
            await _rewind(stopped)
        else:
            await apart(DBOS.resume_workflow_async(stopped))


async def _rewind(workflow_id: str) -> None:
    """DBOS resumes no workflow that ended in an error; rewinding drops its first failed step and those after it."""
    steps = await apart(DBOS.list_workflow_steps_async(workflow_id))
    failed = [step["function_id"] for step in steps if step["error"] is not None]
    first = min(failed) if failed else 1 + max((step["function_id"] for step in steps), default=0)
    await apart(DBOS.rewind_workflow_async(workflow_id, start_step=first))


async def adopt(executor_id: str, start: Start) -> list[str]:
    anew = await begin_anew(executor_id, start)
    orphans = await list_ids(["PENDING"], executor_id=executor_id)
    if orphans:
        await apart(DBOS.resume_workflows_async(orphans))
    return anew + orphans


async def begin_anew(executor_id: str, start: Start) -> list[str]:
    """Let an executor's unfinished workflows of another version run from their first line, as `start` runs them.

    Their checkpoints are of other steps than today's. Effects are compared before they are written, so none is made
    twice. Children go as well: their parent starts them. Killed in between, the intent is left without a workflow.
    """
    rows = await apart(DBOS.list_workflows_async(status=UNFINISHED, executor_id=executor_id, load_output=False))
    stale = {row.workflow_id: row for row in rows if row.app_version != APPLICATION_VERSION}
    parents = [row for workflow_id, row in stale.items() if workflow_id.rpartition("/")[0] not in stale]
    for row in parents:
        children = [one for one in stale if one.startswith(f"{row.workflow_id}/")]
        await apart(DBOS.delete_workflows_async([row.workflow_id, *children]))
        _log.info("workflow %s of version %s begins anew", row.workflow_id, row.app_version)
        with suppress(NotFound):  # renamed since: its intent is there, and knows the new name
            await start(row.name, row.workflow_id, row.input["args"][0] if row.input else {})
    return [row.workflow_id for row in parents]


async def delete_finished(older_than: timedelta) -> int:
    before = (datetime.now(UTC) - older_than).isoformat()
    old = await list_ids(FINISHED, completed_before=before)
    busy = {_root(workflow_id) for workflow_id in await list_ids(UNFINISHED)}
    doomed = [workflow_id for workflow_id in old if _root(workflow_id) not in busy]
    for at in range(0, len(doomed), _BATCH):
        await apart(DBOS.delete_workflows_async(doomed[at : at + _BATCH]))
    return len(doomed)


def to_time(milliseconds: int | None) -> datetime:
    return datetime.fromtimestamp((milliseconds or 0) / 1000, UTC)


def _root(workflow_id: str) -> str:
    return workflow_id.split("/", 1)[0]
