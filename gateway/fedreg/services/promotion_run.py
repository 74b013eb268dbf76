"""The workflow of a promotion over several places: claimed, planned again, each member brought there, settled.

Members are worked off side by side and in rounds: one that fails for a passing reason is tried again while the
others are done. A step may run twice; effect rows say what is done.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import msgspec
from sqlalchemy import Connection

from fedreg.domain.errors import FedregError, StoreError
from fedreg.domain.promotions import MemberOutcome, MemberPlan, MemberState
from fedreg.domain.records import ENDED, Effect, EffectState, IntentState
from fedreg.engine.port import Context
from fedreg.services.gateway import Gateway
from fedreg.services.intents import get_intent
from fedreg.services.promotion_intents import end_failed, settled_change
from fedreg.services.promotion_members import bring_member, name_of, revert_member
from fedreg.services.promotion_start import Start, prepare
from fedreg.services.promotion_waits import pause
from fedreg.store import effects, intents, journal


async def run_promotion(gateway: Gateway, ctx: Context, args: dict[str, Any]) -> Any:
    """The workflow. Deterministic: whatever looks at the world is inside a step."""
    intent_id = args["intent"]
    try:
        start = await _prepare(gateway, ctx, intent_id)
        if start is None:
            return None
        outcomes = await _converge(gateway, ctx, intent_id, start)
        failed = [one for one in outcomes if one.state is MemberState.FAILED]
        if failed and start.takes_back:
            outcomes = await _take_back(gateway, ctx, intent_id, start, outcomes)
        return await ctx.run("settle", lambda: _settle(gateway, intent_id, outcomes))
    except FedregError as error:
        failure = error
        await ctx.step("fail", lambda: _fail(gateway, intent_id, failure), preemptible=False)
        raise


async def _prepare(gateway: Gateway, ctx: Context, intent_id: str) -> Start | None:
    """What to do, planned again now that the models are claimed; tried again while the source is away."""
    turn = 0
    while True:
        try:
            found = await ctx.step(f"prepare {turn}", lambda: prepare(gateway, intent_id))
            return None if found is None else msgspec.convert(found, Start)
        except FedregError as error:
            if not _may_pass(error):
                raise
            failure = error
        verdict = await ctx.step(f"wait {turn}", partial(pause, gateway, intent_id, turn, [failure.to_dict()]))
        if verdict["give_up"]:
            raise failure
        turn += 1


async def _converge(gateway: Gateway, ctx: Context, intent_id: str, start: Start) -> list[MemberOutcome]:
    """Rounds over the members that are not there yet, until none is left that could still come."""
    outcomes = {member.place: _pending(member) for member in start.members}
    left, turn = list(start.members), 0
    while left:
        act = revert_member if start.rollback_of else bring_member
        steps = [(f"{name_of(member)} {turn}", partial(act, gateway, intent_id, member)) for member in left]
        results = await ctx.step_many(steps, concurrency=len(steps), return_errors=True)
        again, errors = [], []
        for member, result in zip(left, results, strict=True):
            if not isinstance(result, FedregError):
                outcomes[member.place] = msgspec.convert(result, MemberOutcome)
            elif _may_pass(result):
                again.append(member)
                errors.append(result.to_dict())
                outcomes[member.place] = _pending(member, MemberState.RETRYING, result)
            else:
                outcomes[member.place] = _pending(member, MemberState.FAILED, result)
        if not again:
            break
        ctx.set_progress({"members": [msgspec.to_builtins(one) for one in outcomes.values()]})
        verdict = await ctx.step(f"pause {turn}", partial(pause, gateway, intent_id, turn, errors))
        if verdict["give_up"]:
            for member, error in zip(again, errors, strict=True):
                outcomes[member.place] = _pending(member, MemberState.FAILED, FedregError.from_dict(error))
            break
        left, turn = again, turn + 1
    return list(outcomes.values())


async def _take_back(
    gateway: Gateway, ctx: Context, intent_id: str, start: Start, outcomes: list[MemberOutcome]
) -> list[MemberOutcome]:
    """Every member as it was before, as far as that can be; what can't is told with the member."""
    steps = [(f"take back {name_of(one)}", partial(revert_member, gateway, intent_id, one)) for one in start.members]
    results = await ctx.step_many(steps, concurrency=len(steps), retries=5, return_errors=True)
    reverted = []
    for before, result in zip(outcomes, results, strict=True):
        if isinstance(result, FedregError):
            left = ({"error": result.to_dict()},)
            reverted.append(replace(before, left=left))
            continue
        after = msgspec.convert(result, MemberOutcome)
        failed = before.state is MemberState.FAILED
        reverted.append(replace(before, left=after.left) if failed else after)
    return reverted


async def _settle(gateway: Gateway, intent_id: str, outcomes: list[MemberOutcome]) -> Any:
    """The end: with all members there, or with the error of the first that is not."""
    intent = await get_intent(gateway, intent_id)
    rollback_of = intent.plan.get("rollback_of")
    if rollback_of:
        rows = await gateway.store.read(lambda conn: effects.list_effects(conn, intent_id))
        outcomes = [_with_left(one, rows) for one in outcomes]
    result = {"outcomes": msgspec.to_builtins(outcomes)}
    failed = [one for one in outcomes if one.state is MemberState.FAILED]
    taken_back = any(one.state is MemberState.REVERTED for one in outcomes)
    error = (_left_summary(failed, rollback_of) if rollback_of else _summary(failed, taken_back)) if failed else None
    state = IntentState.FAILED if failed else IntentState.SUCCEEDED
    now = gateway.now()

    def commit(tx: Connection) -> None:
        intent = intents.get(tx, intent_id)
        if intent is None or intent.state is state:
            return
        intents.set_state(tx, intent_id, state, now=now, result=result, error=error.to_dict() if error else None)
        journal.append(tx, settled_change(intent, state, result), now)

    await gateway.store.write(commit)
    if error is not None:
        raise error
    return result


def _may_pass(error: FedregError) -> bool:
    """Whether a member is tried again: its trouble passes, or it is the gateway's own, such as a full disk."""
    return error.retryable or isinstance(error, StoreError)


def _summary(failed: list[MemberOutcome], taken_back: bool) -> FedregError:
    first = FedregError.from_dict(dict(failed[0].error or {}))
    names = ", ".join(f"{one.registry}:{one.model}" for one in failed)
    done = "everything was taken back" if taken_back else "the others are done"
    return type(first)(
        f"{len(failed)} of the members failed ({names}), {done}: {first.message}",
        registry=first.registry,
        cure=first.cure or "mend the cause and promote again, or roll it back",
        details={**first.details, "members": [f"{one.registry}:{one.model}" for one in failed]},
    )


def _with_left(outcome: MemberOutcome, rows: list[Effect]) -> MemberOutcome:
    """A member that a rollback did not reach, with what is still to be taken back there."""
    if outcome.state is not MemberState.FAILED:
        return outcome
    here = [one for one in rows if (one.registry, one.model) == (outcome.registry, outcome.model)]
    left = [
        {"field": one.field, "version": one.version, "error": outcome.error}
        for one in here
        if one.state is not EffectState.DONE
    ]
    return replace(outcome, left=tuple(left))


def _left_summary(failed: list[MemberOutcome], rollback_of: str) -> FedregError:
    """The error of a rollback that gave up."""
    first = FedregError.from_dict(dict(failed[0].error or {}))
    left = [f"{one.registry}:{one.model} {what['field']}" for one in failed for what in one.left]
    return type(first)(
        f"not taken back: {', '.join(left) or 'nothing'}: {first.message}",
        registry=first.registry,
        cure=f"when it answers again: fedreg promotions rollback {rollback_of}",
        details={**first.details, "members": [f"{one.registry}:{one.model}" for one in failed]},
    )


async def _fail(gateway: Gateway, intent_id: str, error: FedregError) -> None:
    """Record what stopped it before its members were reached; a settled one stays as it is."""
    now = gateway.now()

    def commit(tx: Connection) -> None:
        intent = intents.get(tx, intent_id)
        if intent is not None and intent.state not in ENDED:
            end_failed(tx, intent, error, now)

    await gateway.store.write(commit)


def _pending(
    member: MemberPlan, state: MemberState = MemberState.PENDING, error: FedregError | None = None
) -> MemberOutcome:
    return MemberOutcome(
        registry=member.registry,
        model=member.model,
        state=state,
        version=member.version,
        error=error.to_dict() if error else None,
    )
