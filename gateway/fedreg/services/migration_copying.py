"""Working off a migration's rows: models side by side, the versions of one in their order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any

from fedreg.domain.errors import EngineClosed, NotFound
from fedreg.domain.migrations import ARRIVED, MigratedVersion, RowState
from fedreg.domain.records import ENDED
from fedreg.domain.refs import Ref
from fedreg.engine.port import Context
from fedreg.services.intents import get_intent
from fedreg.services.migration_carry import is_exclusive
from fedreg.services.migration_moves import Movement, move, skipped
from fedreg.store import migration_rows
from fedreg.store.migration_rows import StoredRow

PAGE = 100
REPORT_SECONDS = 0.5
_UNSTARTED = "not started: another version failed; --keep-going goes on after a failure"
_OUT_OF_ORDER = "not started: an earlier version of its model failed, and that one's number would be lost"


async def copy_rows(movement: Movement, ctx: Context) -> None:
    """Settle every row. Interrupted, the next run goes on with those that are not settled.

    The engine's closing is passed on as a cancellation, so that nothing of this run is kept as a result.
    """
    await _load_counts(movement)
    lanes = iter(await movement.gateway.store.read(lambda conn: migration_rows.list_lanes(conn, movement.id)))
    workers = [asyncio.create_task(_work(movement, lanes)) for _ in range(movement.options.jobs)]
    reporter = asyncio.create_task(_report(movement, ctx))
    try:
        await asyncio.gather(*workers)
    except EngineClosed:
        raise asyncio.CancelledError from None
    finally:
        for task in (*workers, reporter):
            task.cancel()
        await asyncio.gather(*workers, reporter, return_exceptions=True)
    await _skip_rest(movement)
    ctx.set_progress(await _progress(movement))


async def _work(movement: Movement, lanes: Iterator[int]) -> None:
    """Take lane after lane. Another migration into the same model waits for the lane's end."""
    for lane in lanes:
        [first] = await _page(movement, lane, 0, 1)
        model = Ref.parse(first.planned.target).model
        async with movement.gateway.locks.hold(f"migration:{movement.target}", model):
            await _work_lane(movement, lane)


async def _work_lane(movement: Movement, lane: int) -> None:
    broken = False  # a version that keeps its number failed: what comes after it would take the number
    async for row in _walk(movement, lane):
        if row.state is not RowState.PLANNED:
            broken = broken or (_numbered(row) and row.state in (RowState.FAILED, RowState.SKIPPED))
            continue
        if await _must_stop(movement):
            return
        if broken and _numbered(row):
            await _settle(movement, skipped(row, _OUT_OF_ORDER))
            continue
        outcome = await move(movement, row, contested=await _is_contested(movement, row))
        broken = broken or (_numbered(row) and outcome.state is RowState.FAILED)
        await _settle(movement, outcome)


async def _walk(movement: Movement, lane: int) -> AsyncIterator[StoredRow]:
    after = 0
    while page := await _page(movement, lane, after, PAGE):
        for row in page:
            yield row
        after = page[-1].sequence


async def _page(movement: Movement, lane: int, after: int, limit: int) -> list[StoredRow]:
    return await movement.gateway.store.read(
        lambda conn: migration_rows.list_lane(conn, movement.id, lane, after, limit)
    )


def _numbered(row: StoredRow) -> bool:
    return row.planned.version is not None and not row.planned.skip


async def _must_stop(movement: Movement) -> bool:
    """Whether no further row may start: the operation was cancelled, or one failed and that counts."""
    if movement.failed and not movement.options.keep_going:
        return True
    return (await get_intent(movement.gateway, movement.id)).state in ENDED


async def _is_contested(movement: Movement, row: StoredRow) -> bool:
    """Whether a later version of the lane is to have the stage of this one."""
    stage = row.planned.stage
    if stage is None:
        return False
    adapter = await movement.gateway.registries.get(movement.target)
    if not is_exclusive(adapter.capabilities, stage):
        return False
    return await movement.gateway.store.read(
        lambda conn: migration_rows.has_later_stage(conn, movement.id, row.lane, row.sequence, stage)
    )


async def _settle(movement: Movement, outcome: MigratedVersion) -> None:
    await movement.gateway.store.write(lambda tx: migration_rows.settle(tx, movement.id, outcome))
    movement.settled += 1
    movement.failed += outcome.state is RowState.FAILED


async def _skip_rest(movement: Movement) -> None:
    """Rows that were never started, each with the reason."""
    for lane in await movement.gateway.store.read(lambda conn: migration_rows.list_lanes(conn, movement.id)):
        async for row in _walk(movement, lane):
            if row.state is RowState.PLANNED:
                await _settle(movement, skipped(row, _UNSTARTED))


# -- progress ------------------------------------------------------------------------------------------


async def _load_counts(movement: Movement) -> None:
    """What earlier runs of this operation have done."""

    def count(conn: Any) -> None:
        states = migration_rows.count_states(conn, movement.id)
        movement.versions = sum(states.values())
        movement.settled = movement.versions - states.get(RowState.PLANNED, 0)
        movement.failed = states.get(RowState.FAILED, 0)
        movement.bytes = migration_rows.sum_planned_bytes(conn, movement.id)
        movement.bytes_done = migration_rows.sum_bytes(conn, movement.id, ARRIVED - {RowState.ALREADY_THERE})

    await movement.gateway.store.read(count)


async def _report(movement: Movement, ctx: Context) -> None:
    while True:
        ctx.set_progress(await _progress(movement))
        await asyncio.sleep(REPORT_SECONDS)


async def _progress(movement: Movement) -> dict[str, Any]:
    """`bytes` is None where nobody has counted them before; `bytes_done` includes those of copies under way."""
    engine, moving = movement.gateway.engine, 0
    for operation in tuple(movement.copying.values()):
        if engine is not None:
            with suppress(NotFound):
                moving += ((await engine.status(operation)).progress or {}).get("bytes_done", 0)
    return {
        "versions": movement.versions,
        "versions_done": movement.settled,
        "failed": movement.failed,
        "bytes": movement.bytes,
        "bytes_done": movement.bytes_done + moving,
    }
