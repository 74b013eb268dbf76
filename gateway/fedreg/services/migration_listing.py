"""The versions a migration is about: listed live, filtered, named, in ascending order model by model."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass

from fedreg.domain.capabilities import VersionIds
from fedreg.domain.errors import NotFound
from fedreg.domain.migrations import Carried, MigrationOptions, PlannedVersion
from fedreg.domain.models import Version
from fedreg.domain.port import RegistryAdapter
from fedreg.domain.refs import Ref
from fedreg.domain.stages import NONE, Approval
from fedreg.services.gateway import Gateway
from fedreg.services.migration_names import check_globs, check_known, check_target, choose, map_names
from fedreg.services.overflow import merge_overflow
from fedreg.services.pages import walk_models, walk_versions

AHEAD = 8  # models listed at once


@dataclass(frozen=True, slots=True)
class ListedModel:
    """A model with its rows; `lane` counts models from 1."""

    lane: int
    rows: list[PlannedVersion]


async def list_models(
    gateway: Gateway, source: str, target: str, options: MigrationOptions, *, again: bool = False
) -> dict[str, str]:
    """Source name -> target name of the models asked for.

    Raises InvalidRequest for names that can't be, and for a glob or a name that fits no model. `again`: these fitted
    when the source was listed first, and what they fitted may be gone by now.
    """
    names = {model.name async for model in walk_models(await gateway.registries.get(source))}
    if not again:
        check_known(options.names, names, registry=source)
        check_globs(options.models, names, registry=source)
    mapped = map_names(choose(options.models, names), options.names)
    capabilities = (await gateway.registries.get(target)).capabilities
    for name in mapped.values():
        check_target(name, capabilities, registry=target)
    return mapped


async def walk_listing(
    gateway: Gateway, source: str, target: str, options: MigrationOptions, *, again: bool = False
) -> AsyncIterator[ListedModel]:
    """Model after model, a few of them listed ahead. Memory holds those, never the whole registry."""
    mapped = await list_models(gateway, source, target, options, again=again)
    adapter = await gateway.registries.get(source)
    lanes = iter(enumerate(mapped.items(), 1))
    ahead: deque[tuple[int, asyncio.Task[list[PlannedVersion]]]] = deque()

    def fill() -> None:
        while len(ahead) < AHEAD and (entry := next(lanes, None)) is not None:
            lane, (name, new) = entry
            rows = list_versions(gateway, adapter, name, Ref(target, new), options)
            ahead.append((lane, asyncio.create_task(rows)))

    try:
        fill()
        while ahead:
            lane, task = ahead.popleft()
            yield ListedModel(lane, await task)
            fill()
    finally:
        for _, task in ahead:
            task.cancel()
        await asyncio.gather(*(task for _, task in ahead), return_exceptions=True)


async def list_versions(
    gateway: Gateway, adapter: RegistryAdapter, model: str, target: Ref, options: MigrationOptions
) -> list[PlannedVersion]:
    """The rows of one model; none for a model that is gone by now."""
    found: deque[Version] = deque(maxlen=options.last)
    try:
        listed = [version async for version in walk_versions(adapter, model)]
    except NotFound:
        return []
    for version in await merge_overflow(gateway, sorted(listed, key=in_order)):
        if options.stage is None or options.stage in (version.stage, *version.stages):
            found.append(version)
    return [to_row(version, target, options) for version in found]


def to_row(version: Version, target: Ref, options: MigrationOptions) -> PlannedVersion:
    """A row as listed: what to carry is filled in, what only a look at the files tells is not."""
    stage = version.stage if Carried.STAGES in options.carry and version.stage != NONE else None
    approved = Carried.APPROVAL in options.carry and version.approval is not Approval.NONE
    others = () if stage is None else tuple(sorted({*version.stages} - {stage, NONE}))
    return PlannedVersion(
        source=str(Ref(version.registry, version.model).at_version(version.version)),
        target=str(target),
        identity=version.identity,
        version=version.version if options.preserve_versions else None,
        stage=stage,
        other_stages=others,
        aliases=version.aliases if Carried.ALIASES in options.carry else (),
        approval=version.approval.value if approved else None,
        approval_comment=version.approval_comment if approved else None,
    )


def in_order(version: Version) -> tuple[int, float, str]:
    """Sorts numbers as numbers, other ids by age."""
    number = int(version.version) if version.version.isdecimal() else 0
    return (number, version.created_at.timestamp() if version.created_at else 0.0, version.version)


def counts_versions(adapter: RegistryAdapter) -> bool:
    """Whether the registry gives numbers itself."""
    return adapter.capabilities.version_ids is VersionIds.SERVER
