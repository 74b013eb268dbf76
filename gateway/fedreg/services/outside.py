"""What was changed at a member behind the gateway's back: spread, undone, or left to be seen as drift."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from fedreg.domain.errors import FedregError
from fedreg.domain.links import BoundLink, OnOutside
from fedreg.domain.records import Actor, Change, IntentKind
from fedreg.domain.refs import Ref
from fedreg.services.changes import apply_change, plan_effect
from fedreg.services.gateway import Gateway
from fedreg.services.links import bound_links
from fedreg.services.promotion import promote
from fedreg.services.selectors import resolve

log = logging.getLogger(__name__)


async def react(gateway: Gateway, changes: Sequence[Change]) -> None:
    """Handle observed changes of stages as the links of their models say. A failure is logged and stays as drift."""
    for change in changes:
        if change.action != "stage_set" or change.version is None:
            continue
        for link in await bound_links(gateway, change.registry, change.model):
            try:
                await _handle(gateway, link, change)
            except FedregError as error:
                log.warning(
                    "link %r could not %s the outside change of %s:%s: %s",
                    link.name,
                    link.link.on_outside.value,
                    change.registry,
                    change.model,
                    error,
                )


async def _handle(gateway: Gateway, link: BoundLink, change: Change) -> None:
    member = link.member(change.registry, change.model)
    flows = change.after in link.link.stages or change.before in link.link.stages
    if member is None or not flows or not {change.before, change.after} & set(member.stages):
        return
    actor = Actor(subject=f"registry:{change.registry}")
    ref = Ref(change.registry, change.model).at_version(change.version or "")
    if link.link.on_outside is OnOutside.ADOPT and link.flows_from(member):
        if change.after in link.link.stages:  # what has lost a stage follows from who has won it
            await promote(gateway, ref, str(change.after), actor=actor, reason="adopted", wait=False)
    elif link.link.on_outside is OnOutside.REVERT:
        await _revert(gateway, ref, change, actor)


async def _revert(gateway: Gateway, ref: Ref, change: Change, actor: Actor) -> None:
    version = await resolve(gateway, ref, for_write=True)
    if version.identity != change.identity or version.stage != change.after:
        return
    effect = plan_effect(ref.registry, ref.model, "stage", change.after, change.before, version)
    plan = {"ref": str(ref), "stage": change.before, "report": _report(ref, change)}
    kind = IntentKind.PROMOTION
    await apply_change(gateway, [effect], actor=actor, reason="outside change undone", kind=kind, plan=plan)


def _report(ref: Ref, change: Change) -> dict[str, object]:
    return {
        "ref": str(ref),
        "stage_before": change.after,
        "stage": change.before,
        "held_by": "",
        "holders_before": [],
        "shared_with": [],
        "changed": True,
    }
