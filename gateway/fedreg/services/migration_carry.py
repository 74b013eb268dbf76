"""Stages, aliases and approval of a migrated version: set after the copy, and never taken from another version."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fedreg.domain.capabilities import Capabilities, Operation, check_alias
from fedreg.domain.errors import Conflict, InvalidRequest
from fedreg.domain.migrations import PlannedVersion
from fedreg.domain.models import Version
from fedreg.domain.port import AdapterManifest, RegistryAdapter
from fedreg.domain.records import Actor, Effect
from fedreg.domain.refs import Ref
from fedreg.domain.reports import Loss, LossKind
from fedreg.services.changes import apply_change, plan_effect
from fedreg.services.effects import held_by_gateway, version_field
from fedreg.services.fidelity import list_spellings
from fedreg.services.gateway import Gateway
from fedreg.services.overflow import merge_overflow
from fedreg.services.pages import walk_versions


def carry_losses(
    planned: PlannedVersion, capabilities: Capabilities, manifest: AdapterManifest, *, target: str, contested: bool
) -> list[Loss]:
    """What of it the target can't hold, or spells otherwise.

    `contested`: a later version of the model is to have the same stage.
    """
    losses = []
    if planned.stage is not None:
        if held_by_gateway(capabilities, "stage", planned.stage):
            losses.append(_loss("stage", LossKind.HELD_BY_GATEWAY, f"registry {target!r} can't hold {planned.stage!r}"))
        elif contested and is_exclusive(capabilities, planned.stage):
            why = f"at registry {target!r} one version has {planned.stage!r}: a later one gets it"
            losses.append(_loss("stage", LossKind.DROPPED, why))
    for stage in planned.other_stages:
        losses.append(
            _loss(f"stages.{stage}", LossKind.DROPPED, f"a version arrives with one stage: {planned.stage!r}")
        )
    for alias in planned.aliases:
        refused = _alias_refused(alias, capabilities, target)
        if refused is not None:
            losses.append(_loss(f"aliases.{alias}", LossKind.DROPPED, refused))
    if planned.approval is not None and held_by_gateway(capabilities, "approval", _decision(planned)):
        losses.append(_loss("approval", LossKind.HELD_BY_GATEWAY, f"registry {target!r} can't hold it"))
        if planned.approval_comment:
            losses.append(_loss("approval_comment", LossKind.DROPPED, "the gateway holds decisions without a comment"))
    dropped = {loss.field for loss in losses}
    kept = [alias for alias in planned.aliases if f"aliases.{alias}" not in dropped]
    return [*losses, *list_spellings(manifest, target=target, aliases=kept)]


def is_exclusive(capabilities: Capabilities, stage: str) -> bool:
    """Whether one version of a model at most can have this stage there."""
    support = capabilities.stage_support(stage)
    return support is not None and support.exclusive


async def carry(
    gateway: Gateway,
    planned: PlannedVersion,
    losses: Sequence[Loss],
    arrived: Ref,
    number: str,
    *,
    actor: Actor,
    reason: str | None,
    migration: str,
) -> None:
    """Give the arrived version what the plan says, but for what is dropped; what it has already stays.

    Raises Conflict where the target has decided otherwise: another version holds the alias or the stage, or this one
    has another stage or decision.
    """
    if planned.stage is None and planned.approval is None and not planned.aliases:
        return
    adapter = await gateway.registries.get(arrived.registry)
    [live] = await merge_overflow(gateway, [await adapter.get_version(arrived.model, number)])
    dropped = {loss.field for loss in losses if loss.kind is LossKind.DROPPED}
    effects = [*_approval_effects(planned, live, dropped)]
    effects += await _alias_effects(adapter, planned, live, dropped)
    if planned.stage is not None and "stage" not in dropped:
        effects += await _stage_effects(gateway, adapter, planned.stage, live)
    if effects:
        await apply_change(gateway, effects, actor=actor, reason=reason, plan={"migration": migration})


def _approval_effects(planned: PlannedVersion, live: Version, dropped: set[str]) -> list[Effect]:
    before, after = version_field(live, "approval"), _decision(planned)
    if "approval_comment" in dropped:
        after = {**after, "comment": None}
    if planned.approval is None or before == after or before["decision"] == after["decision"]:
        return []
    if before["decision"] not in ("none", "pending"):
        raise _taken(live, f"its approval is {before['decision']!r}, not {after['decision']!r}", "decide it there")
    return [plan_effect(live.registry, live.model, "approval", before, after, live)]


async def _alias_effects(
    adapter: RegistryAdapter, planned: PlannedVersion, live: Version, dropped: set[str]
) -> list[Effect]:
    wanted = [alias for alias in planned.aliases if f"aliases.{alias}" not in dropped]
    if not wanted:
        return []
    held = (await adapter.get_model(live.model)).aliases
    effects = []
    for alias in wanted:
        holder = held.get(alias)
        if holder not in (None, live.version):
            raise _taken(live, f"alias {alias!r} is on version {holder} there", "move it with `fedreg alias`")
        if holder is None:
            effects.append(plan_effect(live.registry, live.model, f"alias:{alias}", None, live.version))
    return effects


async def _stage_effects(gateway: Gateway, adapter: RegistryAdapter, stage: str, live: Version) -> list[Effect]:
    if stage in (live.stage, *live.stages):
        return []
    if live.stage != "none":
        raise _taken(live, f"its stage is {live.stage!r}, not {stage!r}", "promote it there")
    if is_exclusive(adapter.capabilities, stage):
        siblings = await merge_overflow(gateway, [v async for v in walk_versions(adapter, live.model)])
        for other in siblings:
            if stage in (other.stage, *other.stages) and other.identity != live.identity:
                raise _taken(live, f"version {other.version} has stage {stage!r} there", "promote the right one there")
    return [plan_effect(live.registry, live.model, "stage", live.stage, stage, live)]


def _decision(planned: PlannedVersion) -> dict[str, Any]:
    return {"decision": planned.approval, "comment": planned.approval_comment}


def _alias_refused(alias: str, capabilities: Capabilities, target: str) -> str | None:
    if not capabilities.supports(Operation.SET_ALIAS):
        return f"registry {target!r} has no aliases"
    try:
        check_alias(alias, capabilities.limits, registry=target)
    except InvalidRequest as error:
        return error.message
    return None


def _loss(field: str, kind: LossKind, why: str) -> Loss:
    return Loss(field=field, kind=kind, why=why)


def _taken(live: Version, what: str, cure: str) -> Conflict:
    ref = Ref(live.registry, live.model).at_version(live.version)
    return Conflict(f"'{ref}' arrived, but {what}: a migration takes nothing away", registry=live.registry, cure=cure)
