"""Scans: bringing the index up to date with a registry.

A scan resumes at its page. One that was asked for is full; one because of age is incremental where the registry's
incremental scans see all that the inventory shows (MLflow's miss aliases, so its are always full). A deletion is
believed only after a complete sweep and a get that says NotFound, and never for more than a guard's share of what
was known.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import Connection

from fedreg.domain.capabilities import Change
from fedreg.domain.errors import FedregError
from fedreg.domain.models import Batch
from fedreg.domain.records import Change as JournalChange
from fedreg.domain.records import ScanState
from fedreg.domain.reports import RefreshReport
from fedreg.services.deletions import record_deletions
from fedreg.services.gateway import Gateway
from fedreg.services.overflow import merge_model_overflow, merge_overflow
from fedreg.store import index, journal, scans

SHOWN = frozenset({Change.CREATED, Change.STAGE, Change.ALIAS, Change.TAGS, Change.APPROVAL})
RETRY_AFTER = timedelta(seconds=30)  # a registry that failed is not tried again for readers before that


async def refresh_all(gateway: Gateway, registries: Sequence[str], *, full: bool = True) -> list[RefreshReport]:
    """Refresh registries side by side; one that is down does not stop the others."""
    return list(await asyncio.gather(*(refresh(gateway, name, full=full) for name in registries)))


async def refresh_stale(gateway: Gateway, registries: Sequence[str], max_age: timedelta | None) -> list[RefreshReport]:
    """Refresh those never scanned to the end, those that failed, and with `max_age` those scanned longer ago.

    Readers who come while a scan is under way share it. A registry that has failed in this process already is
    reported with that error and tried again behind the reader's back: it must not slow down the others.
    """
    states = await gateway.store.read(lambda conn: {name: scans.get_state(conn, name) for name in registries})
    stale = [name for name in registries if _is_stale(states[name], gateway.now(), max_age)]
    reports = await asyncio.gather(*(_refresh_for_reader(gateway, name, states[name]) for name in stale))
    return list(reports)


async def _refresh_for_reader(gateway: Gateway, registry: str, state: ScanState | None) -> RefreshReport:
    failed = gateway.scans.failed.get(registry)
    if failed is None or state is None or state.error is None:
        return await asyncio.shield(gateway.scans.join(registry, partial(refresh, gateway, registry, full=False)))
    if gateway.now() - failed >= RETRY_AFTER:
        gateway.scans.join(registry, partial(refresh, gateway, registry, full=False))
    return RefreshReport(registry=registry, error=dict(state.error))


async def refresh(gateway: Gateway, registry: str, *, full: bool = True) -> RefreshReport:
    """Scan one registry to the end; not `full`: only for changes, where that shows enough.

    A registry's failure is in the report; what was read until then stays. Observers are told at the end.
    """
    observed: list[JournalChange] = []
    report = await _scan_or_fail(gateway, registry, full, observed)
    await gateway.tell(observed)
    return report


async def _scan_or_fail(gateway: Gateway, registry: str, full: bool, observed: list[JournalChange]) -> RefreshReport:
    async with gateway.locks.hold(registry, ""):
        try:
            report = await _scan(gateway, registry, full, observed)
            gateway.scans.failed.pop(registry, None)
            return report
        except FedregError as error:
            gateway.scans.failed[registry] = gateway.now()
            failure = error.to_dict()
            state = await gateway.store.read(lambda conn: scans.get_state(conn, registry)) or ScanState(
                registry=registry
            )
            await gateway.store.write(lambda tx: scans.set_state(tx, replace(state, error=failure)))
            return RefreshReport(registry=registry, error=failure)


async def _scan(gateway: Gateway, registry: str, wants_full: bool, observed: list[JournalChange]) -> RefreshReport:
    adapter = await gateway.registries.get(registry)
    state = await gateway.store.read(lambda conn: scans.get_state(conn, registry)) or ScanState(registry=registry)
    resumed = state.sweep_started_at is not None
    started = state.sweep_started_at if resumed and state.sweep_started_at else gateway.now()
    enough = adapter.capabilities.incremental >= SHOWN and not wants_full
    cursor, full = state.cursor if resumed or enough else None, True
    models = versions = changes = 0
    while True:
        asked = gateway.now()
        batch = await adapter.scan(cursor)
        cursor, full = batch.cursor, full and batch.full
        models, versions = models + len(batch.models), versions + len(batch.versions)
        progress = replace(
            state,
            cursor=cursor,
            sweep_started_at=None if batch.complete else started,
            completed_at=gateway.now() if batch.complete else state.completed_at,
            covered_since=state.covered_since or (gateway.now() if batch.complete else None),
            swept_at=started if batch.complete else state.swept_at,
            error=None,
        )
        found = await _store_batch(gateway, batch, state, progress, asked=asked, sweep=started)
        changes += len(found)
        if state.completed_at is not None and gateway.observers:
            observed += found
        if batch.complete:
            break
    gone: list[JournalChange] = []
    withheld = 0
    if full:
        missing = await gateway.store.read(lambda conn: index.missing_after_sweep(conn, registry, started))
        gone, withheld = await record_deletions(gateway, adapter, missing)
    observed += gone
    return RefreshReport(
        registry=registry,
        models=models,
        versions=versions,
        changes=changes,
        deleted=len(gone),
        deletions_withheld=withheld,
    )


async def _store_batch(
    gateway: Gateway, batch: Batch, before: ScanState, state: ScanState, *, asked: datetime, sweep: datetime
) -> list[JournalChange]:
    """Index a batch and where the scan is. What changed since the last scan is journalled as observed.

    It was so when it was `asked` for; what nobody had seen was not there yet when the scan before began.
    """
    models = await merge_model_overflow(gateway, batch.models)
    merged = await merge_overflow(gateway, batch.versions)
    baseline, now = before.completed_at is None, gateway.now()

    def commit(tx: Connection) -> list[JournalChange]:
        observed = index.upsert_models(tx, models, asked, sweep)
        observed += index.upsert_versions(tx, merged, asked, sweep)
        if not baseline:
            journal.append_all(tx, [_bound(change, before.swept_at) for change in observed], now)
        scans.set_state(tx, state)
        return observed

    return await (gateway.store.write_index(commit) if baseline else gateway.store.write(commit))


def _is_stale(state: ScanState | None, now: datetime, max_age: timedelta | None) -> bool:
    if state is None or state.completed_at is None or state.error is not None:
        return True
    return max_age is not None and now - state.completed_at > max_age


def _bound(change: JournalChange, since: datetime | None) -> JournalChange:
    """What was seen for the first time was made after the scan that did not show it began."""
    return replace(change, not_before=since) if change.action == "created" and change.not_before is None else change
