"""Changes of metadata: an intent, an effect row before each remote write, a journal entry after it.

One workflow does them all. On a resume the live value decides: it is `after` already, then the effect is
done; it is `before`, then it is written; it is neither, then somebody else came first and the change stops.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection

from fedreg.domain.errors import FedregError
from fedreg.domain.models import Version
from fedreg.domain.records import ENDED, Actor, Effect, EffectState, Intent, IntentKind, IntentState, RequestKey
from fedreg.engine.port import Context
from fedreg.services import intents as promises
from fedreg.services.applying import apply_effect
from fedreg.services.claiming import is_claimed, until_free
from fedreg.services.gateway import Gateway
from fedreg.store import claims, effects, intents

PATIENCE = 30.0


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
    """The workflow: without a checkpoint, since the effects' rows are a record of their own of how far it came."""
    intent_id = args["intent"]
    try:
        return await ctx.run("apply", lambda: _apply_all(gateway, intent_id), retries=3)
    except FedregError as error:
        failure = error
        await ctx.step("fail", lambda: promises.fail(gateway, intent_id, failure))
        raise


async def _apply_all(gateway: Gateway, intent_id: str) -> Any:
    """The effects that are not done yet, in order; the last one's record ends the intent."""
    intent, planned = await _begin(gateway, intent_id)
    if intent is None:
        return None
    if intent.state in ENDED:
        if intent.error is not None:  # killed between this record and the engine's
            raise FedregError.from_dict(dict(intent.error))
        return intent.result
    done = [_show(effect) for effect in planned if effect.state is EffectState.DONE]
    left = [effect for effect in planned if effect.state is not EffectState.DONE]

    def settle(effect: Effect) -> Any:
        return {"effects": [*done, _show(effect)]}

    for effect in left:
        made = await apply_effect(gateway, effect, settle=settle if effect is left[-1] else None)
        done.append(_show(made))
    if not left:
        now, result = gateway.now(), {"effects": done}
        ended = IntentState.SUCCEEDED
        await gateway.store.write(lambda tx: intents.set_state(tx, intent_id, ended, result=result, now=now))
    return {"effects": done}


async def _begin(gateway: Gateway, intent_id: str) -> tuple[Intent | None, list[Effect]]:
    """The intent, running, and its effects as they are stored: all before the first write at a registry.

    Waits for a promotion that has claimed the model. Raises Conflict where that takes too long.
    """

    def begin(tx: Connection) -> tuple[str | None, Intent | None, list[Effect]]:
        intent = intents.get(tx, intent_id)
        if intent is None or intent.state in ENDED:
            return None, intent, []
        given = [msgspec.convert(one, Effect) for one in intent.plan["effects"]]
        holder = claims.take(tx, intent_id, [(one.registry, one.model) for one in given if is_claimed(one.field)])
        if holder is not None:
            return holder, intent, []
        if intent.state is not IntentState.RUNNING:
            intent = intents.set_state(tx, intent_id, IntentState.RUNNING, now=gateway.now())
        return None, intent, effects.plan_all(tx, intent_id, given)

    intent, planned = await until_free(gateway, lambda: gateway.store.write(begin), patience=PATIENCE)
    return intent, planned


def _show(effect: Effect) -> dict[str, Any]:
    return {"registry": effect.registry, "model": effect.model, "version": effect.version, "field": effect.field}
