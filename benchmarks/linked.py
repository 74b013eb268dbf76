"""A gateway over in-memory registries, and models that a link ties over all, each with a verified copy there."""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from benchmarks.memory_registry import make_version
from fedreg.bootstrap import open_gateway
from fedreg.domain.models import Version
from fedreg.domain.promotions import PromotionReport
from fedreg.domain.records import Actor, IntentState
from fedreg.domain.refs import Ref
from fedreg.domain.stages import PRODUCTION, STAGING
from fedreg.services.copy import copy_version
from fedreg.services.gateway import Gateway
from fedreg.services.promotion import promote
from fedreg.settings import load_settings
from fedreg_adapters.memory.standin import Vendor, drop_space, open_space

ACTOR = Actor(subject="benchmark")
STAGES = (PRODUCTION, STAGING)  # flow over the link; a version is given them in turns
TIED = "linked"  # how the models begin that the link ties
_serial = count()


@dataclass(frozen=True, slots=True)
class Linked:
    """The gateway, its members (the first is the authority) and what is behind each."""

    gateway: Gateway
    vendors: dict[str, Vendor]

    async def make_linked(self, number: int) -> Version:
        """A version at the authority, with its copies."""
        authority, *others = self.vendors
        made = await make_version(await self.gateway.registries.get(authority), f"{TIED}-{number}")
        for name in others:
            await copy_version(self.gateway, made.ref, Ref(name, made.model), actor=ACTOR)
        return made

    async def make_alone(self, registry: str, number: int) -> Version:
        """A version that no link concerns."""
        return await make_version(await self.gateway.registries.get(registry), f"alone-{number}")

    async def move(self, version: Version, stage: str) -> PromotionReport:
        """A promotion that changes something, to its end."""
        report = await promote(self.gateway, version.ref, stage, actor=ACTOR)
        assert report.state is IntentState.SUCCEEDED
        return report


@asynccontextmanager
async def open_linked(members: Sequence[str]) -> AsyncIterator[Linked]:
    """The gateway, with a store on disk. What its registries hold ends with it."""
    logging.getLogger("dbos").setLevel(logging.ERROR)
    spaces = {name: f"bench-{next(_serial)}-{name}" for name in members}
    link = {
        "match": f"{TIED}-*",
        "members": [f"{name}:{{model}}" for name in members],
        "authority": members[0],
        "stages": STAGES,
    }
    content = {
        "store": {"url": "sqlite:///fedreg.db"},
        "registries": {
            name: {"kind": "memory", "space": space, "calls": {"concurrency": 64}} for name, space in spaces.items()
        },
        "links": {"all": link},
    }
    async with AsyncExitStack() as stack:
        for space in spaces.values():
            stack.callback(drop_space, space)
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="fedreg-bench-"))
        config = Path(directory) / "fedreg.yaml"
        config.write_text(json.dumps(content))  # YAML is a superset
        gateway = await stack.enter_async_context(open_gateway(load_settings(config, {})))
        yield Linked(gateway, {name: open_space(space) for name, space in spaces.items()})
