"""Migrations: a durable operation that lists versions, copies each, and counts against the source at the end.

Its rows are in the store, so that no workflow argument grows with them, and each row's copy is an operation of its
own with its own key: killed at any moment, a migration goes on with the rows that are not settled, and what has
arrived is found instead of moved again.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from itertools import count
from typing import Any

import msgspec
from sqlalchemy import Connection

from fedreg.domain.errors import FedregError
from fedreg.domain.migrations import MigrationOptions, PlannedVersion
from fedreg.domain.records import ENDED, Actor, Intent, IntentKind, IntentState, RequestKey
from fedreg.engine.port import Context
from fedreg.services import intents as promises
from fedreg.services.gateway import Gateway
from fedreg.services.migration_copying import copy_rows
from fedreg.services.migration_counts import count_source, settle_migration, store_listing
from fedreg.services.migration_moves import Movement
from fedreg.services.migration_rows import check_options, check_rows
from fedreg.store import intents, migration_rows
from fedreg.store.columns import canonical_json

CHUNK = 500  # rows stored in one transaction


async def start_migration(
    gateway: Gateway,
    source: str,
    target: str,
    options: MigrationOptions,
    *,
    actor: Actor,
    plan: Sequence[PlannedVersion] | None = None,
    reason: str | None = None,
    key: RequestKey | None = None,
) -> Intent:
    """Start a migration of what the options choose, or of the rows of a plan; one under way with the same is joined.

    Raises NotFound for an unknown registry, InvalidRequest for an option or a row. What is wrong with names and
    versions that only a listing shows is the operation's error, or a row's.
    """
    requested = await promises.find_requested(gateway, key)
    if requested is not None:
        return requested
    check_options(gateway, source, target, options)
    placed = None if plan is None else await check_rows(gateway, source, target, plan)
    base = f"migration-{_digest(source, target, options, plan)}"
    latest, attempt = await gateway.store.read(lambda conn: _latest(conn, base))
    if latest is not None and latest.state not in ENDED:
        return await promises.submit(gateway, latest, key)
    migration_id, now = f"{base}-{attempt}", gateway.now()
    if placed is not None:
        await _store_rows(gateway, migration_id, placed)
    intent = Intent(
        id=migration_id,
        kind=IntentKind.MIGRATION,
        state=IntentState.PENDING,
        actor=actor,
        reason=reason,
        plan={
            "source": source,
            "target": target,
            "options": msgspec.to_builtins(options),
            "planned": None if placed is None else len(placed),
        },
        created_at=now,
        updated_at=now,
    )
    return await promises.submit(gateway, intent, key)


async def run_migration(gateway: Gateway, ctx: Context, args: dict[str, Any]) -> Any:
    """The workflow: list, copy, count, settle. Each is one step that goes on where it was, by the rows' states."""
    migration_id = args["intent"]
    intent = await ctx.step("load", lambda: _load(gateway, migration_id))
    if intent is None:
        return None
    plan, seconds = intent["plan"], {}
    options = msgspec.convert(plan["options"], MigrationOptions)
    actor = msgspec.convert(intent["actor"], Actor)
    movement = Movement(gateway, migration_id, plan["source"], plan["target"], options, actor, intent["reason"])
    planned = plan["planned"] is not None
    try:
        if not planned:
            seconds["list"] = await ctx.step("list", _timed(lambda: store_listing(movement, CHUNK)))
        seconds["copy"] = await ctx.step("copy", _timed(lambda: copy_rows(movement, ctx)))
        counted = await ctx.step("count", lambda: count_source(movement, planned=planned))
    except FedregError as error:
        failure = error
        await ctx.step("fail", lambda: promises.fail(gateway, migration_id, failure))
        raise
    seconds["count"] = counted["seconds"]
    return await ctx.step("settle", lambda: settle_migration(movement, counted, seconds), preemptible=False)


async def _store_rows(gateway: Gateway, migration_id: str, placed: Sequence[tuple[int, PlannedVersion]]) -> None:
    """Store a plan before the intent that needs it; what an earlier try has left goes."""
    await gateway.store.write(partial(migration_rows.clear, migration_id=migration_id))
    for start in range(0, len(placed), CHUNK):
        await gateway.store.write(
            partial(migration_rows.add, migration_id=migration_id, found=placed[start : start + CHUNK])
        )


async def _load(gateway: Gateway, migration_id: str) -> Any:
    intent = await promises.begin(gateway, migration_id)
    return None if intent is None else msgspec.to_builtins(intent)


def _timed(work: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[float]]:
    """The work as a step whose result is how long it took."""

    async def step() -> float:
        started = time.monotonic()
        await work()
        return round(time.monotonic() - started, 3)

    return step


def _latest(conn: Connection, base: str) -> tuple[Intent | None, int]:
    """The newest attempt, and the number of the next."""
    latest = None
    for attempt in count(1):
        found = intents.get(conn, f"{base}-{attempt}")
        if found is None:
            break
        latest = found
    return latest, attempt


def _digest(source: str, target: str, options: MigrationOptions, plan: Sequence[PlannedVersion] | None) -> str:
    """The same for the same work; how many at once is no part of it."""
    what = msgspec.to_builtins(options)
    del what["jobs"]
    digest = hashlib.sha256(canonical_json([source, target, what, plan is not None]).encode())
    for row in plan or ():
        digest.update(canonical_json(msgspec.to_builtins(row)).encode())
    return digest.hexdigest()[:32]
