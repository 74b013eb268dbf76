"""A world for promotions to be tried in: three in-memory registries whose stages are held in two ways, and troubles."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, select

from fedreg.bootstrap import open_gateway
from fedreg.domain.errors import FedregError, NotFound
from fedreg.domain.links import Link
from fedreg.domain.models import Version
from fedreg.domain.records import Actor, Change, IntentKind, IntentState
from fedreg.services import intents as promises
from fedreg.services.audit import list_audit, verify_audit
from fedreg.services.gateway import Gateway, Waits
from fedreg.services.operations import list_operations
from fedreg.services.outside import react
from fedreg.services.pages import walk_versions
from fedreg.services.refresh import refresh
from fedreg.settings import load_settings
from fedreg.store.schema import claims
from fedreg_adapters.memory.standin import Vendor, VendorError, drop_space, open_space
from fedreg_adapters.memory.standin_faults import Mishap

from .conftest import make_version

NAMES = ("dev", "eu", "us")
MODEL = "churn"
WRITES = ("pointer.set", "release.phase", "pointer.leave", "pointer.drop")
READS = ("shelf.get", "release.get", "release.list")
ANNA = Actor(subject="anna", authenticated=True)
OPEN = (IntentState.PENDING, IntentState.RUNNING)


class World:
    """Three registries with one model, and a gateway over them that waits no longer than milliseconds."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.stack = AsyncExitStack()

    async def open(self, versions: int = 3) -> Gateway:
        """The gateway, with its versions in the first registry and everything scanned once."""
        self.home.mkdir(parents=True, exist_ok=True)
        calls = "calls: {max_attempts: 1, breaker_threshold: 100000}"
        held = {"dev": "alias", "eu": "native", "us": "alias"}
        sections = "".join(
            f"  {name}: {{kind: memory, space: '{self.space(name)}', stages: {{held_by: {held[name]}}}, {calls}}}\n"
            for name in NAMES
        )
        config = self.home / "fedreg.yaml"
        config.write_text(f"store: {{url: 'sqlite:///fedreg.db'}}\nregistries:\n{sections}")
        gateway = await self.stack.enter_async_context(open_gateway(load_settings(config, {})))
        gateway.waits = Waits(first=0.005, longest=0.05)
        self.gateway = gateway
        for number in range(versions):
            await make_version(gateway, "dev", MODEL, description=f"version {number + 1}")
        for name in NAMES:
            await refresh(gateway, name)
        return gateway

    async def aclose(self) -> None:
        await self.stack.aclose()
        for name in NAMES:
            drop_space(self.space(name))

    def space(self, name: str) -> str:
        return f"{self.home}-{name}"

    def vendor(self, name: str) -> Vendor:
        return open_space(self.space(name))

    # -- troubles --------------------------------------------------------------------------------------

    def trouble(self, name: str, kind: str) -> None:
        """Down until it heals; or, with the next write: its answer is lost, it is applied late, or refused as busy."""
        planned = self.vendor(name).mishaps.planned
        if kind == "down":
            planned += [Mishap("refuse", call, times=0, error=VendorError("down")) for call in (*WRITES, *READS)]
        elif kind == "busy":
            planned += [Mishap("refuse", call, times=3, error=VendorError("busy", wait=0.01)) for call in WRITES]
        else:
            planned += [Mishap(kind, call) for call in WRITES[:2]]

    def heal(self, name: str) -> None:
        """No trouble any more; what was held is applied now."""
        mishaps = self.vendor(name).mishaps
        mishaps.planned.clear()
        mishaps.release()

    # -- looking ---------------------------------------------------------------------------------------

    async def list_versions(self, name: str) -> list[Version]:
        adapter = await self.gateway.registries.get(name)
        try:
            return [one async for one in walk_versions(adapter, MODEL)]
        except NotFound:
            return []

    async def stages(self) -> dict[str, dict[str, str]]:
        """Registry -> description -> stage, live, of what has one."""
        found = {}
        for name in NAMES:
            versions = await self.list_versions(name)
            found[name] = {one.description or "": one.stage for one in versions if one.stage != "none"}
        return found

    async def set_outside(self, name: str, description: str, stage: str) -> bool:
        """Somebody changes a stage at the registry itself; whether there is such a version."""
        adapter = await self.gateway.registries.get(name)
        for one in await self.list_versions(name):
            if one.description == description:
                await adapter.set_stage(one.id, stage, None)
                return True
        return False

    async def promotions(self, *states: IntentState) -> list[str]:
        found = await list_operations(self.gateway, kinds=(IntentKind.PROMOTION,), states=states, limit=10_000)
        return [one.id for one in found]

    # -- coming to rest --------------------------------------------------------------------------------

    async def wait(self) -> None:
        """Until nothing runs any more; what waits for approval stays."""
        while running := await list_operations(self.gateway, states=OPEN, limit=10_000):
            for one in running:
                with suppress(FedregError):
                    await asyncio.wait_for(promises.wait(self.gateway, one.id), 60)

    async def observe(self) -> None:
        """Scan all, and do what the links say about what has changed."""
        for name in NAMES:
            last = await self.last_entry()
            await refresh(self.gateway, name)
            entries = await list_audit(self.gateway, after_sequence=last, limit=10_000)
            observed = [one.change for one in entries if one.change.origin.value == "observed"]
            await react(self.gateway, observed)
            await self.wait()

    async def last_entry(self) -> int:
        entries = await self.entries()
        return entries[-1][0] if entries else 0

    async def entries(self) -> list[tuple[int, Change]]:
        """The whole journal, numbered."""
        found: list[tuple[int, Change]] = []
        while page := await list_audit(self.gateway, after_sequence=found[-1][0] if found else None, limit=1000):
            found += [(one.sequence, one.change) for one in page]
        return found

    async def check(self, links: Sequence[Link]) -> None:
        """What holds whenever everything is at rest."""

        def count(conn: Connection) -> int:
            return conn.scalar(select(func.count()).select_from(claims)) or 0

        assert await self.gateway.store.read(count) == 0, "claims are left"
        assert (await verify_audit(self.gateway)).ok
        await self._check_journal()
        if any("production" in link.exclusive for link in links):
            for name, held in (await self.stages()).items():
                holders = [which for which, stage in held.items() if stage == "production"]
                assert len(holders) <= 1, f"{name} has {holders}"

    async def _check_journal(self) -> None:
        """What the journal tells of stages, replayed, is what the registries have."""
        told: dict[tuple[str, Any], str] = {}
        entries = await self.entries()
        for _, change in entries:
            if change.action == "stage_set":
                told[change.registry or "", change.identity] = str(change.after)
        for name in NAMES:
            for one in await self.list_versions(name):
                replayed = told.get((name, one.identity), "none")
                story = [
                    (number, change.origin.value, change.before, change.after, change.intent_id)
                    for number, change in entries
                    if change.action == "stage_set" and change.identity == one.identity
                ]
                assert replayed == one.stage, f"{one.ref} is {one.stage!r}, the journal says {replayed!r}: {story}"
