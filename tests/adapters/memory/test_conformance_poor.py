"""A registry that can do little: what it lacks is refused as the suite asks, and what is left still holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from fedreg.domain.calls import Calls
from fedreg.domain.capabilities import Capabilities, Limits, Operation, UploadSupport
from fedreg.domain.errors import Unsupported
from fedreg.domain.models import Batch, Version, VersionId
from fedreg.domain.port import RegistryAdapter
from fedreg.domain.stages import STAGING, Approval
from fedreg.testing.suite import *  # noqa: F403
from fedreg_adapters.memory.adapter import MemoryAdapter
from fedreg_adapters.memory.manifest import CAPABILITIES as RICH
from fedreg_adapters.memory.manifest import MANIFEST as RICH_MANIFEST
from fedreg_adapters.memory.manifest import PHASE, MemoryOptions

from .backend import SECRET, MemoryBackend

KEPT = frozenset(
    {
        *(Operation.CREATE_MODEL, Operation.FIND_VERSION, Operation.UPLOAD),
        *(Operation.LIST_FILES, Operation.OPEN_FILE, Operation.SET_STAGE, Operation.SET_APPROVAL),
    }
)
CAPABILITIES: Capabilities = replace(
    RICH,
    operations=KEPT,
    stages={STAGING: PHASE},
    custom_stages=None,
    approvals=frozenset({Approval.APPROVED}),
    upload=UploadSupport(),
    incremental=frozenset(),
    fields=frozenset(),
    model_fields=frozenset(),
    editable=frozenset(),
    limits=Limits(),
)
MANIFEST = replace(RICH_MANIFEST, kind="memory-poor")


class PoorAdapter(MemoryAdapter):
    """The memory adapter with most of it taken away again."""

    update_model = RegistryAdapter.update_model
    delete_model = RegistryAdapter.delete_model
    create_version = RegistryAdapter.create_version
    update_version = RegistryAdapter.update_version
    delete_version = RegistryAdapter.delete_version
    set_alias = RegistryAdapter.set_alias
    delete_alias = RegistryAdapter.delete_alias
    set_model_tags = RegistryAdapter.set_model_tags
    set_version_tags = RegistryAdapter.set_version_tags
    copy_native = RegistryAdapter.copy_native
    lineage = RegistryAdapter.lineage
    deployments = RegistryAdapter.deployments
    parse_event = RegistryAdapter.parse_event

    def __init__(self, registry: str, options: MemoryOptions, calls: Calls) -> None:
        super().__init__(registry, options, calls)
        self._capabilities = CAPABILITIES
        self._pointers = {}

    async def scan(self, cursor: str | None) -> Batch:
        return await super().scan(None if cursor and "since" in cursor else cursor)

    async def set_approval(self, target: VersionId, decision: Approval, comment: str | None = None) -> Version:
        if decision is not Approval.APPROVED:
            raise Unsupported(f"approval {decision.value!r}: not held", registry=self.registry)
        return await super().set_approval(target, decision, comment)


class PoorBackend(MemoryBackend):
    manifest = MANIFEST

    async def open_adapter(self, calls: Calls | None = None) -> RegistryAdapter:
        options = MemoryOptions(space=self.space, event_secret=SECRET)
        return PoorAdapter(self.registry, options, calls or self.make_calls())


@pytest.fixture
def backend() -> Iterator[PoorBackend]:
    made = PoorBackend()
    yield made
    made.close()
