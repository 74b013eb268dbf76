"""The conformance suite on a real MLflow server, with stages held as they are by default: by alias."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from fedreg.domain.stages import StageOptions
from fedreg.testing.faults import FaultProxy
from fedreg.testing.suite import *  # noqa: F403
from fedreg_adapters.mlflow.manifest import MANIFEST

from .backend import MlflowBackend
from .server import MlflowServer

__all__ = ["MANIFEST"]  # the suite's plugin reads it


@pytest_asyncio.fixture
async def backend(server: MlflowServer) -> AsyncIterator[MlflowBackend]:
    async with FaultProxy(server.url) as proxy:
        yield MlflowBackend(server, proxy.url, proxy, StageOptions())
