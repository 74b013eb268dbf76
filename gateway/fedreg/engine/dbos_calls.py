"""DBOS calls on stored workflows: trees of parents and children, resuming, taking over, retention.

A child's id is its parent's, "/", and a key; so a tree is a prefix.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from dbos import DBOS
from sqlalchemy.exc import OperationalError

from fedreg.domain.errors import StoreError
from fedreg.engine.port import State

_T = TypeVar("_T")

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
        if row is not None and row.status == "ERROR":
            await _rewind(stopped)
        else:
            await apart(DBOS.resume_workflow_async(stopped))


async def _rewind(workflow_id: str) -> None:
    """DBOS resumes no workflow that ended in an error; rewinding drops its first failed step and those after it."""
    steps = await apart(DBOS.list_workflow_steps_async(workflow_id))
    failed = [step["function_id"] for step in steps if step["error"] is not None]
    first = min(failed) if failed else 1 + max((step["function_id"] for step in steps), default=0)
    await apart(DBOS.rewind_workflow_async(workflow_id, start_step=first))


async def adopt(executor_id: str) -> list[str]:
    orphans = await list_ids(["PENDING"], executor_id=executor_id)
    if orphans:
        await apart(DBOS.resume_workflows_async(orphans))
    return orphans


async def delete_finished(older_than: timedelta) -> int:
    before = (datetime.now(UTC) - older_than).isoformat()
    old = await list_ids(FINISHED, completed_before=before)
    busy = {_root(workflow_id) for workflow_id in await list_ids(UNFINISHED)}
    doomed = [workflow_id for workflow_id in old if _root(workflow_id) not in busy]
    for at in range(0, len(doomed), _BATCH):
        await apart(DBOS.delete_workflows_async(doomed[at : at + _BATCH]))
    return len(doomed)


def _root(workflow_id: str) -> str:
    return workflow_id.split("/", 1)[0]
