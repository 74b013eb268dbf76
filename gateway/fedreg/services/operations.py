"""Operations: intents as callers follow them, with the engine's progress."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from fedreg.domain.errors import Conflict, NotFound
from fedreg.domain.records import ENDED, Intent, IntentKind, IntentState
from fedreg.domain.reports import OperationView
from fedreg.services.copy_abort import abort_copy
from fedreg.services.gateway import Gateway
from fedreg.services.intents import get_intent
from fedreg.services.promotion_intents import settled_change
from fedreg.store import intents, journal, migration_rows


async def list_operations(
    gateway: Gateway,
    *,
    kinds: tuple[IntentKind, ...] = (),
    states: tuple[IntentState, ...] = (),
    limit: int = 100,
    cursor: str | None = None,
) -> list[OperationView]:
    """Operations, newest first. `cursor` is the id of the last one seen; NotFound for one that is none."""
    found: list[Intent] = await gateway.store.read(
        lambda conn: intents.list_intents(conn, kinds=kinds, states=states, limit=limit, cursor=cursor)
    )
    return [await view_operation(gateway, intent) for intent in found]


async def get_operation(gateway: Gateway, operation_id: str) -> OperationView:
    """Raises NotFound."""
    return await view_operation(gateway, await get_intent(gateway, operation_id))


async def cancel_operation(gateway: Gateway, operation_id: str) -> OperationView:
    """Stop an operation at its next step and remove what a copy has left. Raises NotFound, Conflict if it ended."""
    intent = await get_intent(gateway, operation_id)
    if intent.state in ENDED:
        raise Conflict(
            f"operation {operation_id!r} has {intent.state.value}", cure="only a running one can be cancelled"
        )
    engine = await gateway.launched_engine()
    with suppress(NotFound):  # promised but never started: the state below keeps it from starting
        await engine.cancel(operation_id)
    if intent.kind is IntentKind.COPY:
        await abort_copy(gateway, intent)
    await gateway.store.write(lambda tx: intents.set_state(tx, operation_id, IntentState.CANCELLED, now=gateway.now()))
    if intent.kind is IntentKind.MIGRATION:
        await _cancel_copies(gateway, operation_id)
    if intent.kind is IntentKind.PROMOTION:
        await _end_promotion(gateway, operation_id)
    return await get_operation(gateway, operation_id)


async def view_operation(gateway: Gateway, intent: Intent) -> OperationView:
    """An intent with the progress its workflow reports in this process."""
    return OperationView(
        id=intent.id,
        kind=intent.kind,
        state=intent.state,
        actor=intent.actor.subject,
        reason=intent.reason,
        plan=intent.plan,
        progress=await _progress(gateway, intent),
        result=intent.result,
        error=intent.error,
        created_at=intent.created_at,
        updated_at=intent.updated_at,
    )


async def _cancel_copies(gateway: Gateway, migration_id: str) -> None:
    """Stop the copies that a cancelled migration has under way."""
    for copy in await gateway.store.read(lambda conn: migration_rows.list_attempts(conn, migration_id)):
        with suppress(Conflict, NotFound):  # it has ended meanwhile, or was noted and never started
            await cancel_operation(gateway, copy)


async def _end_promotion(gateway: Gateway, promotion_id: str) -> None:
    """Stop the copies that a cancelled promotion has under way, and say in the journal that it was cancelled."""
    intent = await get_intent(gateway, promotion_id)
    for copy in intent.plan.get("copies", {}).values():
        with suppress(Conflict, NotFound):  # it has ended meanwhile, or was noted and never started
            await cancel_operation(gateway, copy)
    if "promotion" in intent.plan:
        now, told = gateway.now(), settled_change(intent, IntentState.CANCELLED, {})
        await gateway.store.write(lambda tx: journal.append(tx, told, now))


async def _progress(gateway: Gateway, intent: Intent) -> Mapping[str, Any] | None:
    if intent.state in ENDED or gateway.engine is None:
        return None
    try:
        return (await gateway.engine.status(intent.id)).progress
    except NotFound:
        return None
