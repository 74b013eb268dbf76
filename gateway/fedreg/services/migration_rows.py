"""Rows of a plan that somebody gives: checked by name before anything starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fedreg.domain.errors import FedregError, InvalidRequest
from fedreg.domain.migrations import MigrationOptions, PlannedVersion
from fedreg.domain.refs import Ref, SelectorKind
from fedreg.domain.stages import Approval, parse_stage
from fedreg.services.gateway import Gateway
from fedreg.services.migration_names import check_names, check_target

MAX_JOBS = 64


def check_options(gateway: Gateway, source: str, target: str, options: MigrationOptions) -> None:
    """Raises NotFound for an unknown registry, InvalidRequest naming the option."""
    for name in (source, target):
        gateway.registries.kind(name)
    if source == target:
        raise InvalidRequest(
            f"source and target are the same registry {source!r}", cure="copy within a registry with `fedreg copy`"
        )
    if options.last is not None and options.last < 1:
        raise InvalidRequest(f"last: {options.last} is below 1", cure="give the number of newest versions, at least 1")
    if not 1 <= options.jobs <= MAX_JOBS:
        raise InvalidRequest(f"jobs: {options.jobs} is out of range", cure=f"give a number from 1 to {MAX_JOBS}")
    if options.stage is not None:
        parse_stage(options.stage)
    check_names(options.names)


async def check_rows(
    gateway: Gateway, source: str, target: str, rows: Sequence[PlannedVersion]
) -> list[tuple[int, PlannedVersion]]:
    """The rows with their lanes, each lane in ascending order. Raises InvalidRequest naming row and field."""
    if not rows:
        raise InvalidRequest("the plan has no rows", cure="leave at least one version in it")
    limits = (await gateway.registries.get(target)).capabilities
    owners: dict[str, str] = {}
    lanes: dict[str, int] = {}
    seen: set[str] = set()
    numbers: set[tuple[str, str]] = set()
    placed: list[tuple[int, PlannedVersion]] = []
    for number, row in enumerate(rows, 1):
        try:
            origin, place = _check_row(row, source, target)
            check_target(place.model, limits, registry=target)
        except FedregError as error:
            raise InvalidRequest(f"plan row {number}: {error.message}", cure=error.cure) from None
        if str(origin) in seen:
            raise InvalidRequest(f"plan row {number}: source: '{origin}' comes twice", cure="take one row out")
        seen.add(str(origin))
        owner = owners.setdefault(place.model, origin.model)
        if owner != origin.model:
            raise InvalidRequest(
                f"plan row {number}: target: models {owner!r} and {origin.model!r} would both become {place.model!r}",
                cure="give one of them another name",
            )
        if row.version is not None and not row.skip:
            if (place.model, row.version) in numbers:
                raise InvalidRequest(
                    f"plan row {number}: version: '{place}' would get {row.version!r} twice",
                    cure="give one of them another number",
                )
            numbers.add((place.model, row.version))
        # One spelling of each name, so that a model's rows are in one lane.
        lane = lanes.setdefault(place.model, len(lanes) + 1)
        placed.append((lane, replace(row, source=str(origin), target=str(place))))
    return sorted(placed, key=lambda item: (item[0], _order(item[1])))


def _check_row(row: PlannedVersion, source: str, target: str) -> tuple[Ref, Ref]:
    origin, place = Ref.parse(row.source), Ref.parse(row.target)
    if origin.selector is None or origin.selector.kind is not SelectorKind.VERSION:
        raise InvalidRequest(f"source: '{row.source}' names no version", cure=f"write {source}:MODEL@version:N")
    if origin.registry != source:
        raise InvalidRequest(f"source: '{row.source}' is not of registry {source!r}", cure="one plan, one source")
    if place.registry != target or place.selector is not None:
        raise InvalidRequest(f"target: '{row.target}' is no model of registry {target!r}", cure=f"write {target}:MODEL")
    if row.stage is not None:
        parse_stage(row.stage)
    if row.approval is not None and row.approval not in list(Approval):
        raise InvalidRequest(
            f"approval: {row.approval!r} is no approval",
            cure=f"use one of {', '.join(decision.value for decision in Approval)}",
        )
    if "" in row.aliases:
        raise InvalidRequest("aliases: one is empty", cure="take it out")
    return origin, place


def _order(row: PlannedVersion) -> tuple[int, str]:
    wanted = row.version or row.source.rpartition(":")[2]
    return (int(wanted) if wanted.isdecimal() else 0, row.source if not wanted.isdecimal() else "")
