"""Promotion: giving a version a stage, with everything that was there before written down first."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from fedreg.domain.errors import Conflict, PreconditionFailed
from fedreg.domain.models import Version, VersionStatus
from fedreg.domain.records import Actor, Intent, IntentKind, RequestKey
from fedreg.domain.refs import Ref
from fedreg.domain.reports import PromotionReport
from fedreg.domain.stages import NONE, parse_stage
from fedreg.services import intents as promises
from fedreg.services.changes import apply_change, plan_effect
from fedreg.services.effects import held_by_gateway
from fedreg.services.gateway import Gateway
from fedreg.services.overflow import merge_overflow
from fedreg.services.pages import walk_versions
from fedreg.services.selectors import resolve


async def promote(
    gateway: Gateway,
    ref: Ref,
    stage: str,
    *,
    actor: Actor,
    reason: str | None = None,
    expected: str | None = None,
    dry_run: bool = False,
    key: RequestKey | None = None,
) -> PromotionReport:
    """Give the version a stage and wait until it holds. A `key` that has started a promotion gives that one's report.

    Raises NotFound, InvalidRequest, Conflict for a version that is not ready, PreconditionFailed where its
    stage is not `expected`.
    """
    parse_stage(stage)
    requested = await promises.find_requested(gateway, key)
    if requested is not None:
        await promises.wait(gateway, requested.id)
        return _report(requested)
    version = await resolve(gateway, ref, for_write=True)
    pinned = Ref(version.registry, version.model).at_version(version.version)
    if version.status is not VersionStatus.READY:
        raise Conflict(
            f"version '{pinned}' is {version.status.value}, not ready",
            registry=version.registry,
            cure="only ready versions are promoted; wait for it, or look at its status message",
        )
    if expected is not None and version.stage != expected:
        raise PreconditionFailed(
            f"stage of '{pinned}' is {version.stage!r}, not {expected!r}",
            registry=version.registry,
            cure="read it again and decide anew",
        )
    report = await _preview(gateway, version, stage)
    if dry_run or not report.changed:
        return report
    effect = plan_effect(version.registry, version.model, "stage", version.stage, stage, version)
    plan = {"ref": str(pinned), "stage": stage, "report": msgspec.to_builtins(report)}
    promotion = IntentKind.PROMOTION
    return _report(
        await apply_change(gateway, [effect], actor=actor, reason=reason, kind=promotion, plan=plan, key=key)
    )


def _report(intent: Intent) -> PromotionReport:
    return replace(msgspec.convert(intent.plan["report"], PromotionReport), operation=intent.id)


async def _preview(gateway: Gateway, version: Version, stage: str) -> PromotionReport:
    adapter = await gateway.registries.get(version.registry)
    others: tuple[str, ...] = ()
    if stage != NONE:
        siblings = await merge_overflow(gateway, [v async for v in walk_versions(adapter, version.model)])
        holding = [v for v in siblings if stage in (v.stage, *v.stages) and v.identity != version.identity]
        others = tuple(v.version for v in holding)
    support = adapter.capabilities.stage_support(stage)
    at_gateway = held_by_gateway(adapter.capabilities, "stage", stage)
    moves = support is not None and support.exclusive and not at_gateway
    return PromotionReport(
        ref=str(Ref(version.registry, version.model).at_version(version.version)),
        stage_before=version.stage,
        stage=stage,
        held_by="gateway" if at_gateway or support is None else support.holder.value,
        holders_before=others,
        shared_with=() if moves else others,
        changed=version.stage != stage,
    )
