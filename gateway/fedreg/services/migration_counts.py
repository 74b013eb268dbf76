"""The two ends of a migration: the source's listing into rows, and the rows against a fresh listing at the end."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection

from fedreg.domain.errors import Incomplete
from fedreg.domain.migrations import ARRIVED, MigratedVersion, MigrationReport, PlannedVersion, RowState
from fedreg.domain.records import IntentState
from fedreg.services.gateway import Gateway
from fedreg.services.migration_listing import ListedModel, walk_listing
from fedreg.services.migration_moves import Movement
from fedreg.store import intents, migration_rows

_NEW = {
    "code": "incomplete",
    "message": "it was registered at the source after the migration had listed it",
    "cure": "run the same command again",
}


async def store_listing(movement: Movement, chunk: int) -> None:
    """List the source into rows, from the beginning."""
    store = movement.gateway.store
    await store.write(lambda tx: migration_rows.clear(tx, movement.id))
    found: list[tuple[int, PlannedVersion]] = []
    async for listed in walk_listing(movement.gateway, movement.source, movement.target, movement.options):
        found += [(listed.lane, row) for row in listed.rows]
        if len(found) >= chunk:
            await _append(movement, found)
            found = []
    await _append(movement, found)


async def count_source(movement: Movement, *, planned: bool) -> dict[str, Any]:
    """How many versions the source has now, and how many of them did not arrive; or the same of a given plan.

    A version that came meanwhile gets a row of its own, so that the report has one for each.
    """
    started = time.monotonic()
    if planned:
        total, missing = await _count_plan(movement)
    else:
        total = missing = 0
        async for listed in walk_listing(
            movement.gateway, movement.source, movement.target, movement.options, again=True
        ):
            total += len(listed.rows)
            missing += await _count_model(movement, listed)
    return {"versions": total, "missing": missing, "seconds": round(time.monotonic() - started, 3)}


async def settle_migration(movement: Movement, counted: Mapping[str, Any], seconds: Mapping[str, float]) -> Any:
    """The report, and the end of the operation: failed with `incomplete` where versions are missing."""
    gateway = movement.gateway

    def commit(tx: Connection) -> Any:
        states = migration_rows.count_states(tx, movement.id)
        report = MigrationReport(
            operation=movement.id,
            source=movement.source,
            target=movement.target,
            source_versions=counted["versions"],
            moved=states.get(RowState.MOVED, 0),
            lossy=states.get(RowState.LOSSY, 0),
            already_there=states.get(RowState.ALREADY_THERE, 0),
            failed=states.get(RowState.FAILED, 0),
            skipped=states.get(RowState.SKIPPED, 0),
            missing=counted["missing"],
            bytes=migration_rows.sum_bytes(tx, movement.id, (RowState.MOVED, RowState.LOSSY)),
            complete=not counted["missing"],
            seconds=seconds,
        )
        result = msgspec.to_builtins(report)
        state = IntentState.SUCCEEDED if report.complete else IntentState.FAILED
        error = None if report.complete else _shortfall(report).to_dict()
        intents.set_state(tx, movement.id, state, result=result, error=error, now=gateway.now())
        return result

    return await gateway.store.write(commit)


async def list_outcomes(gateway: Gateway, migration_id: str, after: int, limit: int) -> list[MigratedVersion]:
    """Rows of the report past a sequence."""
    return await gateway.store.read(lambda conn: migration_rows.list_outcomes(conn, migration_id, after, limit))


def _shortfall(report: MigrationReport) -> Incomplete:
    return Incomplete(
        f"{report.missing} of {report.source_versions} versions did not arrive",
        details={"failed": report.failed, "skipped": report.skipped, "missing": report.missing},
    )


async def _append(movement: Movement, found: list[tuple[int, PlannedVersion]]) -> None:
    await movement.gateway.store.write(lambda tx: migration_rows.add(tx, movement.id, found))


async def _count_plan(movement: Movement) -> tuple[int, int]:
    def count(conn: Connection) -> tuple[int, int]:
        states = migration_rows.count_states(conn, movement.id)
        total = sum(states.values())
        left_out = migration_rows.count_left_out(conn, movement.id)
        return total - left_out, total - left_out - sum(states.get(state, 0) for state in ARRIVED)

    return await movement.gateway.store.read(count)


async def _count_model(movement: Movement, listed: ListedModel) -> int:
    sources = [row.source for row in listed.rows]
    known = await movement.gateway.store.read(lambda conn: migration_rows.find_states(conn, movement.id, sources))
    new = [row for row in listed.rows if known.get(row.source, (None, None))[0] != row.identity]
    if new:
        await movement.gateway.store.write(lambda tx: _add_new(tx, movement.id, listed.lane, new))
    late = {row.source for row in new}
    return len(new) + sum(1 for source in sources if source not in late and known[source][1] not in ARRIVED)


def _add_new(tx: Connection, migration_id: str, lane: int, new: list[PlannedVersion]) -> None:
    first = migration_rows.add(tx, migration_id, [(lane, row) for row in new])
    for sequence, row in enumerate(new, first):
        outcome = MigratedVersion(
            sequence=sequence, source=row.source, target=row.target, state=RowState.FAILED, error=_NEW
        )
        migration_rows.settle(tx, migration_id, outcome)
