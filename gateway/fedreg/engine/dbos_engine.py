"""The engine on DBOS (3.4 and up, below 4): its checkpoints in SQLite or PostgreSQL, our loop, no telemetry.

DBOS is one per process and keeps its settings in globals, so `DbosEngine` holds the process's slot from `launch`
to `aclose`. While launched, DBOS makes its small thread pool the loop's default executor (`asyncio.to_thread`,
name resolution), so blocking work elsewhere needs a pool of its own.
"""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, cast

import sqlalchemy as sa
from dbos import DBOS, SetWorkflowID, WorkflowHandleAsync, WorkflowStatus, error
from dbos import _dbos as dbos_globals
from dbos._utils import INTERNAL_QUEUE_NAME
from sqlalchemy.exc import SQLAlchemyError

from fedreg.domain.errors import Cancelled, ConfigError, Conflict, FedregError, InvalidRequest, NotFound
from fedreg.engine import dbos_calls as calls
from fedreg.engine.dbos_calls import STATES, apart, to_time
from fedreg.engine.dbos_context import DbosContext
from fedreg.engine.dbos_database import open_database
from fedreg.engine.port import EngineClosed, Json, State, Status, Workflow
from fedreg.engine.serialization import JsonSerializer, to_error, to_json

_log = logging.getLogger(__name__)

# Each kill costs a workflow one attempt; beyond these it is given up, so that a poisonous one ends.
MAX_RECOVERY_ATTEMPTS = 1000
# How often DBOS looks for recovered and resumed workflows; its own second is felt at every start after a kill.
_RESUME_POLL_SECONDS = 0.5
# How often a wait asks the database about a workflow that this process did not start itself.
_WAIT_POLL_SECONDS = 0.1
_CLOSE_SECONDS = 5.0
_PROGRESS_KEPT = 1024

# Said by DBOS of every failed, cancelled or interrupted workflow and launch; our errors say it better.
_ROUTINE = re.compile(
    r"Exception encountered in asynchronous|Asyncio task cancelled|Workflow \S+ (was cancelled|is no)|DBOS failed"
)

_no_console = logging.NullHandler()
_slot = threading.Lock()


class DbosEngine:
    """Implements `port.Engine`.

    `url` is `sqlite:///path` or `postgresql://…`, where `schema` has its tables. `executor_id` names the owner of the
    workflows: the same at every start for a store with one owner, unique per replica otherwise. `threads` bounds
    database work (2 to 8).
    """

    def __init__(self, url: str, *, executor_id: str = "local", threads: int = 4, schema: str = "dbos") -> None:
        self._url, self._schema = url, schema
        self._executor_id = executor_id
        self._threads = threads
        self._workflows: dict[str, Workflow] = {}
        self._launchers: dict[str, Any] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._handles: dict[str, WorkflowHandleAsync[Any]] = {}
        self._progress: OrderedDict[str, Mapping[str, Json]] = OrderedDict()
        self._database: sa.Engine | None = None
        self._open = False
        self._closed = asyncio.Event()  # made anew by each launch, for its loop

    def register(self, name: str, workflow: Workflow) -> None:
        if self._open:
            raise ValueError(f"workflow {name!r} registered after launch; register all workflows before it")
        if name in self._workflows:
            raise ValueError(f"workflow {name!r} is registered already; choose another name")
        self._workflows[name] = workflow

    async def launch(self) -> None:
        if _foreign_dbos() or not _slot.acquire(blocking=False):
            raise Conflict(
                "this process runs a durable engine already", cure="close the first one, or use another process"
            )
        try:
            self._launch()
        except BaseException as reason:
            DBOS.destroy(destroy_registry=True)
            self._release()
            if isinstance(reason, (SQLAlchemyError, error.DBOSException)):
                cause = getattr(reason, "orig", None) or reason
                place = sa.make_url(self._url).difference_update_query(["password"])
                raise ConfigError(
                    f"the engine's database {place!r} can't be opened: {cause}",
                    cure="check that the place exists, is writable and holds nothing else",
                ) from reason
            raise
        self._closed = asyncio.Event()
        self._open = True
        try:
            await calls.begin_anew(self._executor_id, self._start)
        except BaseException:
            await self.aclose()
            raise

    def _launch(self) -> None:
        # With a handler in place DBOS adds no console handler of its own, and its records go the standard way.
        logger = logging.getLogger("dbos")
        logger.addHandler(_no_console)
        logger.propagate = True
        logger.addFilter(_is_worth_saying)
        self._database = open_database(self._url, self._threads)
        DBOS(
            config={
                "name": "fedreg",
                "system_database_url": self._url,
                "system_database_engine": self._database,
                "dbos_system_schema": self._schema,
                "sys_db_pool_size": self._threads + 4,
                "serializer": JsonSerializer(),
                "application_version": calls.APPLICATION_VERSION,
                "executor_id": self._executor_id,
                "max_executor_threads": self._threads,
                "notification_listener_polling_interval_sec": 0.1,  # bounds how long closing takes
                "enable_otlp": False,
                "log_level": "WARNING",
            }
        )
        registry = cast(Any, dbos_globals)._get_or_create_dbos_registry()
        registry._register_internal_queue(INTERNAL_QUEUE_NAME, polling_interval_sec=_RESUME_POLL_SECONDS)
        for name, workflow in self._workflows.items():
            decorate = DBOS.workflow(name=name, max_recovery_attempts=MAX_RECOVERY_ATTEMPTS)
            self._launchers[name] = decorate(self._runner(workflow))
        DBOS.launch()  # within the running loop: DBOS then runs recovered workflows on it, too

    def _runner(self, workflow: Workflow) -> Any:
        async def run(args: dict[str, Json]) -> Json:
            task = asyncio.current_task()
            workflow_id = DBOS.workflow_id
            assert task is not None and workflow_id is not None
            if not self._open:
                raise asyncio.CancelledError  # dequeued while closing: stays for the next launch
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            ctx = DbosContext(workflow_id, self._run_child, lambda value: self._keep_progress(workflow_id, value))
            try:
                return to_json(await workflow(ctx, args), f"workflow {workflow_id!r}")
            except FedregError:
                raise
            except Exception as reason:
                _log.exception("workflow %s failed unexpectedly", workflow_id)
                raise to_error(reason, workflow_id) from reason

        return run

    async def aclose(self) -> None:
        if not self._open:
            return
        self._open = False
        # Cancelled this way a workflow records nothing, so its row stays pending under our executor id.
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        try:
            if tasks:
                _, late = await asyncio.wait(tasks, timeout=_CLOSE_SECONDS)
                for task in late:
                    _log.warning("a workflow did not stop within %s s: %s", _CLOSE_SECONDS, task.get_name())
        finally:
            self._closed.set()
            await self._destroy()

    async def _destroy(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            with ThreadPoolExecutor(1) as pool:
                await loop.run_in_executor(pool, lambda: DBOS.destroy(destroy_registry=True))
        finally:
            # The loop's default executor was DBOS's, which is shut down now.
            loop.set_default_executor(ThreadPoolExecutor(thread_name_prefix="asyncio"))
            self._release()

    def _release(self) -> None:
        if self._database is not None:
            self._database.dispose()
        self._database = None
        self._launchers.clear()
        self._handles.clear()
        self._progress.clear()
        _slot.release()

    async def start(self, name: str, workflow_id: str, args: Mapping[str, Json]) -> None:
        if not workflow_id or "/" in workflow_id:
            raise InvalidRequest(f"workflow id {workflow_id!r}", cure='give a non-empty id without "/"')
        await self._start(name, workflow_id, args)

    async def _start(self, name: str, workflow_id: str, args: Mapping[str, Json]) -> None:
        self._check_open()
        launcher = self._launchers.get(name)
        if launcher is None:
            raise NotFound(f"workflow {name!r} is not registered", cure=f"one of {', '.join(self._launchers)}")
        given = to_json(dict(args), f"the arguments of workflow {workflow_id!r}")

        async def begin() -> WorkflowHandleAsync[Any]:
            with SetWorkflowID(workflow_id):
                return await DBOS.start_workflow_async(launcher, given)

        try:
            handle = await apart(begin())
        except error.DBOSConflictingWorkflowError as reason:
            raise Conflict(f"workflow {workflow_id!r} exists under another name than {name!r}") from reason
        # Only a handle that runs here has a task; the others ask the database, at a price.
        task: asyncio.Future[Any] | None = getattr(handle, "task", None)
        if task is not None:
            self._handles[workflow_id] = handle
            task.add_done_callback(lambda _: self._handles.pop(workflow_id, None))

    async def wait(self, workflow_id: str) -> Json:
        handle = self._handles.get(workflow_id)
        if handle is None:
            await self.status(workflow_id)
            handle = await apart(_poll(workflow_id))
        result = asyncio.ensure_future(apart(handle.get_result(polling_interval_sec=_WAIT_POLL_SECONDS)))
        closed = asyncio.ensure_future(self._closed.wait())
        try:
            await asyncio.wait({result, closed}, return_when=asyncio.FIRST_COMPLETED)
            if result.done() and not result.cancelled():
                return result.result()
            self._check_open()
            raise EngineClosed(f"workflow {workflow_id!r} was interrupted", cure="it goes on at the next start")
        except error.DBOSAwaitedWorkflowCancelledError as reason:
            raise Cancelled(f"workflow {workflow_id!r} was cancelled") from reason
        except error.DBOSAwaitedWorkflowMaxRecoveryAttemptsExceeded as reason:
            raise _given_up(workflow_id) from reason
        finally:
            result.cancel()
            closed.cancel()

    async def _run_child(self, name: str, workflow_id: str, args: Mapping[str, Json]) -> Json:
        try:
            await self._start(name, workflow_id, args)
            return await self.wait(workflow_id)
        except EngineClosed:
            # The step that runs the child must keep nothing, so that the next launch waits for the child again.
            raise asyncio.CancelledError from None
        except asyncio.CancelledError:
            if self._open:  # so it is the parent that was cancelled
                await calls.cancel_tree(workflow_id)
            raise

    async def status(self, workflow_id: str) -> Status:
        self._check_open()
        row = await apart(DBOS.get_workflow_status_async(workflow_id))
        if row is None:
            raise NotFound(f"workflow {workflow_id!r} does not exist", cure="finished ones are removed after a while")
        return self._status(row)

    async def list_workflows(
        self,
        *,
        name: str | None = None,
        states: Sequence[State] = (),
        id_prefix: str | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> list[Status]:
        self._check_open()
        rows = await apart(
            DBOS.list_workflows_async(
                name=name,
                status=[raw for raw, state in STATES.items() if state in states] or None,
                workflow_id_prefix=id_prefix,
                limit=limit,
                offset=offset,
                sort_desc=True,
                load_input=False,
            )
        )
        return [self._status(row) for row in rows]

    async def cancel(self, workflow_id: str) -> None:
        state = (await self.status(workflow_id)).state
        if state in (State.SUCCEEDED, State.FAILED):
            raise Conflict(f"workflow {workflow_id!r} has {state} and can't be cancelled")
        await calls.cancel_tree(workflow_id)

    async def resume(self, workflow_id: str) -> None:
        state = (await self.status(workflow_id)).state
        if state not in (State.CANCELLED, State.FAILED):
            raise Conflict(f"workflow {workflow_id!r} is {state}; only a cancelled or failed one can be resumed")
        self._handles.pop(workflow_id, None)
        await calls.resume_tree(workflow_id)

    async def adopt(self, executor_id: str) -> Sequence[str]:
        self._check_open()
        if executor_id == self._executor_id:
            raise InvalidRequest(f"executor {executor_id!r} is this process itself")
        return await calls.adopt(executor_id, self._start)

    async def delete_finished(self, older_than: timedelta) -> int:
        self._check_open()
        return await calls.delete_finished(older_than)

    def _status(self, row: WorkflowStatus) -> Status:
        failure = to_error(row.error) if isinstance(row.error, Exception) else None
        if row.status == "MAX_RECOVERY_ATTEMPTS_EXCEEDED":
            failure = _given_up(row.workflow_id)
        return Status(
            id=row.workflow_id,
            name=row.name,
            state=STATES[row.status],
            error=failure,
            created_at=to_time(row.created_at),
            updated_at=to_time(row.updated_at),
            progress=self._progress.get(row.workflow_id),
        )

    def _keep_progress(self, workflow_id: str, value: Mapping[str, Json]) -> None:
        self._progress[workflow_id] = dict(value)
        self._progress.move_to_end(workflow_id)
        if len(self._progress) > _PROGRESS_KEPT:
            self._progress.popitem(last=False)

    def _check_open(self) -> None:
        if not self._open:
            raise EngineClosed("the durable engine is closed", cure="try again when it has started")


async def _poll(workflow_id: str) -> WorkflowHandleAsync[Any]:
    return await DBOS.retrieve_workflow_async(workflow_id, existing_workflow=False)


def _foreign_dbos() -> bool:
    """Whether somebody else's DBOS is there; ours would silently be that one."""
    return cast(Any, dbos_globals)._dbos_global_instance is not None


def _is_worth_saying(record: logging.LogRecord) -> bool:
    return _ROUTINE.match(record.getMessage()) is None


def _given_up(workflow_id: str) -> FedregError:
    return FedregError(
        f"workflow {workflow_id!r} was given up after {MAX_RECOVERY_ATTEMPTS} interrupted attempts",
        cure="resume it when the cause is found",
    )
