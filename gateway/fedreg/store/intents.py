"""Intents: what the gateway was asked to do and will finish."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, delete, insert, or_, select, update

from fedreg.domain.errors import Conflict, NotFound
from fedreg.domain.records import ENDED, Actor, Intent, IntentKind, IntentState
from fedreg.store.schema import claims, intents

# A failed intent may run again (a copy resumed after a passing error); done and cancelled are for good.
_NEXT: Mapping[IntentState, frozenset[IntentState]] = {
    IntentState.PENDING: frozenset({IntentState.WAITING, IntentState.RUNNING, *ENDED}),
    IntentState.WAITING: frozenset({IntentState.PENDING, IntentState.RUNNING, *ENDED} - {IntentState.SUCCEEDED}),
    IntentState.RUNNING: frozenset({IntentState.RUNNING, *ENDED}),
    IntentState.SUCCEEDED: frozenset(),
    IntentState.FAILED: frozenset({IntentState.RUNNING}),
    IntentState.CANCELLED: frozenset(),
}

# Built once: to build a statement costs more than to run it.
_GET = select(intents).where(intents.c.id == bindparam("of"))
_GET_STATE = select(intents.c.state).where(intents.c.id == bindparam("of"))
_INSERT = insert(intents)
_SET_STATE = (
    update(intents)
    .where(intents.c.id == bindparam("of"))
    .where(intents.c.state.in_(bindparam("from_states", expanding=True)))
    .values({name: bindparam(f"new_{name}") for name in ("state", "result", "error", "updated_at")})
    .returning(*intents.c)
)
# state -> from where it may be reached; one that has not ended may be set again.
_BEFORE: Mapping[IntentState, list[str]] = {
    state: [one.value for one in IntentState if state in _NEXT[one] or (one is state and state not in ENDED)]
    for state in IntentState
}
_RELEASE = delete(claims).where(claims.c.intent_id == bindparam("of"))
_SET_PLAN = update(intents).where(intents.c.id == bindparam("of")).values(plan=bindparam("new_plan"))


def create(tx: Connection, intent: Intent) -> Intent:
    """Store a new intent; where its id exists, the stored one is returned and nothing changes."""
    known = get(tx, intent.id)
    if known is not None:
        return known
    tx.execute(_INSERT, _to_row(intent))
    return intent


def get(conn: Connection, intent_id: str) -> Intent | None:
    """The intent, or None."""
    row = conn.execute(_GET, {"of": intent_id}).first()
    return None if row is None else _to_intent(row)


def get_state(conn: Connection, intent_id: str) -> IntentState | None:
    """The intent's state, or None where there is no such intent."""
    state = conn.scalar(_GET_STATE, {"of": intent_id})
    return None if state is None else IntentState(state)


def list_intents(
    conn: Connection,
    *,
    states: Collection[IntentState] = (),
    kinds: Collection[IntentKind] = (),
    id_prefix: str | None = None,
    limit: int = 100,
    cursor: str | None = None,
) -> list[Intent]:
    """Intents, newest first; no `states` or `kinds` means all. `cursor` is the id of the last one seen.

    Raises NotFound for a cursor that is no intent's id.
    """
    query = select(intents)
    if states:
        query = query.where(intents.c.state.in_([state.value for state in states]))
    if kinds:
        query = query.where(intents.c.kind.in_([kind.value for kind in kinds]))
    if id_prefix is not None:
        query = query.where(intents.c.id.startswith(id_prefix, autoescape=True))
    if cursor is not None:
        last = _require(conn, cursor)
        same_time = and_(intents.c.created_at == last.created_at, intents.c.id < last.id)
        query = query.where(or_(intents.c.created_at < last.created_at, same_time))
    rows = conn.execute(query.order_by(intents.c.created_at.desc(), intents.c.id.desc()).limit(limit))
    return [_to_intent(row) for row in rows]


def set_state(
    tx: Connection,
    intent_id: str,
    state: IntentState,
    *,
    now: datetime,
    result: Mapping[str, Any] | None = None,
    error: Mapping[str, Any] | None = None,
) -> Intent:
    """Move an intent on and return it. The state it already ended in changes nothing: steps may run twice.

    An intent that ends gives its claims back.

    Raises NotFound, and Conflict for a move its life does not have (`pending -> running -> an end`).
    """
    new = {"state": state.value, "result": result, "error": error, "updated_at": now}
    given = {"of": intent_id, "from_states": _BEFORE[state], **{f"new_{name}": value for name, value in new.items()}}
    row = tx.execute(_SET_STATE, given).first()
    if row is None:
        return _refuse_move(tx, intent_id, state)
    if state in ENDED:
        tx.execute(_RELEASE, {"of": intent_id})
    return _to_intent(row)


def set_plan(tx: Connection, intent_id: str, plan: Mapping[str, Any]) -> None:
    """Replace what an intent is to do: a promotion's plan becomes final when it starts."""
    tx.execute(_SET_PLAN, {"of": intent_id, "new_plan": plan})


def _refuse_move(tx: Connection, intent_id: str, state: IntentState) -> Intent:
    """The intent that has ended in this state already. Raises NotFound, Conflict for any other."""
    before = _require(tx, intent_id)
    if before.state is state:
        return before
    raise Conflict(
        f"operation {intent_id!r} is {before.state.value}: it can't become {state.value}",
        cure="look at it with `fedreg operations show`",
        details={"state": before.state.value},
    )


def _require(conn: Connection, intent_id: str) -> Intent:
    intent = get(conn, intent_id)
    if intent is None:
        raise NotFound(f"operation {intent_id!r} does not exist", cure="`fedreg operations list` shows what there is")
    return intent


def _to_row(intent: Intent) -> dict[str, Any]:
    return {
        "id": intent.id,
        "kind": intent.kind.value,
        "state": intent.state.value,
        "actor": intent.actor.subject,
        "authenticated": intent.actor.authenticated,
        "plan": intent.plan,
        "reason": intent.reason,
        "result": intent.result,
        "error": intent.error,
        "created_at": intent.created_at,
        "updated_at": intent.updated_at,
    }


def _to_intent(row: Row[Any]) -> Intent:
    return Intent(
        id=row.id,
        kind=IntentKind(row.kind),
        state=IntentState(row.state),
        actor=Actor(subject=row.actor, authenticated=row.authenticated),
        plan=row.plan,
        reason=row.reason,
        result=row.result,
        error=row.error,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
