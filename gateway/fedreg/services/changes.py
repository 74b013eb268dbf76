"""Changes of metadata: an intent, an effect row before each remote write, a journal entry after it.

One workflow does them all. On a resume the live value decides: it is `after` already, then the effect is
done; it is `before`, then it is written; it is neither, then somebody else came first and the change stops.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection

from fedreg.domain.errors import FedregError, NotFound, PreconditionFailed
from fedreg.domain.models import Version, VersionId
from fedreg.domain.port import RegistryAdapter
from fedreg.domain.records import ENDED, Actor, Change, Effect, EffectState, Intent, IntentKind, IntentState, RequestKey
from fedreg.engine.port import Context
from fedreg.services import intents as promises
from fedreg.services.change_entries import list_gone, tell_change
from fedreg.services.effects import CREATED, action_of, journal_values, read_field, register_version, write_field
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
    key: RequestKey | None = None,
) -> Intent:
    """Make the planned effects, in order, and wait. Raises the first effect's error that fails.

    A `key` that has started a change already gives that one.
    """
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
    stored = await promises.submit(gateway, intent, key)
    return await promises.wait(gateway, stored.id)


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
    """The workflow: one step, since the effects' rows are a record of their own of how far it came."""
    intent_id = args["intent"]
    try:
        return await ctx.step("apply", lambda: _apply_all(gateway, intent_id), retries=3, preemptible=False)
    except FedregError as error:
        failure = error
        await ctx.step("fail", lambda: promises.fail(gateway, intent_id, failure))
        raise


async def _apply_all(gateway: Gateway, intent_id: str) -> Any:
    """The effects that are not done yet, in order; the last one's record ends the intent."""
    intent, planned = await gateway.store.write(lambda tx: _begin(tx, intent_id, gateway.now()))
    if intent is None or intent.state in ENDED:
        return None if intent is None else intent.result
    done = [_show(effect) for effect in planned if effect.state is EffectState.DONE]
    left = [effect for effect in planned if effect.state is not EffectState.DONE]
    for effect in left:
        await _apply(gateway, intent_id, effect, done, last=effect is left[-1])
    if not left:
        await gateway.store.write(lambda tx: _settle(tx, intent_id, {"effects": done}, gateway.now()))
    return {"effects": done}


def _begin(tx: Connection, intent_id: str, now: datetime) -> tuple[Intent | None, list[Effect]]:
    """The intent, running, and its effects as they are stored: all before the first write at a registry."""
    intent = intents.get(tx, intent_id)
    if intent is None or intent.state in ENDED:
        return intent, []
    if intent.state is not IntentState.RUNNING:
        intent = intents.set_state(tx, intent_id, IntentState.RUNNING, now=now)
    given = [msgspec.convert(one, Effect) for one in intent.plan["effects"]]
    return intent, [effects.plan(tx, replace(one, intent_id=intent_id)) for one in given]


async def _apply(gateway: Gateway, intent_id: str, effect: Effect, done: list[dict[str, Any]], *, last: bool) -> None:
    """One effect: stored before the write, journalled after it. At least once, so it compares first.

    It is shown in `done` then, which is the intent's result with the `last` one.
    """
    adapter = await gateway.registries.get(effect.registry)
    async with gateway.locks.hold(effect.registry, effect.model):
        if effect.field == CREATED:
            made = await register_version(adapter, effect)
            effect, touched = replace(effect, version=made.version, identity=made.identity), [made]
        else:
            await _bring(gateway, adapter, effect)
            touched = await _touched(gateway, adapter, effect)
    done.append(_show(effect))
    await _record(gateway, intent_id, effect, touched, {"effects": done} if last else None)


async def _bring(gateway: Gateway, adapter: RegistryAdapter, effect: Effect) -> None:
    """Bring a field to what it shall be. Raises PreconditionFailed where somebody else came first."""
    live = await read_field(gateway, adapter, effect)
    if _same(live, effect.after):
        return
    if not _same(live, effect.before):
        await _supersede(gateway, effect)
        raise PreconditionFailed(
            f"{effect.field} of {effect.model!r} is {live!r} by now, not {effect.before!r}",
            registry=effect.registry,
            cure="look at it again and repeat the command",
        )
    await write_field(gateway, adapter, effect)


def _show(effect: Effect) -> dict[str, Any]:
    return {"registry": effect.registry, "model": effect.model, "version": effect.version, "field": effect.field}


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


async def _record(gateway: Gateway, intent_id: str, effect: Effect, touched: Sequence[Version], result: Any) -> None:
    """Effect done, journal, index and, with the last effect's `result`, the intent, in one transaction."""
    now = gateway.now()

    def commit(tx: Connection) -> None:
        intent = intents.get(tx, intent_id)
        if intent is None:
            return
        stored = {e.sequence: e for e in effects.list_effects(tx, intent_id)}[effect.sequence]
        if stored.state is not EffectState.DONE:
            effects.set_state(tx, intent_id, effect.sequence, EffectState.DONE, now=now)
            if effect.field == CREATED:
                effects.set_target(tx, effect)
            ours = _change(intent, effect)
            gone = list_gone(tx, effect)
            seen = _record_in_index(tx, effect, touched, now)
            journal.append_all(tx, tell_change(tx, ours, seen, gone), now)
        if result is not None:
            _settle(tx, intent_id, result, now)

    await gateway.store.write(commit)


def _record_in_index(tx: Connection, effect: Effect, touched: Sequence[Version], now: datetime) -> list[Change]:
    """Bring the index up to date; what it had not known is answered."""
    seen = index.upsert_versions(tx, touched, now, None) if touched else []
    if effect.field.startswith("alias:"):
        for model, seen_at in index.list_seen_models(tx, effect.registry, [effect.model]):
            alias = {effect.field.removeprefix("alias:"): effect.after}
            aliases = {name: version for name, version in {**model.aliases, **alias}.items() if version}
            seen += index.upsert_models(tx, [replace(model, aliases=aliases)], seen_at)
    if effect.field == "version.exists":
        gone = VersionId(model=effect.model, version=effect.version or "", identity=effect.identity or "")
        index.delete_versions(tx, effect.registry, [gone])
    elif effect.field == "model.exists" and not effect.after:
        index.delete_models(tx, effect.registry, [effect.model])
    return seen


def _settle(tx: Connection, intent_id: str, result: Any, now: datetime) -> None:
    intents.set_state(tx, intent_id, IntentState.SUCCEEDED, result=result, now=now)


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
