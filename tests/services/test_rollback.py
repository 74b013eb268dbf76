"""Rollbacks that can't come to their end, and words of a registry that open gates."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fedreg.domain.errors import Conflict, RegistryUnavailable
from fedreg.domain.links import Gate
from fedreg.domain.promotions import MemberState
from fedreg.domain.records import IntentState
from fedreg.domain.stages import Approval
from fedreg.services import edits, gates, promotion
from fedreg.services import links as linking
from fedreg.services.gateway import Gateway, Waits
from fedreg.services.promotion import report_of
from fedreg.services.promotion_decisions import get_promotion, roll_back
from fedreg_adapters.memory.standin import VendorError
from fedreg_adapters.memory.standin_faults import Mishap

from .conftest import ACTOR
from .linked import ANNA, LINK, gateway, ref, stages, vendor

__all__ = ["gateway"]


async def test_a_rollback_without_links_gives_up_and_says_what_is_left(
    gateway: Gateway, request: pytest.FixtureRequest
) -> None:
    gateway.waits = Waits(first=0.001, longest=0.01, unlinked=0.05)
    done = await promotion.promote(gateway, ref(1), "production", actor=ACTOR)
    assert done.operation
    error = VendorError("down")
    planned = vendor(request, "dev").mishaps.planned
    planned += [
        Mishap("refuse", call, times=0, error=error) for call in ("release.get", "release.list", "pointer.leave")
    ]
    with pytest.raises(RegistryUnavailable, match="not taken back: dev:churn stage") as caught:
        await roll_back(gateway, done.operation, actor=ACTOR)
    assert caught.value.cure == f"when it answers again: fedreg promotions rollback {done.operation}"
    failed = await report_of(gateway, await get_promotion(gateway, f"{done.operation}-rollback"))
    [outcome] = failed.outcomes
    assert (failed.state, outcome.state) == (IntentState.FAILED, MemberState.FAILED)
    assert [(left["field"], left["version"]) for left in outcome.left] == [("stage", "1")]
    planned.clear()
    assert await stages(gateway) == {"dev:1": "production"}
    again = await roll_back(gateway, done.operation, actor=ACTOR)
    assert (again.operation, again.state) == (f"{done.operation}-rollback-2", IntentState.SUCCEEDED)
    assert await stages(gateway) == {}
    with pytest.raises(Conflict, match="rollback-2"):
        await roll_back(gateway, done.operation, actor=ACTOR)


async def test_a_registrys_word_is_held_against_what_it_may_open_alone(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    await linking.set_link(
        gateway, "churn", replace(LINK, stages=("staging", "production"), gate=Gate(native=("dev",))), actor=ACTOR
    )
    one = await promotion.promote(gateway, ref(1), "production", actor=ANNA)
    two = await promotion.promote(gateway, ref(2), "staging", actor=ANNA)
    looked: list[str] = []
    asked = gates._list_native

    async def look(gateway: Gateway, view: object, plan: object) -> list[str]:
        looked.append(plan.version)  # type: ignore[attr-defined]
        return await asked(gateway, view, plan)  # type: ignore[arg-type]

    monkeypatch.setattr(gates, "_list_native", look)
    assert one.operation and two.operation
    await edits.set_approval(gateway, ref(2), Approval.APPROVED, None, actor=ACTOR, reason=None)
    assert "1" not in looked and looked
    assert (await get_promotion(gateway, one.operation)).state is IntentState.WAITING
    assert (await get_promotion(gateway, two.operation)).state is not IntentState.WAITING
    engine = await gateway.launched_engine()
    await engine.wait(two.operation)
