"""Intents: what the gateway promised to finish, and the workflow that finishes each.

An intent is stored before its workflow starts, and the workflow's id is the intent's. A process that dies
between the two leaves an intent without workflow, which `reconcile` starts; a workflow whose intent is not
there does nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from fedreg.domain.errors import Conflict, FedregError, NotFound
from fedreg.domain.records import ENDED, Intent, IntentKind, IntentState, RequestKey
from fedreg.engine.port import State
from fedreg.services.gateway import Gateway
from fedreg.store import intents, requests

WORKFLOWS: Mapping[IntentKind, str] = {
    IntentKind.COPY: "copy",
    IntentKind.PROMOTION: "promotion",
    IntentKind.CHANGE: "change",
    IntentKind.CHECK: "check",
    IntentKind.MIGRATION: "migration",
}


async def submit(gateway: Gateway, intent: Intent, key: RequestKey | None = None) -> Intent:
    """Store an intent and start its workflow; the same id or the same key again attaches to the first.

    Raises Conflict where the key came with another request.
    """
    stored: Intent = await gateway.store.write(lambda tx: requests.create_intent(tx, intent, key, gateway.now()))
    if stored is intent:
        await start(gateway, stored)
    elif stored.state not in ENDED:
        await revive(gateway, stored)
    return stored


async def start(gateway: Gateway, intent: Intent) -> None:
    """Start the workflow of a stored intent; one that runs already is left as it is."""
    engine = await gateway.launched_engine()
    await engine.start(_workflow_of(intent), intent.id, {"intent": intent.id})


async def revive(gateway: Gateway, intent: Intent) -> None:
    """Let an intent that has not ended go on, whatever has become of its workflow.

    Never started: it is started. Failed without a word in the store, as with a full disk: it goes on from its first
    failed step. Cancelled by a process that died over it: the intent ends.
    """
    await start(gateway, intent)
    engine = await gateway.launched_engine()
    state = (await engine.status(intent.id)).state
    if state not in (State.FAILED, State.CANCELLED):
        return
    current = await get_intent(gateway, intent.id)
    if current.state in ENDED:
        return
    if state is State.FAILED:
        with suppress(Conflict):  # somebody else has just resumed it
            await engine.resume(intent.id)
    else:
        now = gateway.now()
        await gateway.store.write(lambda tx: intents.set_state(tx, intent.id, IntentState.CANCELLED, now=now))


def _workflow_of(intent: Intent) -> str:
    """A promotion that no link concerns is a change: its effects are planned."""
    return "change" if "effects" in intent.plan else WORKFLOWS[intent.kind]


async def find_requested(gateway: Gateway, key: RequestKey | None) -> Intent | None:
    """What a key has started already. Raises Conflict where it came with another request."""
    if key is None:
        return None
    found: Intent | None = await gateway.store.read(lambda conn: requests.find(conn, key))
    return found


async def wait(gateway: Gateway, intent_id: str) -> Intent:
    """Wait for the end of an intent and return it. Raises the error it failed with."""
    engine = await gateway.launched_engine()
    await engine.wait(intent_id)
    return await get_intent(gateway, intent_id)


async def get_intent(gateway: Gateway, intent_id: str) -> Intent:
    """Raises NotFound."""
    intent: Intent | None = await gateway.store.read_row(lambda conn: intents.get(conn, intent_id))
    if intent is None:
        raise NotFound(f"operation {intent_id!r} does not exist", cure="`fedreg operations list` shows what there is")
    return intent


async def begin(gateway: Gateway, intent_id: str) -> Intent | None:
    """The intent, marked running; None where there is nothing to do any more."""
    intent: Intent | None = await gateway.store.read(lambda conn: intents.get(conn, intent_id))
    if intent is None or intent.state in ENDED:
        return None
    if intent.state is not IntentState.RUNNING:
        await gateway.store.write(lambda tx: intents.set_state(tx, intent_id, IntentState.RUNNING, now=gateway.now()))
    return intent


async def fail(gateway: Gateway, intent_id: str, error: FedregError) -> None:
    """Record the error an intent ended with."""
    await gateway.store.write(
        lambda tx: intents.set_state(tx, intent_id, IntentState.FAILED, error=error.to_dict(), now=gateway.now())
    )


async def reconcile(gateway: Gateway) -> list[str]:
    """Let all go on that has not ended (see `revive`): at a gateway's start and on its timer. Returns the ids."""
    open_states = (IntentState.PENDING, IntentState.RUNNING)
    unfinished: list[Intent] = await gateway.store.read(
        lambda conn: intents.list_intents(conn, states=open_states, limit=10_000)
    )
    if not unfinished:
        return []
    for intent in unfinished:
        await revive(gateway, intent)
    return [intent.id for intent in unfinished]
