"""Gates: what a promotion waits for, who has approved, which rules hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

from fedreg.domain.errors import FedregError, GateClosed
from fedreg.domain.links import BoundLink, Gate
from fedreg.domain.models import Version
from fedreg.domain.promotions import GateView, PromotionPlan, Wish
from fedreg.domain.records import Actor, ApprovalRecord, Decision, Intent
from fedreg.domain.stages import Approval
from fedreg.services.gateway import Gateway
from fedreg.services.rules import evaluate, list_inputs
from fedreg.store import approvals


async def open_gates(
    gateway: Gateway, links: Sequence[BoundLink], source: Version, wish: Wish, actor: Actor
) -> tuple[GateView, ...]:
    """The gates before this wish, their rules evaluated now. Raises GateClosed where a rule does not hold."""
    gates = [(link.name, gate) for link in links if (gate := _gate_of(link, wish)) is not None]
    if not gates:
        return ()
    inputs: dict[str, Any] = {}
    if any(gate.rules for _, gate in gates):
        adapter = await gateway.registries.get(source.registry)
        inputs = await list_inputs(adapter, source, to=str(wish.value), actor=actor)
    views = tuple(_view(gateway, name, gate, inputs) for name, gate in gates)
    closed = [(view, rule) for view in views for rule in view.closed_by]
    if closed:
        view, rule = closed[0]
        told = f": {rule.error}" if rule.error else ""
        raise GateClosed(
            f"rule {rule.name!r} of link {view.link!r} does not hold for '{source.ref}'{told}",
            registry=source.registry,
            cure=f"it asks for: {rule.expression}",
            details={"rules": [one.name for _, one in closed], "inputs": inputs},
        )
    return views


async def with_approvers(
    gateway: Gateway, views: Sequence[GateView], intent: Intent, plan: PromotionPlan
) -> tuple[GateView, ...]:
    """The gates with those who have approved exactly this plan, registries that may count among them."""
    if not views:
        return ()
    given: list[ApprovalRecord] = await gateway.store.read(partial(approvals.list_approvals, intent_id=intent.id))
    valid = [
        one
        for one in given
        if one.decision is Decision.APPROVED
        and one.fingerprint == plan.fingerprint
        and one.actor != intent.actor.subject
    ]
    return tuple(
        [
            replace(
                view,
                approvers=(
                    *(one.actor for one in valid if set(one.roles) & set(view.roles)),
                    *await _list_native(gateway, view, plan),
                ),
            )
            for view in views
        ]
    )


async def _list_native(gateway: Gateway, view: GateView, plan: PromotionPlan) -> list[str]:
    """Registries whose own approval counts at this gate, and that have approved their copy of the version."""
    places = {plan.registry: (plan.model, plan.version, plan.identity)}
    places |= {m.registry: (m.model, m.version, m.identity) for m in plan.members if m.version and m.identity}
    found = []
    for registry in view.native:
        if registry not in places:
            continue
        model, version, identity = places[registry]
        try:
            live = await (await gateway.registries.get(registry)).get_version(model, version)
        except FedregError:
            continue  # who can't be asked has not approved
        if live.identity == identity and live.approval is Approval.APPROVED:
            found.append(f"registry:{registry}")
    return found


def _gate_of(link: BoundLink, wish: Wish) -> Gate | None:
    """The link's gate where it stands before this wish: leaving the link's stages passes freely."""
    gate = link.link.asked
    if gate is None:
        return None
    if wish.alias is not None:
        return None if gate.stages else gate
    return gate if wish.value in (gate.stages or link.link.stages) else None


def _view(gateway: Gateway, name: str, gate: Gate, inputs: dict[str, Any]) -> GateView:
    return GateView(
        link=name,
        approvals=gate.approvals,
        roles=gate.roles,
        native=gate.native,
        rules=tuple(evaluate(rule, inputs) for rule in gate.rules),
        inputs=inputs if gate.rules else {},
        expires_at=gateway.now() + timedelta(seconds=gate.expires) if gate.approvals else None,
    )
