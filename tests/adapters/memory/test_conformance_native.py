"""The memory adapter with every stage held as a phase."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fedreg.domain.stages import PRODUCTION, STAGING, Holder, StageOptions
from fedreg.testing.suite import *  # noqa: F403
from fedreg_adapters.memory.adapter import narrowed
from fedreg_adapters.memory.manifest import MANIFEST as MANIFEST
from fedreg_adapters.memory.manifest import MemoryOptions

from .backend import SECRET, MemoryBackend

STAGES = StageOptions(held_by=Holder.NATIVE, map={PRODUCTION: "live", STAGING: "trial"})
CAPABILITIES = narrowed(MemoryOptions(stages=STAGES, event_secret=SECRET))


@pytest.fixture
def backend() -> Iterator[MemoryBackend]:
    made = MemoryBackend()
    made.stages = STAGES
    yield made
    made.close()
