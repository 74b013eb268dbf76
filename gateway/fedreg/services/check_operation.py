"""A check as an operation: for callers who do not want to hold a request open while every byte is read."""

from __future__ import annotations

import uuid
from typing import Any

import msgspec

from fedreg.domain.errors import FedregError
from fedreg.domain.records import Actor, Intent, IntentKind, IntentState, RequestKey
from fedreg.domain.refs import Ref
from fedreg.engine.port import Context
from fedreg.services import intents as promises
from fedreg.services.check import check
from fedreg.services.gateway import Gateway
from fedreg.store import intents


async def start_check(
    gateway: Gateway, source: Ref, target: Ref, *, download: bool, actor: Actor, key: RequestKey | None = None
) -> Intent:
    """Start comparing. Raises NotFound for an unknown registry; what else is wrong is the operation's error.

    A `key` that has started a check already gives that one.
    """
    for ref in (source, target):
        gateway.registries.kind(ref.registry)
    now = gateway.now()
    intent = Intent(
        id=f"check-{uuid.uuid4().hex}",
        kind=IntentKind.CHECK,
        state=IntentState.PENDING,
        actor=actor,
        plan={"source": str(source), "target": str(target), "download": download},
        created_at=now,
        updated_at=now,
    )
    return await promises.submit(gateway, intent, key)


async def run_check(gateway: Gateway, ctx: Context, args: dict[str, Any]) -> Any:
    """The workflow. It changes nothing but its own state, so a repeated step compares again."""
    intent_id = args["intent"]

    async def compare() -> Any:
        intent = await promises.begin(gateway, intent_id)
        if intent is None:
            return None
        source, target = Ref.parse(intent.plan["source"]), Ref.parse(intent.plan["target"])
        report = await check(gateway, source, target, download=intent.plan["download"])
        return {**msgspec.to_builtins(report), "same": report.same}

    try:
        report = await ctx.step("compare", compare)
    except FedregError as error:
        failure = error
        await ctx.step("fail", lambda: promises.fail(gateway, intent_id, failure))
        raise
    return await ctx.step("settle", lambda: _settle(gateway, intent_id, report))


async def _settle(gateway: Gateway, intent_id: str, report: Any) -> Any:
    if report is not None:
        await gateway.store.write(
            lambda tx: intents.set_state(tx, intent_id, IntentState.SUCCEEDED, result=report, now=gateway.now())
        )
    return report
