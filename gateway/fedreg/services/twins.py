"""The same version at another place: by what copies have recorded, else by the manifest that a copy has left."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial

from fedreg.domain.errors import NotFound
from fedreg.domain.links import Member
from fedreg.domain.manifest import MANIFEST_PATH, Basis
from fedreg.domain.models import Version, VersionStatus
from fedreg.domain.port import RegistryAdapter
from fedreg.domain.records import Counterpart
from fedreg.services.copy_plan import copy_key
from fedreg.services.gateway import Gateway
from fedreg.services.overflow import merge_overflow
from fedreg.services.pages import walk_versions
from fedreg.store import counterparts

_LARGEST = 64 << 20  # bytes of a manifest
_MOST = 100  # versions looked at: a chain of copies is short


async def find_twin(gateway: Gateway, source: Version, member: Member) -> Version | None:
    """The member's ready version that is a verified copy of `source`, live; None where there is none.

    A version of another identity under the same number is no twin, nor is one that has the same bytes by chance.
    """
    adapter = await gateway.registries.get(member.registry)
    for known in await list_tied(gateway, source, member):
        try:
            live = await adapter.get_version(known[0], known[1])
        except NotFound:
            continue
        if live.identity == known[2] and live.status is VersionStatus.READY:
            return (await merge_overflow(gateway, [live]))[0]
    return await _find_marked(gateway, source, member, adapter)


async def _find_marked(gateway: Gateway, source: Version, member: Member, adapter: RegistryAdapter) -> Version | None:
    """The version whose manifest names this source, and whose bytes were read as the source's were."""
    if source.digest is None or source.digest.basis is not Basis.READ:
        return None
    try:
        versions = await merge_overflow(gateway, [one async for one in walk_versions(adapter, member.model)])
    except NotFound:
        return None
    key = copy_key(source, member.ref)
    for one in versions:
        if one.digest == source.digest and one.status is VersionStatus.READY and await _key_of(adapter, one) == key:
            return one
    return None


async def _key_of(adapter: RegistryAdapter, version: Version) -> str | None:
    """The key of the copy that has made a version, as its manifest tells."""
    files = await adapter.list_files(version.model, version.version)
    entry = next((file for file in files if file.path == MANIFEST_PATH), None)
    if entry is None or entry.size > _LARGEST:
        return None
    content = b"".join([chunk async for chunk in adapter.open_file(version.model, version.version, entry)])
    try:
        told = json.loads(content)
    except ValueError:
        return None
    return told.get("key") if isinstance(told, dict) else None


async def list_tied(gateway: Gateway, source: Version, member: Member) -> list[tuple[str, str, str]]:
    """(model, version, identity) at the member, of all that copies have tied to the source, directly or not."""
    seen, todo = {(source.registry, source.identity)}, [(source.registry, source.identity)]
    found: list[tuple[str, str, str]] = []
    while todo and len(seen) < _MOST:
        at = todo.pop(0)
        recorded = await gateway.store.read_row(partial(counterparts.list_for, registry=at[0], identity=at[1]))
        for registry, model, version, identity in _ends(recorded):
            if (registry, identity) in seen:
                continue
            seen.add((registry, identity))
            todo.append((registry, identity))
            if (registry, model) == member.place:
                found.append((model, version, identity))
    return found


def _ends(recorded: list[Counterpart]) -> Iterator[tuple[str, str, str, str]]:
    for one in recorded:
        yield one.source_registry, one.source_model, one.source_version, one.source_identity
        yield one.target_registry, one.target_model, one.target_version, one.target_identity
