"""One effect: read live, compared, written where it is not so yet, journalled. Metadata is written no other way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from fedreg.domain.errors import Cancelled, NotFound, Outcome, PreconditionFailed, RegistryTimeout
from fedreg.domain.models import Model, Version, VersionId
from fedreg.domain.port import RegistryAdapter
from fedreg.domain.records import ENDED, Change, Effect, EffectRole, EffectState, Intent, IntentState
from fedreg.domain.stages import NONE
from fedreg.services.change_entries import list_gone, tell_change
from fedreg.services.effects import CREATED, action_of, journal_values, read_field, register_version, write_field
from fedreg.services.gateway import Gateway
from fedreg.services.overflow import merge_model_overflow, merge_overflow
from fedreg.store import effects, index, intents, journal

_LOOKS = (0.2, 0.5, 1.0)


@dataclass(frozen=True, slots=True)
class Touched:
    """What looks different after an effect, as it is then."""

    versions: Sequence[Version]
    models: Sequence[Model]


async def apply_effect(
    gateway: Gateway, effect: Effect, *, settle: Callable[[Effect], Any] | None = None, overwrite: bool = False
) -> Effect:
    """Make one stored effect true and record it; the effect as it was done. At least once, so it compares first.

    `settle` makes the intent's result of the effect, with which the intent ends. `overwrite`: a value that somebody
    else has set since the effect was planned is replaced, and journalled as what was there. Raises
    PreconditionFailed for such a value otherwise, and what the registry raises.
    """
    adapter = await gateway.registries.get(effect.registry)
    async with gateway.locks.hold(effect.registry, effect.model):
        if effect.field == CREATED:
            made = await register_version(adapter, effect)
            effect, wrote, touched = replace(effect, version=made.version, identity=made.identity), True, [made]
        else:
            effect, wrote = await _bring(gateway, adapter, effect, overwrite=overwrite)
            touched = await _read_back(gateway, adapter, effect)
        models = await _touched_models(gateway, adapter, effect)
    seen = Touched(touched, models)
    await _record(gateway, effect, seen, settle(effect) if settle else None, wrote=wrote)
    return effect


async def _bring(gateway: Gateway, adapter: RegistryAdapter, effect: Effect, *, overwrite: bool) -> tuple[Effect, bool]:
    """Bring a field to what it shall be; whether it had to be written.

    Raises PreconditionFailed where somebody else came first.
    """
    live = await read_field(gateway, adapter, effect)
    if _same(live, effect.after):
        return effect, False
    if not _same(live, effect.before) and not _gave_way(adapter, effect, live):
        if not overwrite:
            await _supersede(gateway, effect)
            raise PreconditionFailed(
                f"{effect.field} of {effect.model!r} is {live!r} by now, not {effect.before!r}",
                registry=effect.registry,
                cure="look at it again and repeat the command",
            )
        await gateway.store.write(lambda tx: effects.set_before(tx, effect.intent_id, effect.sequence, live))
        effect = replace(effect, before=live)
    await _check_open(gateway, effect.intent_id)
    await write_field(gateway, adapter, effect)
    return effect, True


async def _check_open(gateway: Gateway, intent_id: str) -> None:
    """Raises Cancelled for an intent that has ended: its models are free, and others may have them by now."""
    state: IntentState | None = await gateway.store.read_row(lambda conn: intents.get_state(conn, intent_id))
    if state in ENDED:
        raise Cancelled(f"operation {intent_id!r} has {state.value}: it writes no more")


def _gave_way(adapter: RegistryAdapter, effect: Effect, live: Any) -> bool:
    """Whether an exclusive stage has left its earlier holder by itself, as a pointer does when it moves."""
    if effect.field != "stage" or effect.role is EffectRole.SET or live != NONE:
        return False
    support = adapter.capabilities.stage_support(effect.before)
    return support is not None and support.exclusive


def _same(live: Any, value: Any) -> bool:
    """Whether a live value is the one meant; for `exists`, a draft means that it shall exist."""
    return bool(live == (bool(value) if isinstance(live, bool) else value))


async def _supersede(gateway: Gateway, effect: Effect) -> None:
    await gateway.store.write(
        lambda tx: effects.set_state(tx, effect.intent_id, effect.sequence, EffectState.SUPERSEDED, now=gateway.now())
    )


async def _read_back(gateway: Gateway, adapter: RegistryAdapter, effect: Effect) -> list[Version]:
    """What the write has touched, with a stage or alias seen to hold: a registry may show it a little later.

    Raises RegistryTimeout where it is not seen within a few looks.
    """
    for wait in (*_LOOKS, None):
        touched = await _touched(gateway, adapter, effect)
        if _holds(effect, touched):
            return touched
        if wait is not None:
            await asyncio.sleep(wait)
    raise RegistryTimeout(
        f"{effect.field} of {effect.model!r} was written, and is not {effect.after!r} when read back",
        registry=effect.registry,
        outcome=Outcome.UNKNOWN,
        cure="look at it again in a while",
    )


def _holds(effect: Effect, touched: Sequence[Version]) -> bool:
    if effect.field == "stage":
        own = [one for one in touched if one.version == effect.version]
        return not own or effect.after in (own[0].stage, *own[0].stages)
    if effect.field.startswith("alias:") and effect.after is not None:
        alias = effect.field.removeprefix("alias:")
        return any(one.version == effect.after and alias in one.aliases for one in touched)
    return True


async def _touched(gateway: Gateway, adapter: RegistryAdapter, effect: Effect) -> list[Version]:
    """The versions that look different after the write, read live: its own, and those a pointer has left."""
    if effect.field.startswith("model.") or effect.field == "version.exists":
        return []
    numbers = {effect.version} if effect.version else set()
    if effect.field == "stage" or effect.field.startswith("alias:"):
        numbers |= {number for number in (effect.before, effect.after) if effect.field != "stage" and number}
    if effect.field == "stage":
        holders: list[str] = await gateway.store.read_row(
            lambda conn: index.list_holders(conn, effect.registry, effect.model, str(effect.after))
        )
        numbers |= set(holders)
    live = []
    for number in sorted(numbers):
        try:
            live.append(await adapter.get_version(effect.model, number))
        except NotFound:
            continue
    return await merge_overflow(gateway, live)


async def _touched_models(gateway: Gateway, adapter: RegistryAdapter, effect: Effect) -> list[Model]:
    """The model, read live, where the write shows on it: else a scan would take our change for somebody else's."""
    if not effect.field.startswith(("alias:", "model.")) and effect.field != "version.exists":
        return []
    try:
        return await merge_model_overflow(gateway, [await adapter.get_model(effect.model)])
    except NotFound:
        return []


async def _record(gateway: Gateway, effect: Effect, touched: Touched, result: Any, *, wrote: bool) -> None:
    """Effect done, journal, index and, with the last effect's `result`, the intent, in one transaction."""
    now, intent_id = gateway.now(), effect.intent_id

    def commit(tx: Connection) -> None:
        intent = intents.get(tx, intent_id)
        if intent is None:
            return
        planned = effects.list_effects(tx, intent_id)
        if next(e for e in planned if e.sequence == effect.sequence).state is not EffectState.DONE:
            effects.set_state(tx, intent_id, effect.sequence, EffectState.DONE, now=now)
            if effect.field == CREATED:
                effects.set_target(tx, effect)
            ours, gone = _change(intent, effect), list_gone(tx, effect)
            settled = Touched(_list_settled(touched.versions, effect, planned), touched.models)
            seen = _record_in_index(tx, effect, settled, now)
            told = tell_change(tx, ours, seen, gone)
            journal.append_all(tx, told if wrote or _is_news(effect, ours, seen) else _without(told, ours), now)
        if result is not None:
            intents.set_state(tx, intent_id, IntentState.SUCCEEDED, result=result, now=now)

    await gateway.store.write(commit)


def _list_settled(touched: Sequence[Version], effect: Effect, planned: Sequence[Effect]) -> list[Version]:
    """The versions touched but for those whose own effect is still to come: it tells what became of them."""
    coming = {
        (one.field, one.identity)
        for one in planned
        if one.state is EffectState.PLANNED and one.sequence != effect.sequence
    }
    return [one for one in touched if (effect.field, one.identity) not in coming]


def _is_news(effect: Effect, ours: Change, seen: Sequence[Change]) -> bool:
    """Whether there is something to tell of an effect that was so before: a stage was told when it came there."""
    if effect.field != "stage":
        return True
    mine = (ours.action, ours.version, ours.identity)
    return any(
        (one.action, one.version, one.identity) == mine or (one.action, one.version) == ("created", effect.version)
        for one in seen
    )


def _without(told: Sequence[Change], ours: Change) -> list[Change]:
    return [one for one in told if one is not ours]


def _record_in_index(tx: Connection, effect: Effect, touched: Touched, now: datetime) -> list[Change]:
    """Bring the index up to date; what it had not known is answered."""
    seen = index.upsert_models(tx, touched.models, now)
    if touched.versions:
        seen += index.upsert_versions(tx, touched.versions, now, None)
    if effect.field == "version.exists":
        gone = VersionId(model=effect.model, version=effect.version or "", identity=effect.identity or "")
        index.delete_versions(tx, effect.registry, [gone])
    elif effect.field == "model.exists" and not effect.after:
        index.delete_models(tx, effect.registry, [effect.model])
    return seen


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
