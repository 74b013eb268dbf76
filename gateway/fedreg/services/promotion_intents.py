"""A promotion over links as an intent, and what the journal is told of it."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection

from fedreg.domain.errors import FedregError
from fedreg.domain.promotions import PromotionPlan, PromotionReport
from fedreg.domain.records import Actor, Change, Intent, IntentKind, IntentState
from fedreg.services.gateway import Gateway
from fedreg.store import intents, journal


def make_intent(
    gateway: Gateway,
    plan: PromotionPlan,
    report: PromotionReport,
    *,
    actor: Actor,
    reason: str | None,
    intent_id: str | None = None,
    **marks: Any,
) -> Intent:
    """The intent of a promotion, not stored yet. `marks` say what kind it is: `repair`, `rollback_of`."""
    now = gateway.now()
    content: dict[str, Any] = {
        "ref": report.ref,
        "stage": report.stage,
        "report": msgspec.to_builtins(report),
        "promotion": msgspec.to_builtins(plan),
        "gates": msgspec.to_builtins(report.gates),
        "fingerprint": plan.fingerprint,
        **marks,
    }
    return Intent(
        id=intent_id or f"promotion-{uuid.uuid4().hex}",
        kind=IntentKind.PROMOTION,
        state=IntentState.PENDING,
        actor=actor,
        reason=reason,
        plan=content,
        created_at=now,
        updated_at=now,
    )


def end_failed(tx: Connection, intent: Intent, error: FedregError, now: datetime) -> None:
    """End a promotion that did not reach its members, and tell the journal."""
    failure = error.to_dict()
    intents.set_state(tx, intent.id, IntentState.FAILED, now=now, error=failure)
    journal.append(tx, settled_change(intent, IntentState.FAILED, {"error": failure}), now)


def requested_change(intent: Intent) -> Change:
    """The journal's entry of a promotion that was asked for: the whole plan."""
    plan = intent.plan["promotion"]
    told = {"wish": plan["wish"], "members": plan["members"], "gates": intent.plan["gates"]}
    return _change(intent, "promotion_requested", told)


def settled_change(intent: Intent, state: IntentState, told: Any) -> Change:
    """The journal's entry of a promotion's end."""
    return _change(intent, "promotion_settled", {"state": state.value, **told})


def _change(intent: Intent, action: str, told: Any) -> Change:
    plan = intent.plan["promotion"]
    return Change(
        action=action,
        registry=plan["registry"],
        model=plan["model"],
        version=plan["version"],
        identity=plan["identity"],
        actor=intent.actor,
        after=told,
        reason=intent.reason,
        intent_id=intent.id,
    )
