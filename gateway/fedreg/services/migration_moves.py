"""Moving one row of a migration: the copy, its number, and what is carried. Each may be repeated."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from fedreg.domain.capabilities import VersionIds
from fedreg.domain.errors import Conflict, EngineClosed, FedregError
from fedreg.domain.migrations import MigratedVersion, MigrationOptions, PlannedVersion, RowState
from fedreg.domain.models import Version
from fedreg.domain.port import RegistryAdapter
from fedreg.domain.records import Actor, IntentState
from fedreg.domain.refs import Ref
from fedreg.domain.reports import CopyPlan, CopyReport, Loss
from fedreg.services import intents as promises
from fedreg.services.copy import start_planned
from fedreg.services.copy_plan import copy_key, find_counterpart, plan_copy
from fedreg.services.fidelity import accept_losses
from fedreg.services.gateway import Gateway
from fedreg.services.migration_carry import carry, carry_losses
from fedreg.services.migration_numbers import clear_room, expect_number, make_room, take_back_room
from fedreg.store import digests, intents, migration_rows
from fedreg.store.migration_rows import StoredRow


@dataclass(slots=True)
class Movement:
    """A running migration: whose it is, what it obeys, and how far it is.

    `copying` is row -> its copy's operation; `reached` are target models that a version has arrived at in this run.
    """

    gateway: Gateway
    id: str
    source: str
    target: str
    options: MigrationOptions
    actor: Actor
    reason: str | None
    versions: int = 0
    settled: int = 0
    failed: int = 0
    bytes: int | None = None
    bytes_done: int = 0
    copying: dict[int, str] = field(default_factory=dict)
    reached: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Arrival:
    """A version that is at the target. `moved` is False where it was there before."""

    number: str
    moved: bool
    digest: str | None = None
    files: int | None = None
    bytes: int | None = None
    losses: tuple[Loss, ...] = ()


async def move(movement: Movement, row: StoredRow, *, contested: bool) -> MigratedVersion:
    """What became of the row. Only the engine's closing is raised: then nothing is decided yet."""
    planned = row.planned
    if planned.skip:
        return skipped(row, "left out by the plan")
    try:
        target = Ref.parse(planned.target)
        adapter = await movement.gateway.registries.get(target.registry)
        manifest = movement.gateway.registries.manifest(target.registry)
        carried = carry_losses(planned, adapter.capabilities, manifest, target=target.registry, contested=contested)
        accept_losses(carried, movement.options.allow_lossy)
        arrival = await _arrive(movement, row, target, adapter)
        await carry(
            movement.gateway,
            planned,
            carried,
            target,
            arrival.number,
            actor=movement.actor,
            reason=movement.reason,
            migration=movement.id,
        )
    except EngineClosed:
        raise
    except FedregError as error:
        return failed(row, error)
    losses = (*arrival.losses, *carried)
    state = RowState.ALREADY_THERE if not arrival.moved else _moved_as(losses)
    return MigratedVersion(
        sequence=row.sequence,
        source=planned.source,
        target=str(target.at_version(arrival.number)),
        state=state,
        digest=arrival.digest,
        files=arrival.files,
        bytes=arrival.bytes,
        losses=losses,
    )


def _moved_as(losses: tuple[Loss, ...]) -> RowState:
    return RowState.LOSSY if any(loss.is_loss for loss in losses) else RowState.MOVED


def failed(row: StoredRow, error: FedregError) -> MigratedVersion:
    """The outcome of a row that did not arrive, or not as it should."""
    return _outcome(row, RowState.FAILED, error.to_dict())


def skipped(row: StoredRow, why: str) -> MigratedVersion:
    """The outcome of a row that was not started."""
    return _outcome(row, RowState.SKIPPED, {"code": "skipped", "message": why})


async def find_arrived(gateway: Gateway, planned: PlannedVersion, target: Ref, adapter: RegistryAdapter) -> str | None:
    """The target's version where a verified copy of the planned one is there; asks the target only."""
    if planned.identity is None:
        return None
    return await find_counterpart(gateway, _pinned(planned), target, adapter)


async def _arrive(movement: Movement, row: StoredRow, target: Ref, adapter: RegistryAdapter) -> Arrival:
    gateway, planned = movement.gateway, row.planned
    there = await find_arrived(gateway, planned, target, adapter)
    if there is not None:
        expect_number(target, there, planned.version)
        return await _known(movement, row, target, there)
    counts = adapter.capabilities.version_ids is VersionIds.SERVER
    plan = await plan_copy(
        gateway,
        Ref.parse(planned.source),
        target,
        allow_lossy=movement.options.allow_lossy,
        version=None if counts else planned.version,
        model_exists=target.model in movement.reached,
    )
    if planned.identity is not None and plan.source.identity != planned.identity:
        raise Conflict(
            f"source '{planned.source}' is another version than the one that was planned",
            registry=plan.source_registry,
            cure="plan the migration again",
        )
    if planned.version is None:
        report = await _copy(movement, row, plan)
    else:
        report = await _copy_numbered(movement, row, plan, planned.version)
    number = _number_of(report)
    expect_number(target, number, planned.version)
    movement.reached.add(target.model)
    return _arrival(report)


async def _copy(movement: Movement, row: StoredRow, plan: CopyPlan) -> CopyReport:
    gateway = movement.gateway

    async def note(operation: str) -> None:
        await gateway.store.write(lambda tx: migration_rows.set_attempt(tx, movement.id, row.sequence, operation))

    intent = await start_planned(gateway, plan, actor=movement.actor, reason=movement.reason, announce=note)
    if intent.state is not IntentState.SUCCEEDED:
        movement.copying[row.sequence] = intent.id
        try:
            intent = await promises.wait(gateway, intent.id)
        finally:
            del movement.copying[row.sequence]
    report = msgspec.convert(intent.result, CopyReport)
    if row.attempt == intent.id:  # ours, started before this migration was cut, and ended while it was planned again
        report = replace(report, moved=True)
    movement.bytes_done += report.bytes if report.moved else 0
    return report


async def _copy_numbered(movement: Movement, row: StoredRow, plan: CopyPlan, number: str) -> CopyReport:
    """A copy under a number. Placeholders go when it is there, or has failed for good; else the next run needs them."""
    gateway, actor = movement.gateway, movement.actor
    target = Ref(plan.target_registry, plan.target_model)
    if plan.already_at is None:
        await make_room(gateway, plan, number, actor)
    try:
        report = await _copy(movement, row, plan)
    except EngineClosed:
        raise
    except FedregError as error:
        if not error.retryable:
            await take_back_room(gateway, target, plan.key, number, actor)
        raise
    if _number_of(report) == number:
        await clear_room(gateway, target, plan.key, number, actor)
    else:
        await take_back_room(gateway, target, plan.key, number, actor)
    return report


async def _known(movement: Movement, row: StoredRow, target: Ref, there: str) -> Arrival:
    """A copy that is there: by this migration, where it was cut before it had settled the row, or from before.

    A run that was cut may have left placeholders, too.
    """
    planned, source = row.planned, _pinned(row.planned)
    if planned.version is not None:
        key = copy_key(source, target)
        await clear_room(movement.gateway, target, key, there, movement.actor)
    report = await _finished_attempt(movement, row)
    if report is not None:
        return _arrival(report)
    manifest, digest = await movement.gateway.store.read(
        lambda conn: (
            digests.get_manifest(conn, source.registry, source.identity),
            digests.get_digests(conn, source.registry, [source.identity]).get(source.identity),
        )
    )
    value = None if digest is None else digest.value
    if manifest is None:
        return Arrival(there, False, value)
    return Arrival(there, False, value, len(manifest.entries), manifest.size)


async def _finished_attempt(movement: Movement, row: StoredRow) -> CopyReport | None:
    """What this migration's own copy of the row reported, where it ended after the migration was cut."""
    attempt = row.attempt
    if attempt is None:
        return None
    intent = await movement.gateway.store.read(lambda conn: intents.get(conn, attempt))
    if intent is None or intent.state is not IntentState.SUCCEEDED:
        return None
    return msgspec.convert(intent.result, CopyReport)


def _arrival(report: CopyReport) -> Arrival:
    return Arrival(_number_of(report), report.moved, report.digest, report.files, report.bytes, report.losses)


def _pinned(planned: PlannedVersion) -> Version:
    source = Ref.parse(planned.source)
    number = source.selector.value if source.selector else ""
    return Version(registry=source.registry, model=source.model, version=number, identity=planned.identity or "")


def _number_of(report: CopyReport) -> str:
    selector = Ref.parse(report.target).selector
    return selector.value if selector else ""


def _outcome(row: StoredRow, state: RowState, error: dict[str, Any]) -> MigratedVersion:
    planned = row.planned
    return MigratedVersion(
        sequence=row.sequence, source=planned.source, target=planned.target, state=state, error=error
    )
