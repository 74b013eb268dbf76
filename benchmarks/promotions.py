"""Promotions through the durable engine, against the bare calls that the same stages need at the registry."""

from __future__ import annotations

import asyncio
import logging
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from benchmarks.memory_registry import make_version
from benchmarks.options import Options
from benchmarks.table import Row, at_least
from fedreg.bootstrap import open_gateway
from fedreg.domain.models import Version
from fedreg.domain.records import Actor
from fedreg.domain.refs import Ref
from fedreg.domain.stages import PRODUCTION
from fedreg.services.promotion import promote
from fedreg.settings import load_settings

CONCURRENCY = 16
FLOOR = 50.0
CONFIG = """\
store: {url: "sqlite:///fedreg.db"}
registries:
  ours: {kind: memory, space: bench-ours, calls: {concurrency: 64}}
  bare: {kind: memory, space: bench-bare, calls: {concurrency: 64}}
"""


def measure(options: Options) -> list[Row]:
    """One row. Each promotion leaves its intent, effect and journal entries on disk before it answers."""
    logging.getLogger("dbos").setLevel(logging.ERROR)
    ours, bare = asyncio.run(_measure(options.promotions))
    return [
        Row(
            name="promotions through the durable engine",
            figure=f"{ours:.0f}/s",
            reference=f"{bare:.0f}/s  bare set_stage + get",
            ratio=ours / bare,
            value=ours,
            unit="1/s",
            **{**at_least(ours, FLOOR), "target": f">= {FLOOR:g}/s"},
            note=f"{options.promotions} models in memory, {CONCURRENCY} at once",
        )
    ]


async def _measure(count: int) -> tuple[float, float]:
    """Promotions a second, and bare ones."""
    async with AsyncExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="fedreg-bench-"))
        config = Path(directory) / "fedreg.yaml"
        config.write_text(CONFIG)
        gateway = await stack.enter_async_context(open_gateway(load_settings(config, {})))
        ours, bare = await gateway.registries.get("ours"), await gateway.registries.get("bare")
        actor = Actor(subject="benchmark")

        async def durable(version: Version) -> None:
            ref = Ref(version.registry, version.model).at_version(version.version)
            report = await promote(gateway, ref, PRODUCTION, actor=actor)
            assert report.changed

        async def direct(version: Version) -> None:
            await bare.set_stage(version.id, PRODUCTION)
            found = await bare.get_version(version.model, version.version)
            assert found.stage == PRODUCTION

        await durable(await make_version(ours, "warm-up"))
        theirs = await rate([await make_version(bare, f"model-{number}") for number in range(count)], direct)
        mine = await rate([await make_version(ours, f"model-{number}") for number in range(count)], durable)
        return mine, theirs


async def rate(
    versions: Sequence[Version], act: Callable[[Version], Awaitable[None]], at_once: int = CONCURRENCY
) -> float:
    """How many a second, `at_once` at a time."""
    waiting = iter(versions)

    async def work() -> None:
        for version in waiting:
            await act(version)

    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(work())
    return len(versions) / (time.perf_counter() - started)
