"""Five registries that outlive a gateway which is killed: each with a history of its stages, and with troubles.

A history is taken at the vendor's side, after each request that writes; equal neighbours are one.
A request may be aimed at, and a member may refuse all requests for a while.
"""

from __future__ import annotations

import asyncio
import copy
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

Stages = dict[str, str]
Later = Callable[[], Awaitable[Callable[[], Awaitable[Any]]]]
LATE = 0.3  # seconds


@dataclass
class Aim:
    """The `number`th request that writes, counted from 1, and what becomes of it.

    `before`: the gateway is struck and the request not carried out; `after`: struck when it was carried out; `lost`: it
    is carried out, and its answer lost; `late`: cut off, and carried out a moment later. Nobody gets an answer.
    """

    number: int
    what: str


@dataclass
class Refusal:
    """All requests to one member: cut off (`gone`) or told to come later (`busy`), from the first one on for a time."""

    member: str
    how: str
    seconds: float
    until: float | None = None


class Parts:
    """The state of a member that is a stand-in in this process."""

    def __init__(self, *parts: Any) -> None:
        self._parts = parts

    def keep(self) -> Any:
        """Everything as it is now, for `restore`."""
        return self._copy([vars(part) for part in self._parts])

    def restore(self, kept: Any) -> None:
        """Everything as it was kept."""
        for part, before in zip(self._parts, self._copy(kept), strict=True):
            vars(part).clear()
            vars(part).update(before)

    def _copy(self, things: Any) -> Any:
        return copy.deepcopy(things, {id(part): part for part in self._parts})


@dataclass
class Member:
    """One registry: what stage each version of the model has, and how its state is kept and restored."""

    look: Callable[[], Stages]
    state: Any


@dataclass
class Members:
    """All of them, running."""

    urls: dict[str, str] = field(default_factory=dict)
    by_name: dict[str, Member] = field(default_factory=dict)
    histories: dict[str, list[Stages]] = field(default_factory=dict)
    writes: list[str] = field(default_factory=list)
    busy: int = 0
    aim: Aim | None = None
    refusal: Refusal | None = None
    strike: Callable[[], None] = lambda: None
    struck: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def add(self, name: str, look: Callable[[], Stages], state: Any) -> None:
        self.by_name[name] = Member(look, state)
        self.histories[name] = [look()]

    def keep(self) -> dict[str, Any]:
        """Everything as it is now, for `restore`."""
        return {name: member.state.keep() for name, member in self.by_name.items()}

    def restore(self, kept: Mapping[str, Any]) -> None:
        """Everything as it was kept, with histories that begin there, and no troubles."""
        for name, member in self.by_name.items():
            member.state.restore(kept[name])
        self.writes, self.aim, self.refusal = [], None, None
        self.struck.clear()
        self.histories = {name: [now] for name, now in self.state().items()}

    def state(self) -> dict[str, Stages]:
        """What each member has now."""
        return {name: member.look() for name, member in self.by_name.items()}

    def refuses(self, name: str) -> str | None:
        """How a member refuses what comes now."""
        refusal = self.refusal
        if refusal is None or refusal.member != name:
            return None
        now = time.monotonic()
        if refusal.until is None:
            refusal.until = now + refusal.seconds
            self.struck.set()
        return refusal.how if now < refusal.until else None

    async def meet(self, call: str, carry_out: Callable[[], Awaitable[Any]], later: Later) -> Any:
        """The answer to a writing request; None where nobody gets one. `later` gives what carries it out again."""
        self.busy += 1
        try:
            return await self._meet(call, carry_out, later)
        finally:
            self.busy -= 1

    async def _meet(self, call: str, carry_out: Callable[[], Awaitable[Any]], later: Later) -> Any:
        self.writes.append(call)
        what = self.aim.what if self.aim is not None and self.aim.number == len(self.writes) else None
        if what == "late":
            self.busy += 1
            task = asyncio.create_task(self._carry_out_late(await later()))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if what not in ("before", "late"):
            answer = await carry_out()
            self._note()
        if what is None:
            return answer
        if what in ("before", "after"):
            self.strike()
        self.struck.set()
        return None

    async def _carry_out_late(self, again: Callable[[], Awaitable[Any]]) -> None:
        try:
            await asyncio.sleep(LATE)
            await again()
            self._note()
        finally:
            self.busy -= 1

    def _note(self) -> None:
        for name, now in self.state().items():
            if now != self.histories[name][-1]:
                self.histories[name].append(now)


def steps_of(history: Sequence[Stages]) -> Counter[str]:
    """How often a history has each change of one version: `2: none -> production`."""
    found: Counter[str] = Counter()
    for before, now in pairwise(history):
        for version in sorted({*before, *now}):
            was, is_now = before.get(version, "absent"), now.get(version, "absent")
            found[f"{version}: {was} -> {is_now}"] += was != is_now
    return +found
