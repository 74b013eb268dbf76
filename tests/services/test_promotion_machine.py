"""Promotions, links, outside changes, troubles and repairs in any order: what holds whenever all is at rest."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from fedreg.domain.errors import FedregError
from fedreg.domain.links import ConflictRule, Direction, Gating, Link, OnFailure, OnMissing, OnOutside
from fedreg.domain.records import Actor, Decision, IntentState
from fedreg.domain.refs import Ref
from fedreg.services import edits, links, operations
from fedreg.services.drift import list_drift
from fedreg.services.promotion import promote
from fedreg.services.promotion_decisions import decide, roll_back
from fedreg.services.repair import repair_drift

from .promotion_world import ANNA, MODEL, NAMES, World

BERT = Actor(subject="bert", authenticated=True)
BASE = Link(
    members=tuple(f"{name}:{MODEL}" for name in NAMES),
    authority="dev",
    on_missing=OnMissing.COPY,
    stages=("staging", "production"),
    aliases=("best",),
    retry_for=0.3,
    max_changes=1000,
)
LINKS = st.builds(
    replace,
    st.just(BASE),
    direction=st.sampled_from(Direction),
    conflict=st.sampled_from((ConflictRule.AUTHORITY, ConflictRule.NEWEST)),
    on_failure=st.sampled_from(OnFailure),
    on_outside=st.sampled_from(OnOutside),
    gate=st.sampled_from((Gating.NONE, Gating.NONE, Gating.APPROVAL)),
)
VERSIONS = st.integers(0, 2)
REGISTRIES = st.sampled_from(NAMES)
STAGES = st.sampled_from(("staging", "production", "archived", "none"))
TROUBLES = st.sampled_from(("down", "busy", "lost_reply", "late_apply"))
_serial = count(1)


class Promotions(RuleBasedStateMachine):
    """One world; refusals of single actions are as they should be, only the whole is looked at."""

    home: Path

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.world = World(self.home / f"world-{next(_serial)}")
        self.runner.run(self.world.open())
        self.link: Link | None = None
        self.troubled: set[str] = set()

    def teardown(self) -> None:
        try:
            self.come_to_rest()
        finally:
            self.runner.run(self.world.aclose())
            self.runner.close()

    def attempt(self, action: Awaitable[Any]) -> None:
        """Do what may be refused."""

        async def run() -> None:
            with suppress(FedregError):
                await asyncio.wait_for(action, 60)

        self.runner.run(run())

    @rule(version=VERSIONS, stage=STAGES, registry=REGISTRIES, wait=st.booleans())
    def promote(self, version: int, stage: str, registry: str, wait: bool) -> None:
        self.attempt(self._promote(registry, version, stage, wait))

    @rule(first=VERSIONS, second=VERSIONS)
    def promote_two(self, first: int, second: int) -> None:
        async def both() -> None:
            ways = [self._promote("dev", version, "production", True) for version in (first, second)]
            await asyncio.gather(*ways, return_exceptions=True)

        self.attempt(both())

    @rule(version=VERSIONS)
    def set_alias(self, version: int) -> None:
        self.attempt(edits.set_alias(self.world.gateway, self._ref(version), "best", actor=ANNA, reason=None))

    @rule()
    def delete_alias(self) -> None:
        self.attempt(edits.delete_alias(self.world.gateway, Ref("dev", MODEL), "best", actor=ANNA, reason=None))

    @rule(registry=REGISTRIES, version=VERSIONS, stage=STAGES)
    def change_outside(self, registry: str, version: int, stage: str) -> None:
        self.attempt(self.world.set_outside(registry, f"version {version + 1}", stage))

    @initialize(link=LINKS)
    def begin_with_a_link(self, link: Link) -> None:
        self.set_link(link)

    @rule(link=LINKS)
    def set_link(self, link: Link) -> None:
        self.runner.run(links.set_link(self.world.gateway, "churn", link, actor=ANNA))
        self.link = link

    @precondition(lambda self: self.link is not None)
    @rule(really=st.integers(0, 3))
    def delete_link(self, really: int) -> None:
        if really:  # most of the time there is one
            return
        self.runner.run(links.delete_link(self.world.gateway, "churn", actor=ANNA))
        self.link = None

    @rule(registry=REGISTRIES, kind=TROUBLES)
    def cause_trouble(self, registry: str, kind: str) -> None:
        self.world.trouble(registry, kind)
        self.troubled.add(registry)

    @precondition(lambda self: self.troubled)
    @rule()
    def heal(self) -> None:
        self.world.heal(self.troubled.pop())

    @rule()
    def observe(self) -> None:
        self.attempt(self.world.observe())

    @rule()
    def repair(self) -> None:
        self.attempt(repair_drift(self.world.gateway, actor=ANNA))

    @rule(which=st.integers(0, 3))
    def take_back(self, which: int) -> None:
        async def last() -> None:
            ended = await self.world.promotions(IntentState.SUCCEEDED, IntentState.FAILED, IntentState.CANCELLED)
            if which < len(ended):
                await roll_back(self.world.gateway, ended[which], actor=ANNA, wait=False)

        self.attempt(last())

    @rule(decision=st.sampled_from(Decision))
    def decide(self, decision: Decision) -> None:
        async def first() -> None:
            for waiting in (await self.world.promotions(IntentState.WAITING))[:1]:
                await decide(self.world.gateway, waiting, decision, actor=BERT, roles=("approver",))

        self.attempt(first())

    @rule()
    def cancel(self) -> None:
        async def first() -> None:
            states = (IntentState.WAITING, IntentState.PENDING, IntentState.RUNNING)
            for found in (await self.world.promotions(*states))[:1]:
                await operations.cancel_operation(self.world.gateway, found)

        self.attempt(first())

    @rule()
    def come_to_rest(self) -> None:
        """No trouble, nothing running, everything observed, repaired: then members agree and the journal is right."""
        for registry in NAMES:
            self.world.heal(registry)
        self.troubled.clear()
        self.runner.run(asyncio.wait_for(self._rest(), 120))

    async def _rest(self) -> None:
        gateway = self.world.gateway
        await self.world.wait()
        await self.world.observe()
        if self.link is not None:
            await repair_drift(gateway, actor=ANNA)
            await self.world.wait()
            await self.world.observe()
            rows = (await list_drift(gateway, refresh=True)).rows
            assert rows == (), f"{rows} are left at {await self.world.stages()}"
        await self.world.check([self.link] if self.link else [])

    async def _promote(self, registry: str, version: int, stage: str, wait: bool) -> None:
        ref = self._ref(version, registry)
        await promote(self.world.gateway, ref, stage, actor=ANNA, wait=wait)

    def _ref(self, version: int, registry: str = "dev") -> Ref:
        return Ref(registry, MODEL).at_version(str(version + 1))


def run_machine(home: Path, *, examples: int, steps: int, seed: int | None = None) -> None:
    Promotions.home = home
    chosen = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        derandomize=True,
        phases=(Phase.generate,),  # what runs beside makes a failure hard to shrink
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    run_state_machine_as_test(Promotions, settings=chosen)


def test_some_orders(tmp_path: Path) -> None:
    run_machine(tmp_path, examples=5, steps=20)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_many_orders(tmp_path: Path) -> None:
    run_machine(tmp_path, examples=60, steps=40)
