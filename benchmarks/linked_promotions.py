"""Promotions over links of two in-memory members, all at once, against as many of models that no link concerns."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from itertools import cycle, islice
from statistics import median

from benchmarks.linked import STAGES, Linked, open_linked
from benchmarks.options import Options
from benchmarks.processes import BenchmarkFailed
from benchmarks.promotions import rate
from benchmarks.table import Row, at_least
from fedreg.domain.models import Version
from fedreg.domain.records import EffectState
from fedreg.store.effects import list_effects

MEMBERS = ("ours", "theirs")
MODELS = 20
FLOOR = 0.2


def measure(options: Options) -> list[Row]:
    """One row. Each round gives every model another stage, the linked ones first."""
    models = min(MODELS, options.promotions)
    rounds = asyncio.run(_measure(models, max(options.rounds, options.promotions // models)))
    ratio = median(linked / alone for linked, alone in rounds)
    linked, alone = (median(pair[side] for pair in rounds) for side in (0, 1))
    return [
        Row(
            name=f"promotions over links of {len(MEMBERS)} members",
            figure=f"{linked:.0f}/s, {linked * len(MEMBERS):.0f} effects/s",
            reference=f"{alone:.0f}/s  without a link, one effect each",
            ratio=ratio,
            value=ratio,
            unit="ratio",
            **{**at_least(ratio, FLOOR), "target": f">= {FLOOR:g}x"},
            note=f"{models} models in memory, all at once; median of {len(rounds)} rounds",
        )
    ]


async def _measure(models: int, rounds: int) -> list[tuple[float, float]]:
    """Promotions a second of each round: linked ones, and others."""
    async with open_linked(MEMBERS) as linked:
        tied = [await linked.make_linked(number) for number in range(models)]
        alone = [await linked.make_alone(MEMBERS[0], number) for number in range(models)]
        found = []
        for stage in islice(cycle(STAGES), rounds + 1):
            mine = await _promote_all(linked, tied, stage, len(MEMBERS))
            found.append((mine, await _promote_all(linked, alone, stage, 1)))
        return found[1:]  # the first one starts the engine


async def _promote_all(linked: Linked, versions: Sequence[Version], stage: str, effects: int) -> float:
    """Promotions a second. Raises BenchmarkFailed where one has not had so many effects."""
    operations: list[str] = []

    async def act(version: Version) -> None:
        report = await linked.move(version, stage)
        operations.append(report.operation or "")

    found = await rate(versions, act, at_once=len(versions))
    for operation in operations:
        stored = await linked.gateway.store.read(partial(list_effects, intent_id=operation))
        if [one.state for one in stored] != [EffectState.DONE] * effects:
            raise BenchmarkFailed(f"promotion {operation} has {len(stored)} effects, or not all are done")
    return found
