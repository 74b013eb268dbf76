"""Changes of metadata: an intent, an effect row before each remote write, a journal entry after it.

One workflow does them all. On a resume the live value decides: it is `after` already, then the effect is
done; it is `before`, then it is written; it is neither, then somebody else came first and the change stops.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import msgspec
from sqlalchemy import Connection

from fedreg.domain.errors import FedregError, NotFound, PreconditionFailed
from fedreg.domain.models import Version, VersionId
from fedreg.domain.port import RegistryAdapter
from fedreg.domain.records import Actor, Change, Effect, EffectState, Intent, IntentKind, IntentState
from fedreg.engine.port import Context
from fedreg.services import intents as promises
from fedreg.services.effects import action_of, journal_values, read_field, write_field
from fedreg.services.gateway import Gateway
from fedreg.services.overflow import merge_overflow
from fedreg.store import effects, index, intents, journal


async def apply_change(
    gateway: Gateway,
    planned: Sequence[Effect],
    *,
    actor: Actor,
    reason: str | None,
    kind: IntentKind = IntentKind.CHANGE,
    plan: Mapping[str, Any] | None = None,
) -> Intent:
    """Make the planned effects, in order, and wait. Raises the first effect's error that fails."""
    now = gateway.now()
    intent = Intent(
        id=f"{kind.value}-{uuid.uuid4().hex}",
        kind=kind,
        state=IntentState.PENDING,
        actor=actor,
        reason=reason,
        plan={**(plan or {}), "effects": msgspec.to_builtins(list(planned))},
        created_at=now,
        updated_at=now,
    )
    await promises.submit(gateway, intent)
    return await promises.wait(gateway, intent.id)


def plan_effect(
    registry: str, model: str, field: str, before: Any, after: Any, version: Version | None = None
) -> Effect:
    """An effect that is not stored yet: the workflow gives it its intent and place."""
    return Effect(
        intent_id="",
        sequence=0,
        registry=registry,
        model=model,
        version=version.version if version else None,
        identity=version.identity if version else None,
        field=field,
        before=before,
        after=after,
    )


async def run_change(gateway: Gateway, ctx: Context, args: dict[str, Any]) -> Any:
    """The workflow."""
    intent_id = args["intent"]
    plan = await ctx.step("load", lambda: _load(gateway, intent_id))
    if plan is None:
        return None
    try:
        done = []
        for number, planned in enumerate(plan["effects"]):
            effect = msgspec.convert(planned, Effect)
            step = partial(_apply, gateway, intent_id, effect)
            done.append(await ctx.step(f"{number} {effect.field}", step, retries=3, preemptible=False))
    except FedregError as error:
        failure = error
        await ctx.step("fail", lambda: promises.fail(gateway, intent_id, failure))
        raise
    return await ctx.step("settle", lambda: _settle(gateway, intent_id, done))


async def _load(gateway: Gateway, intent_id: str) -> Any:
    intent = await promises.begin(gateway, intent_id)
    return None if intent is None else intent.plan


async def _apply(gateway: Gateway, intent_id: str, planned: Effect) -> Any:
    """One effect: committed before the write, journalled after it. At least once, so it compares first."""
    adapter = await gateway.registries.get(planned.registry)
    stored: Effect = await gateway.store.write(lambda tx: effects.plan(tx, replace(planned, intent_id=intent_id)))
    async with gateway.locks.hold(planned.registry, planned.model):
        live = await read_field(gateway, adapter, stored)
        if not _same(live, stored.after):
            if not _same(live, stored.before):
                await _supersede(gateway, stored)
                raise PreconditionFailed(
                    f"{stored.field} of {stored.model!r} is {live!r} by now, not {stored.before!r}",
                    registry=stored.registry,
                    cure="look at it again and repeat the command",
                )
            await write_field(gateway, adapter, stored)
        touched = await _touched(gateway, adapter, stored)
    await _record(gateway, intent_id, stored, touched)
    return {"registry": stored.registry, "model": stored.model, "version": stored.version, "field": stored.field}


def _same(live: Any, value: Any) -> bool:
    """Whether a live value is the one meant; for `exists`, a draft means that it shall exist."""
    return bool(live == (bool(value) if isinstance(live, bool) else value))


async def _supersede(gateway: Gateway, effect: Effect) -> None:
    await gateway.store.write(
        lambda tx: effects.set_state(tx, effect.intent_id, effect.sequence, EffectState.SUPERSEDED, now=gateway.now())
    )


async def _touched(gateway: Gateway, adapter: RegistryAdapter, effect: Effect) -> list[Version]:
    """The versions that look different after the write, read live: its own, and those a pointer has left."""
    if effect.field.startswith("model.") or effect.field == "version.exists":
        return []
    numbers = {effect.version} if effect.version else set()
    if effect.field == "stage" or effect.field.startswith("alias:"):
        numbers |= {number for number in (effect.before, effect.after) if effect.field != "stage" and number}
        indexed: list[Version] = await gateway.store.read(
            lambda conn: index.get_versions(conn, effect.registry, effect.model)
        )
        numbers |= {v.version for v in indexed if effect.field == "stage" and effect.after in (v.stage, *v.stages)}
    live = []
    for number in sorted(numbers):
        try:
            live.append(await adapter.get_version(effect.model, number))
        except NotFound:
            continue
    return await merge_overflow(gateway, live)


async def _record(gateway: Gateway, intent_id: str, effect: Effect, touched: Sequence[Version]) -> None:
    """Effect done, journal and index, in one transaction."""
    now = gateway.now()

    def commit(tx: Connection) -> None:
        intent = intents.get(tx, intent_id)
        known = {e.sequence: e for e in effects.list_effects(tx, intent_id)}
        if intent is None or known[effect.sequence].state is EffectState.DONE:
            return
        effects.set_state(tx, intent_id, effect.sequence, EffectState.DONE, now=now)
        journal.append(tx, _change(intent, effect), now)
        if touched:
            index.upsert_versions(tx, touched, now, None)
        if effect.field == "version.exists":
            gone = VersionId(model=effect.model, version=effect.version or "", identity=effect.identity or "")
            index.delete_versions(tx, effect.registry, [gone])
        elif effect.field == "model.exists" and not effect.after:
            index.delete_models(tx, effect.registry, [effect.model])

    await gateway.store.write(commit)


def _change(intent: Intent, effect: Effect) -> Change:
    before, after = journal_values(effect)
    moved = effect.after or effect.before if effect.field.startswith("alias:") else None
    return Change(
        action=action_of(effect),
        registry=effect.registry,
        model=effect.model,
        version=effect.version or moved,
        identity=effect.identity,
        actor=intent.actor,
        before=before,
        after=after,
        reason=intent.reason,
        intent_id=intent.id,
    )


async def _settle(gateway: Gateway, intent_id: str, done: Sequence[Any]) -> Any:
    result = {"effects": list(done)}
    await gateway.store.write(
        lambda tx: intents.set_state(tx, intent_id, IntentState.SUCCEEDED, result=result, now=gateway.now())
    )
    return result
