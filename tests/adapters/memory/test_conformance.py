"""The memory adapter keeps what it declares."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fedreg.testing.suite import *  # noqa: F403
from fedreg_adapters.memory.manifest import MANIFEST as MANIFEST

from .backend import MemoryBackend


@pytest.fixture
def backend() -> Iterator[MemoryBackend]:
    made = MemoryBackend()
    yield made
    made.close()
