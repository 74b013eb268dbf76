"""The adapter keeps what it declares of a registry, on the stand-in."""

from __future__ import annotations

import pytest

from fedreg.domain.port import RegistryAdapter
from fedreg.testing import suite
from fedreg.testing.backend import Backend
from fedreg.testing.suite import *  # noqa: F403
from fedreg_adapters.azureml.manifest import MANIFEST as MANIFEST
from fedreg_adapters.azureml.manifest import AzureMLOptions, narrow

from .backend import AzureMLBackend
from .fixtures import Start
from .fixtures import certificate as certificate
from .fixtures import start as start

CAPABILITIES = narrow(AzureMLOptions(registry="models"))


@pytest.fixture
async def backend(start: Start) -> AzureMLBackend:
    """Its operations are done when they are next looked at: what is late is what the tests make late."""
    return await start(of_registry=True, operation_time=0.0)


class TestCopyNative(suite.TestCopyNative):
    @pytest.mark.xfail(reason="a registry copies from a workspace only: test_publish.py proves that", strict=True)
    async def test_into_another_model(self, adapter: RegistryAdapter, backend: Backend) -> None:
        await super().test_into_another_model(adapter, backend)

    @pytest.mark.xfail(reason="a registry copies from a workspace only: test_publish.py proves that", strict=True)
    async def test_same_key_same_version(self, adapter: RegistryAdapter, backend: Backend) -> None:
        await super().test_same_key_same_version(adapter, backend)
