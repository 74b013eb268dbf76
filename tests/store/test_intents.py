"""Intents and their effects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from itertools import pairwise

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from fedreg.domain.errors import Conflict, NotFound
from fedreg.domain.records import Effect, EffectState, Intent, IntentKind, IntentState
from fedreg.store import effects, intents
from fedreg.store.database import Store

MakeIntent = Callable[..., Intent]
P, W, R = IntentState.PENDING, IntentState.WAITING, IntentState.RUNNING
S, F, C = IntentState.SUCCEEDED, IntentState.FAILED, IntentState.CANCELLED


async def test_the_same_id_is_the_same_intent(store: Store, make_intent: MakeIntent) -> None:
    first = make_intent(reason="Q3")
    assert await store.write(lambda tx: intents.create(tx, first)) == first
    assert await store.write(lambda tx: intents.create(tx, make_intent(plan={"to": "archived"}))) == first
    assert await store.read(lambda c: intents.get(c, "i1")) == first
    assert await store.read(lambda c: intents.get(c, "i2")) is None


@pytest.mark.parametrize("path", [(P, R, S), (P, W, R, F), (W, C), (R, R, S, S), (P, F, R, S), (W, P, R), (P, S)])
async def test_lives_an_intent_can_have(
    store: Store, make_intent: MakeIntent, noon: datetime, path: tuple[IntentState, ...]
) -> None:
    await store.write(lambda tx: intents.create(tx, make_intent(state=path[0])))
    for state in path[1:]:
        moved = await store.write(partial(intents.set_state, intent_id="i1", state=state, now=noon))
        assert moved.state is state


@pytest.mark.parametrize("path", [(P, W, S), (S, R), (S, F), (C, R), (R, P), (R, W), (F, S), (C, S)])
async def test_lives_it_can_not(
    store: Store, make_intent: MakeIntent, noon: datetime, path: tuple[IntentState, ...]
) -> None:
    *way, before, bad = path
    for state in [*way, before][:1]:
        await store.write(partial(intents.create, intent=make_intent(state=state)))
    for state in [*way, before][1:]:
        await store.write(partial(intents.set_state, intent_id="i1", state=state, now=noon))
    with pytest.raises(Conflict, match=f"is {before.value}"):
        await store.write(lambda tx: intents.set_state(tx, "i1", bad, now=noon))


async def test_an_end_keeps_its_result(store: Store, make_intent: MakeIntent, noon: datetime) -> None:
    await store.write(lambda tx: intents.create(tx, make_intent(state=R)))
    later = noon + timedelta(hours=1)
    done = await store.write(lambda tx: intents.set_state(tx, "i1", S, result={"n": 1}, now=later))
    again = await store.write(
        lambda tx: intents.set_state(tx, "i1", S, result={"n": 2}, now=later + timedelta(hours=1))
    )
    assert done.result == {"n": 1}
    assert again == done
    with pytest.raises(NotFound):
        await store.write(lambda tx: intents.set_state(tx, "i9", R, now=noon))


async def test_listing_pages_newest_first(store: Store, make_intent: MakeIntent, noon: datetime) -> None:
    def fill(tx: Connection) -> None:
        for n in range(10):
            made = make_intent(
                f"{'copy' if n % 2 else 'pr_m'}-{n}",
                kind=IntentKind.COPY if n % 2 else IntentKind.PROMOTION,
                state=W if n < 4 else R,
                created_at=noon + timedelta(minutes=n // 2),
            )
            intents.create(tx, made)

    await store.write(fill)
    everything = await store.read(intents.list_intents)
    assert len(everything) == 10
    assert all((a.created_at, a.id) > (b.created_at, b.id) for a, b in pairwise(everything))
    paged: list[Intent] = []
    while page := await store.read(partial(intents.list_intents, limit=3, cursor=paged[-1].id if paged else None)):
        paged += page
    assert paged == everything
    waiting = await store.read(lambda c: intents.list_intents(c, states={W}, kinds=(IntentKind.COPY,)))
    assert [intent.id for intent in waiting] == ["copy-3", "copy-1"]
    assert len(await store.read(lambda c: intents.list_intents(c, id_prefix="pr_"))) == 5
    assert await store.read(lambda c: intents.list_intents(c, id_prefix="p%")) == []
    with pytest.raises(NotFound):
        await store.read(lambda c: intents.list_intents(c, cursor="nobody"))


async def test_effects_are_planned_once_and_in_order(store: Store, make_intent: MakeIntent, noon: datetime) -> None:
    await store.write(lambda tx: intents.create(tx, make_intent()))
    effect = Effect(
        intent_id="i1",
        sequence=0,
        registry="prod",
        model="churn",
        version="2",
        identity="x",
        field="stage",
        before={"stage": "none", "holders": ["1"]},
        after="production",
    )
    demotion = replace(effect, version="1", after="archived")
    planned = await store.write(lambda tx: [effects.plan(tx, effect), effects.plan(tx, demotion)])
    assert [one.sequence for one in planned] == [1, 2]
    again = await store.write(lambda tx: effects.plan(tx, replace(effect, before={"stage": "production"})))
    assert again == planned[0]
    done = await store.write(lambda tx: effects.set_state(tx, "i1", 1, EffectState.DONE, now=noon))
    assert done == replace(planned[0], state=EffectState.DONE, updated_at=noon)
    assert await store.read(lambda c: effects.list_effects(c, "i1")) == [done, planned[1]]
    no_version = replace(effect, version=None, identity=None)
    twice = await store.write(lambda tx: [effects.plan(tx, no_version), effects.plan(tx, no_version)])
    assert [one.sequence for one in twice] == [3, 3]
    with pytest.raises(NotFound):
        await store.write(lambda tx: effects.set_state(tx, "i1", 9, EffectState.DONE, now=noon))
    with pytest.raises(IntegrityError):
        await store.write(lambda tx: effects.plan(tx, replace(effect, intent_id="nobody")))
