"""Deletions at a registry: believed after a get that says NotFound, and never too many at once."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from sqlalchemy import Connection

from fedreg.domain.errors import NotFound
from fedreg.domain.port import RegistryAdapter
from fedreg.domain.records import Change
from fedreg.services.gateway import Gateway
from fedreg.store import index, journal, overflow
from fedreg.store.differences import tell_model_gone, tell_version_gone
from fedreg.store.index import Missing

MAX_DELETES = 10
MAX_DELETES_SHARE = 0.2


async def record_deletions(gateway: Gateway, adapter: RegistryAdapter, missing: Missing) -> tuple[list[Change], int]:
    """Journal and forget what is really gone of what is missing; returns these changes, and how many were withheld.

    All are withheld where they are more than ten and more than a fifth of what the registry was known to have.
    """
    candidates = len(missing.models) + len(missing.versions)
    if not candidates:
        return [], 0
    known = await gateway.store.read(lambda conn: index.count_versions(conn, adapter.registry))
    if candidates > max(MAX_DELETES, MAX_DELETES_SHARE * known):
        return [], candidates
    models = [name for name in missing.models if await _is_gone(adapter.get_model(name))]
    versions = [
        one
        for one in missing.versions
        if one.model in models or await _is_gone(adapter.get_version(one.model, one.version))
    ]
    gone = Missing(models=tuple(models), versions=tuple(versions))
    changes = await gateway.store.write(lambda tx: _forget(tx, gateway, adapter.registry, gone))
    return changes, candidates - len(changes)


def _forget(tx: Connection, gateway: Gateway, registry: str, gone: Missing) -> list[Change]:
    changes = [tell_version_gone(*seen) for seen in index.list_seen_versions(tx, registry, gone.versions)]
    changes += [tell_model_gone(*seen) for seen in index.list_seen_models(tx, registry, gone.models)]
    journal.append_all(tx, changes, gateway.now())
    index.delete_versions(tx, registry, gone.versions)
    index.delete_models(tx, registry, gone.models)
    overflow.forget_models(tx, registry, gone.models)
    return changes


async def _is_gone(read: Awaitable[Any]) -> bool:
    try:
        await read
    except NotFound:
        return True
    return False
