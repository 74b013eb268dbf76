"""One MLflow server for the whole session; an adapter and the vendor's own client on it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
import pytest_asyncio

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # before anything imports mlflow

from mlflow import MlflowClient

from fedreg.registries.calls import GuardedCalls
from fedreg.registries.policy import CallPolicy
from fedreg_adapters.mlflow.adapter import MlflowAdapter
from fedreg_adapters.mlflow.manifest import MlflowOptions

from .server import MlflowServer

Opener = Callable[..., MlflowAdapter]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    started = MlflowServer(tmp_path_factory.mktemp("mlflow"))
    yield started
    started.stop()


@pytest.fixture
def client(server: MlflowServer) -> MlflowClient:
    return MlflowClient(server.url, server.url)


@pytest_asyncio.fixture
async def connect(server: MlflowServer) -> AsyncIterator[Opener]:
    """Makes adapters, on the session's server unless `url` says otherwise; closes them."""
    made: list[MlflowAdapter] = []

    def make(**options: Any) -> MlflowAdapter:
        policy = CallPolicy(deadline=30.0, idle_deadline=30.0, backoff=0.001, backoff_max=0.01, breaker_threshold=1000)
        calls = GuardedCalls("prod", policy)
        made.append(MlflowAdapter("prod", MlflowOptions(**{"url": server.url, **options}), calls))
        return made[-1]

    yield make
    for adapter in made:
        await adapter.aclose()


@pytest.fixture
def prod(connect: Opener) -> MlflowAdapter:
    return connect()
