"""Effects: each remote write of an intent, committed before it is made."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, insert, select, update

from fedreg.domain.errors import NotFound
from fedreg.domain.records import Effect, EffectRole, EffectState, IntentState
from fedreg.store.columns import canonical_json
from fedreg.store.schema import effects, intents

# Built once: to build a statement costs more than to run it.
_OF_INTENT = effects.c.intent_id == bindparam("of")
_INSERT = insert(effects)
_SET_STATE = (
    update(effects)
    .where(_OF_INTENT, effects.c.sequence == bindparam("place"))
    .values(state=bindparam("new_state"), updated_at=bindparam("now"))
    .returning(*effects.c)
)
_LIST = select(effects).where(_OF_INTENT).order_by(effects.c.sequence)


def plan(tx: Connection, effect: Effect) -> Effect:
    """As `plan_all`, of one."""
    return plan_all(tx, effect.intent_id, [effect])[0]


def plan_all(tx: Connection, intent_id: str, given: Sequence[Effect]) -> list[Effect]:
    """Store an intent's effects and return each with its sequence, counted from 1 within the intent.

    The same registry, model, version, field and `after` again is the same effect: the stored one, with the `before`
    of its first planning, is returned. The intent must exist; the given intent and sequence are ignored.
    """
    rows = list(tx.execute(_LIST, {"of": intent_id}))
    known = {row.key: _to_effect(row) for row in rows}
    last = rows[-1].sequence if rows else 0
    planned, missing = [], []
    for effect in given:
        key = _key(effect)
        if key not in known:
            last += 1
            known[key] = replace(effect, intent_id=intent_id, sequence=last)
            missing.append(_to_row(known[key], key))
        planned.append(known[key])
    if missing:
        tx.execute(_INSERT, missing)
    return planned


def set_state(tx: Connection, intent_id: str, sequence: int, state: EffectState, *, now: datetime) -> Effect:
    """Record how an effect stands. Raises NotFound."""
    given = {"of": intent_id, "place": sequence, "new_state": state.value, "now": now}
    row = tx.execute(_SET_STATE, given).first()
    if row is None:
        raise NotFound(f"operation {intent_id!r} has no effect {sequence}")
    return _to_effect(row)


def set_before(tx: Connection, intent_id: str, sequence: int, before: Any) -> None:
    """Record that the value to be replaced is another one than when it was planned."""
    at = update(effects).where(_OF_INTENT, effects.c.sequence == bindparam("place"))
    tx.execute(at.values(before=before), {"of": intent_id, "place": sequence})


def set_target(tx: Connection, effect: Effect) -> None:
    """Record which version an effect has made."""
    made = update(effects).where(_OF_INTENT, effects.c.sequence == bindparam("place"))
    values = {"version": effect.version, "identity": effect.identity}
    tx.execute(made.values(**values), {"of": effect.intent_id, "place": effect.sequence})


def list_effects(conn: Connection, intent_id: str) -> list[Effect]:
    """An intent's effects in the order they were planned."""
    return [_to_effect(row) for row in conn.execute(_LIST, {"of": intent_id})]


def has_unsettled(conn: Connection, registry: str, model: str) -> bool:
    """Whether an operation under way has effects on a model that are planned: they may have been written already."""
    running = select(intents.c.id).where(intents.c.state == IntentState.RUNNING.value)
    mine = (effects.c.registry == registry, effects.c.model == model, effects.c.state == EffectState.PLANNED.value)
    return (
        conn.execute(select(effects.c.sequence).where(*mine, effects.c.intent_id.in_(running)).limit(1)).first()
        is not None
    )


def _key(effect: Effect) -> str:
    same = [effect.registry, effect.model, effect.version, effect.field, effect.after]
    if effect.role is EffectRole.REVERT:  # never the same as what it takes back
        same.append(effect.role.value)
    return hashlib.sha256(canonical_json(same).encode()).hexdigest()


def _to_row(effect: Effect, key: str) -> dict[str, Any]:
    return {
        "intent_id": effect.intent_id,
        "sequence": effect.sequence,
        "key": key,
        "registry": effect.registry,
        "model": effect.model,
        "version": effect.version,
        "identity": effect.identity,
        "field": effect.field,
        "before": effect.before,
        "after": effect.after,
        "state": effect.state.value,
        "role": effect.role.value,
        "updated_at": effect.updated_at,
    }


def _to_effect(row: Row[Any]) -> Effect:
    return Effect(
        intent_id=row.intent_id,
        sequence=row.sequence,
        registry=row.registry,
        model=row.model,
        version=row.version,
        identity=row.identity,
        field=row.field,
        before=row.before,
        after=row.after,
        state=EffectState(row.state),
        role=EffectRole(row.role),
        updated_at=row.updated_at,
    )
