"""The conformance suite on a real registry: `make conformance kind=KIND LIVE=1`. No test run collects it by itself."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

import pytest

from fedreg.domain.capabilities import Operation
from fedreg.domain.port import RegistryAdapter
from fedreg.testing import suite
from fedreg.testing.backend import Backend
from fedreg.testing.live import LiveBackend, delete_models
from fedreg.testing.suite import *  # noqa: F403

from .chosen import NotChosen, choose

try:
    CHOSEN = choose(os.environ)
except NotChosen as error:
    raise pytest.Collector.CollectError(str(error)) from None

LIVE = True
MANIFEST = CHOSEN.manifest
CAPABILITIES = CHOSEN.capabilities
# Of what is proven of a workspace elsewhere: nothing is copied within an Azure ML registry.
ELSEWHERE = MANIFEST.kind == "azureml" and Operation.CREATE_VERSION not in CAPABILITIES.operations


@pytest.fixture(scope="module", autouse=True)
def run() -> Iterator[str]:
    """The run's models, gone at the end. What could not be deleted is an error, unless the registry deletes nothing."""
    yield CHOSEN.run
    left = asyncio.run(_clean())
    if left:
        told = "\n  ".join(["left behind:", *left])
        if CAPABILITIES.supports(Operation.DELETE_MODEL):
            pytest.fail(told, pytrace=False)
        print(told)


async def _clean() -> list[str]:
    adapter = await CHOSEN.backend().open_adapter()
    try:
        return await delete_models(adapter, CHOSEN.run)
    finally:
        await adapter.aclose()


@pytest.fixture
def backend() -> LiveBackend:
    return CHOSEN.backend()


class TestCopyNative(suite.TestCopyNative):
    @pytest.mark.xfail(ELSEWHERE, reason="a registry of Azure ML copies from a workspace only", strict=True)
    async def test_into_another_model(self, adapter: RegistryAdapter, backend: Backend) -> None:
        await super().test_into_another_model(adapter, backend)

    @pytest.mark.xfail(ELSEWHERE, reason="a registry of Azure ML copies from a workspace only", strict=True)
    async def test_same_key_same_version(self, adapter: RegistryAdapter, backend: Backend) -> None:
        await super().test_same_key_same_version(adapter, backend)
