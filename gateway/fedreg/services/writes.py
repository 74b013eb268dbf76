"""The writes that make a wish true at one place, each with what is there before."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, cast

from fedreg.domain.capabilities import Capabilities
from fedreg.domain.errors import NotFound
from fedreg.domain.models import Version
from fedreg.domain.port import RegistryAdapter
from fedreg.domain.promotions import PlannedEffect, Wish
from fedreg.domain.records import EffectRole
from fedreg.domain.stages import NONE
from fedreg.services.effects import name_holder
from fedreg.services.gateway import Gateway
from fedreg.services.overflow import merge_overflow
from fedreg.services.pages import walk_versions


async def list_writes(
    gateway: Gateway,
    registry: str,
    model: str,
    version: Version | None,
    wish: Wish,
    demote_to: str | None,
    *,
    holders: Sequence[Version] | None = None,
) -> tuple[PlannedEffect, ...]:
    """What is to write at this place, in order, live; empty where all is so already.

    `version` None is one that will be copied. `demote_to`: other holders of the stage go there, after the new one has
    it; None where they keep it. `holders` are read here where they are not given.
    """
    adapter = await gateway.registries.get(registry)
    if wish.alias is not None:
        return await _alias_writes(adapter, model, version, wish)
    stage = str(wish.value)
    writes = []
    if version is None or stage not in (version.stage, *version.stages):
        before = version.stage if version else NONE
        writes.append(_write(adapter.capabilities, version, before, stage, EffectRole.SET))
    if demote_to is not None and stage != NONE:
        if holders is None:
            holders = await list_holders(gateway, adapter, model, stage)
        writes += [
            _write(adapter.capabilities, holder, stage, demote_to, EffectRole.DEMOTE)
            for holder in holders
            if version is None or holder.identity != version.identity
        ]
    return tuple(writes)


async def with_holders(
    gateway: Gateway,
    registry: str,
    model: str,
    wish: Wish,
    demote_to: str | None,
    finding: Coroutine[Any, Any, Version | None],
) -> tuple[Version | None, Sequence[Version] | None]:
    """The version that `finding` gives, and the holders that `list_writes` asks for: read side by side, live."""
    if demote_to is None or wish.stage is None or wish.stage == NONE:
        return await finding, None
    listing = _list_holders_at(gateway, registry, model, wish.stage)
    version, holders = await asyncio.gather(finding, listing, return_exceptions=True)
    for found in (version, holders):  # the version's first, whichever came first
        if isinstance(found, BaseException):
            raise found
    return cast(Version | None, version), cast(list[Version], holders)


async def _list_holders_at(gateway: Gateway, registry: str, model: str, stage: str) -> list[Version]:
    return await list_holders(gateway, await gateway.registries.get(registry), model, stage)


async def list_holders(gateway: Gateway, adapter: RegistryAdapter, model: str, stage: str) -> list[Version]:
    """The versions of a model that have a stage, live, with what the gateway holds; none where there is no model."""
    try:
        siblings = await merge_overflow(gateway, [one async for one in walk_versions(adapter, model)])
    except NotFound:
        return []
    return [one for one in siblings if stage in (one.stage, *one.stages)]


async def _alias_writes(
    adapter: RegistryAdapter, model: str, version: Version | None, wish: Wish
) -> tuple[PlannedEffect, ...]:
    try:
        before = (await adapter.get_model(model)).aliases.get(wish.alias or "")
    except NotFound:
        before = None
    after: Any = version.version if wish.value and version else None
    if before == after and (version is not None or not wish.value):
        return ()
    identity = version.identity if version else None
    return (
        PlannedEffect(
            version=version.version if version else None,
            identity=identity,
            field=wish.field,
            before=before,
            after=after,
            held_by="alias",
        ),
    )


def _write(
    capabilities: Capabilities, version: Version | None, before: str, after: str, role: EffectRole
) -> PlannedEffect:
    return PlannedEffect(
        version=version.version if version else None,
        identity=version.identity if version else None,
        field="stage",
        before=before,
        after=after,
        role=role,
        held_by=name_holder(capabilities, after),
    )
