"""Looking at one model because something may have changed there: read live, compared with the index, journalled.

What this gateway does itself means nothing here. While a change of ours is under way the look waits: its lock is taken,
and an effect that was planned may have been written already. A version that a copy of ours is just making is left to
the copy, which will record it; it is told by the copy's key.
"""

from __future__ import annotations

import asyncio
from datetime import datetime

from sqlalchemy import Connection

from fedreg.domain.capabilities import Operation
from fedreg.domain.errors import Conflict, NotFound
from fedreg.domain.models import Model, Version
from fedreg.domain.port import RegistryAdapter
from fedreg.domain.records import Change, IntentKind, IntentState
from fedreg.services.deletions import record_deletions
from fedreg.services.gateway import Gateway
from fedreg.services.overflow import merge_model_overflow, merge_overflow
from fedreg.services.pages import walk_versions
from fedreg.store import effects, index, intents, journal, scans
from fedreg.store.index import Missing

BUSY_SECONDS, BUSY_TRIES = 0.1, 600
UNDER_WAY = (IntentState.PENDING, IntentState.WAITING, IntentState.RUNNING)


async def observe_model(gateway: Gateway, registry: str, model: str) -> list[Change]:
    """What has changed at a model since it was last seen, journalled as observed; the index and observers know it then.

    Before a registry's first whole scan nothing is told: there is nothing to compare with. Raises what reading raises,
    Conflict (to be tried again) where changes of ours do not come to an end within a minute.
    """
    adapter = await gateway.registries.get(registry)
    for _ in range(BUSY_TRIES):
        async with gateway.locks.hold(registry, model):
            if not await gateway.store.read(lambda conn: effects.has_unsettled(conn, registry, model)):
                changes = await _look(gateway, adapter, model)
                break
        await asyncio.sleep(BUSY_SECONDS)
    else:
        raise Conflict(
            f"changes of ours to {model!r} do not come to an end",
            registry=registry,
            cure="see `fedreg operations list`",
        )
    await gateway.tell(changes)
    return changes


async def _look(gateway: Gateway, adapter: RegistryAdapter, model: str) -> list[Change]:
    asked = gateway.now()
    found, versions = await _read(adapter, model)
    ours = await _list_copies(gateway, adapter, model)
    known = await gateway.store.read(lambda conn: _list_known(conn, adapter.registry, model))
    changes = await _store(
        gateway, adapter.registry, found, [one for one in versions if one.version not in ours], asked=asked
    )
    if not await gateway.store.read(lambda conn: _has_baseline(conn, adapter.registry)):
        return changes
    seen = {one.version for one in versions}
    missing = Missing(
        models=known.models if found is None else (),
        versions=tuple(one for one in known.versions if one.version not in seen),
    )
    gone, _ = await record_deletions(gateway, adapter, missing)
    return changes + gone


async def _read(adapter: RegistryAdapter, name: str) -> tuple[Model | None, list[Version]]:
    """The model and all its versions, live; nothing where it is gone."""
    try:
        model = await adapter.get_model(name)
        return model, [version async for version in walk_versions(adapter, name)]
    except NotFound:
        return None, []


async def _list_copies(gateway: Gateway, adapter: RegistryAdapter, model: str) -> set[str]:
    """The versions that copies under way have made here and not recorded yet."""
    if not adapter.capabilities.supports(Operation.FIND_VERSION):
        return set()
    copies = await gateway.store.read(
        lambda conn: intents.list_intents(conn, kinds=(IntentKind.COPY,), states=UNDER_WAY, limit=10_000)
    )
    here = (adapter.registry, model)
    keys = {one.plan["key"] for one in copies if (one.plan["target_registry"], one.plan["target_model"]) == here}
    made = [await _find(adapter, model, key) for key in sorted(keys)]
    return {one.version for one in made if one is not None}


async def _find(adapter: RegistryAdapter, model: str, key: str) -> Version | None:
    try:
        return await adapter.find_version(model, key)
    except NotFound:
        return None


async def _store(
    gateway: Gateway, registry: str, model: Model | None, versions: list[Version], *, asked: datetime
) -> list[Change]:
    models = await merge_model_overflow(gateway, [] if model is None else [model])
    merged = await merge_overflow(gateway, versions)
    now = gateway.now()

    def commit(tx: Connection) -> list[Change]:
        observed = index.upsert_models(tx, models, asked) + index.upsert_versions(tx, merged, asked)
        if not _has_baseline(tx, registry):
            return []
        journal.append_all(tx, observed, now)
        return observed

    return await gateway.store.write(commit)


def _has_baseline(conn: Connection, registry: str) -> bool:
    state = scans.get_state(conn, registry)
    return state is not None and state.completed_at is not None


def _list_known(conn: Connection, registry: str, model: str) -> Missing:
    is_known = index.get_model(conn, registry, model) is not None
    versions = index.get_versions(conn, registry, model)
    return Missing(models=(model,) if is_known else (), versions=tuple(one.id for one in versions))
