"""Fixtures of the adapter's tests: S3 for a module, a stand-in and an adapter for a test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

from fedreg_adapters.sagemaker.adapter import SageMakerAdapter

from .backend import S3Server, SageMakerBackend

Start = Callable[..., Awaitable[SageMakerBackend]]


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    server = S3Server()
    yield server
    server.stop()


@pytest.fixture
async def start(s3: S3Server) -> AsyncIterator[Start]:
    """Starts backends with options of the stand-in."""
    started: list[SageMakerBackend] = []

    async def start_one(**standin: Any) -> SageMakerBackend:
        backend = SageMakerBackend(s3, **standin)
        await backend.start()
        started.append(backend)
        return backend

    yield start_one
    for backend in started:
        await backend.aclose()


@pytest.fixture
async def backend(start: Start) -> SageMakerBackend:
    return await start()


@pytest.fixture
async def adapter(backend: SageMakerBackend) -> AsyncIterator[SageMakerAdapter]:
    opened = await backend.open_adapter()
    yield opened
    await opened.aclose()
