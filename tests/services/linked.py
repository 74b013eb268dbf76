"""Three in-memory registries, two versions of `churn` in the first, and a link over all of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fedreg.bootstrap import open_gateway
from fedreg.domain.errors import NotFound
from fedreg.domain.links import Link, OnMissing
from fedreg.domain.models import PageRequest
from fedreg.domain.records import Actor
from fedreg.domain.refs import Ref
from fedreg.services.gateway import Gateway
from fedreg.settings import load_settings
from fedreg_adapters.memory.standin import Vendor, open_space

from .conftest import make_version

POLICY = "{max_attempts: 1, breaker_threshold: 99}"
NAMES = ("dev", "eu", "us")
ANNA, BERT = Actor(subject="anna", authenticated=True), Actor(subject="bert", authenticated=True)
LINK = Link(members=("dev:churn", "eu:churn", "us:churn"), authority="dev", on_missing=OnMissing.COPY)


@pytest.fixture
async def gateway(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Gateway]:
    config = tmp_path / "fedreg.yaml"
    spaces = "".join(
        f"  {name}: {{kind: memory, space: '{request.node.nodeid}-{name}', calls: {POLICY}}}\n" for name in NAMES
    )
    config.write_text(f"store: {{url: 'sqlite:///fedreg.db'}}\nregistries:\n{spaces}")
    async with open_gateway(load_settings(config, {})) as opened:
        await make_version(opened, "dev", "churn", description="one")
        await make_version(opened, "dev", "churn", description="two")
        yield opened


def vendor(request: pytest.FixtureRequest, name: str) -> Vendor:
    """The "vendor" behind a registry."""
    return open_space(f"{request.node.nodeid}-{name}")


def ref(version: int, registry: str = "dev") -> Ref:
    return Ref(registry, "churn").at_version(str(version))


async def stages(gateway: Gateway) -> dict[str, str]:
    """`registry:version` -> stage, live, of all that have one."""
    found = {}
    for name in NAMES:
        adapter = await gateway.registries.get(name)
        try:
            page = await adapter.list_versions("churn", PageRequest())
        except NotFound:
            continue
        found |= {f"{name}:{one.version}": one.stage for one in page.items if one.stage != "none"}
    return found
