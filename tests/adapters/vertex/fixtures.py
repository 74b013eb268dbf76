"""Fixtures of the adapter's tests: a stand-in and an adapter for a test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from fedreg_adapters.vertex.adapter import VertexAdapter

from .backend import VertexBackend

Start = Callable[..., Awaitable[VertexBackend]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts backends with ways of the stand-in."""
    started: list[VertexBackend] = []

    async def start_one(**ways: Any) -> VertexBackend:
        backend = VertexBackend(**ways)
        await backend.start()
        started.append(backend)
        return backend

    yield start_one
    for backend in started:
        await backend.aclose()


@pytest.fixture
async def backend(start: Start) -> VertexBackend:
    return await start()


@pytest.fixture
async def adapter(backend: VertexBackend) -> AsyncIterator[VertexAdapter]:
    opened = await backend.open_adapter()
    yield opened
    await opened.aclose()
