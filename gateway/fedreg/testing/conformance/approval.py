"""Approval: the second axis."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fedreg.domain.capabilities import Operation
from fedreg.domain.errors import NotFound, PreconditionFailed
from fedreg.domain.port import RegistryAdapter
from fedreg.domain.stages import Approval
from fedreg.testing import steps
from fedreg.testing.backend import Backend
from fedreg.testing.declared import declared_approvals
from fedreg.testing.marks import needs, proves


@pytest.mark.asyncio
@proves("set_approval")
@needs(Operation.SET_APPROVAL)
class TestApproval:
    async def test_each(self, adapter: RegistryAdapter, backend: Backend, declared_approval: Approval) -> None:
        version = await steps.new_version(adapter, backend)
        for before in declared_approvals(adapter.capabilities):
            await adapter.set_approval(version.id, before)
            changed = await adapter.set_approval(version.id, declared_approval)
            assert changed.approval is declared_approval
        assert (await adapter.get_version(version.model, version.version)).approval is declared_approval

    async def test_comment(self, adapter: RegistryAdapter, backend: Backend) -> None:
        version = await steps.new_version(adapter, backend)
        for decision in {Approval.APPROVED, Approval.REJECTED} & adapter.capabilities.approvals:
            changed = await adapter.set_approval(version.id, decision, f"{decision.value} by the board, §3")
            assert changed.approval_comment == f"{decision.value} by the board, §3"

    async def test_is_not_a_stage(self, adapter: RegistryAdapter, backend: Backend) -> None:
        version = await steps.new_version(adapter, backend)
        for decision in declared_approvals(adapter.capabilities):
            assert (await adapter.set_approval(version.id, decision)).stage == version.stage
        for stage in adapter.capabilities.stages:
            before = (await adapter.get_version(version.model, version.version)).approval
            assert (await adapter.set_stage(version.id, stage)).approval is before

    async def test_another_identity(self, adapter: RegistryAdapter, backend: Backend) -> None:
        version = await steps.new_version(adapter, backend)
        decision = declared_approvals(adapter.capabilities)[-1]
        with pytest.raises(PreconditionFailed):
            await adapter.set_approval(replace(version.id, identity=version.identity + "-gone"), decision)
        assert await adapter.get_version(version.model, version.version) == version

    async def test_unknown(self, adapter: RegistryAdapter, backend: Backend) -> None:
        version = await steps.new_version(adapter, backend)
        decision = declared_approvals(adapter.capabilities)[-1]
        with pytest.raises(NotFound):
            await adapter.set_approval(replace(version.id, version="999999"), decision)
