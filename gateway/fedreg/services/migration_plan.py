"""The plan of a migration: every version with its files, bytes and losses, before anything is written."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace

from fedreg.domain.capabilities import Capabilities
from fedreg.domain.errors import FedregError
from fedreg.domain.migrations import MigrationOptions, MigrationPlan, PlannedVersion
from fedreg.domain.port import RegistryAdapter
from fedreg.domain.refs import Ref
from fedreg.services.copy_plan import plan_copy
from fedreg.services.gateway import Gateway
from fedreg.services.migration_carry import carry_losses
from fedreg.services.migration_listing import walk_listing
from fedreg.services.migration_moves import find_arrived
from fedreg.services.migration_numbers import check_number, expect_number
from fedreg.services.migration_rows import check_options, check_rows


async def plan_migration(
    gateway: Gateway,
    source: str,
    target: str,
    options: MigrationOptions,
    *,
    plan: Sequence[PlannedVersion] | None = None,
) -> MigrationPlan:
    """What a migration would do, of what the options choose or of the rows of a plan. Writes nothing.

    What can't be moved is a row with its `problem`. Raises what `start_migration` raises, and InvalidRequest for names.
    """
    check_options(gateway, source, target, options)
    adapter = await gateway.registries.get(target)
    if plan is None:
        listed = [one async for one in walk_listing(gateway, source, target, options)]
        rows = [row for one in listed for row in one.rows]
    else:
        rows = [row for _, row in await check_rows(gateway, source, target, plan)]
    contested = _contested(rows)
    planned: list[PlannedVersion] = list(rows)
    places = iter(range(len(rows)))

    async def work(places: Iterator[int]) -> None:
        for place in places:
            planned[place] = await _look(gateway, rows[place], adapter, rows[place].source in contested)

    await asyncio.gather(*(work(places) for _ in range(options.jobs)))
    return _summarize(source, target, options, tuple(_numbered(planned, adapter)), adapter.capabilities)


async def _look(gateway: Gateway, row: PlannedVersion, adapter: RegistryAdapter, contested: bool) -> PlannedVersion:
    """The row with what a look at both registries tells."""
    if row.skip:
        return row
    target = Ref.parse(row.target)
    manifest = gateway.registries.manifest(target.registry)
    try:
        losses = carry_losses(row, adapter.capabilities, manifest, target=target.registry, contested=contested)
        there = await find_arrived(gateway, row, target, adapter)
        if there is not None:
            expect_number(target, there, row.version)
            return replace(row, already_at=there, losses=tuple(losses), problem=None)
        copy = await plan_copy(gateway, Ref.parse(row.source), target, allow_lossy=("*",))
    except FedregError as error:
        return replace(row, problem=str(error))
    return replace(
        row,
        identity=row.identity or copy.source.identity,
        files=len(copy.files),
        bytes=copy.bytes,
        losses=(*copy.losses, *losses),
        already_at=copy.already_at,
        problem=None,
    )


def _numbered(rows: Sequence[PlannedVersion], adapter: RegistryAdapter) -> Iterator[PlannedVersion]:
    """Numbers that the target never gives are problems, too. Whether one is still free is seen when its turn comes."""
    for row in rows:
        if row.version is None or row.problem is not None:
            yield row
            continue
        try:
            check_number(adapter, row.version)
            yield row
        except FedregError as error:
            yield replace(row, problem=str(error))


def _contested(rows: Sequence[PlannedVersion]) -> set[str]:
    """Sources whose stage a later version of the same target model is to have."""
    seen: set[tuple[str, str]] = set()
    found: set[str] = set()
    for row in reversed(rows):
        if row.stage is not None and not row.skip:
            if (row.target, row.stage) in seen:
                found.add(row.source)
            seen.add((row.target, row.stage))
    return found


def _summarize(
    source: str, target: str, options: MigrationOptions, rows: tuple[PlannedVersion, ...], capabilities: Capabilities
) -> MigrationPlan:
    moving = [row for row in rows if row.already_at is None and row.problem is None and not row.skip]
    size = sum(row.bytes or 0 for row in moving)
    twice = capabilities.upload is not None and capabilities.upload.needs_sha256  # hashed first, then sent
    return MigrationPlan(
        source=source,
        target=target,
        options=options,
        rows=rows,
        models=len({row.target for row in rows}),
        to_move=len(moving),
        already_there=sum(row.already_at is not None for row in rows),
        with_losses=sum(any(loss.is_loss for loss in row.losses) for row in rows),
        with_problems=sum(row.problem is not None for row in rows),
        files=sum(row.files or 0 for row in moving),
        bytes=size,
        leaving={source: size * 2 if twice else size, target: size},  # the target's are read back
    )
