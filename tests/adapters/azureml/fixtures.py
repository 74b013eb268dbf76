"""Fixtures: a certificate for a session, a stand-in and an adapter for a test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from fedreg_adapters.azureml.adapter import AzureMLAdapter

from .backend import AzureMLBackend, Certificate, RegistryBackend, make_certificate

Start = Callable[..., Awaitable[AzureMLBackend]]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
async def start(certificate: Certificate) -> AsyncIterator[Start]:
    """Starts backends with options of the stand-in; `of_registry` chooses the variant."""
    started: list[AzureMLBackend] = []

    async def start_one(*, of_registry: bool = False, **standin: Any) -> AzureMLBackend:
        backend = (RegistryBackend if of_registry else AzureMLBackend)(certificate, **standin)
        await backend.start()
        started.append(backend)
        return backend

    yield start_one
    for backend in started:
        await backend.aclose()


@pytest.fixture
async def backend(start: Start) -> AzureMLBackend:
    return await start()


@pytest.fixture
async def adapter(backend: AzureMLBackend) -> AsyncIterator[AzureMLAdapter]:
    opened = await backend.open_adapter()
    yield opened
    await opened.aclose()
