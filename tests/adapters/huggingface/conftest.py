"""Fixtures: a Hub, and an adapter on it. The SDK reads its environment when it is imported."""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator

import pytest_asyncio

os.environ["HF_HUB_DISABLE_XET"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["HF_HUB_DISABLE_UPDATE_CHECK"] = "1"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
os.environ["HF_HOME"] = (HOME := tempfile.TemporaryDirectory(prefix="fedreg-tests-hf-")).name  # gone at exit

from fedreg_adapters.huggingface.adapter import HuggingFaceAdapter

from .backend import HubBackend


@pytest_asyncio.fixture
async def backend() -> AsyncIterator[HubBackend]:
    made = HubBackend()
    await made.start()
    yield made
    await made.aclose()


@pytest_asyncio.fixture
async def adapter(backend: HubBackend) -> AsyncIterator[HuggingFaceAdapter]:
    opened = await backend.open_adapter()
    yield opened
    await opened.aclose()
