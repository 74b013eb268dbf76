"""The adapter keeps what it declares of a registry, on the stand-in."""

from __future__ import annotations

import pytest

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
    return await start(of_registry=True)
