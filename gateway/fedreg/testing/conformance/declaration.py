"""The manifest and the capabilities themselves."""

from __future__ import annotations

import dataclasses
import importlib
import re
from typing import Any

import pytest

from fedreg.domain.capabilities import Capabilities, Limits, Operation
from fedreg.domain.models import Severity
from fedreg.domain.port import RegistryAdapter
from fedreg.domain.stages import ARCHIVED, Holder
from fedreg.testing.backend import Backend
from fedreg.testing.marks import proves
from fedreg.testing.plugin import capabilities_of

FIELDS = {"description", "metrics", "params", "provenance", "approval"}


@pytest.mark.asyncio
@proves("declaration")
class TestDeclaration:
    """What is declared is well-formed, and the same before and after opening."""

    async def test_opens_with_what_was_declared(self, adapter: RegistryAdapter, request: pytest.FixtureRequest) -> None:
        declared = capabilities_of(request.module)
        assert adapter.capabilities == declared, "name CAPABILITIES in the test module where open() narrows MANIFEST"

    async def test_never_widens_the_manifest(self, adapter: RegistryAdapter, backend: Backend) -> None:
        assert adapter.capabilities.operations <= backend.manifest.capabilities.operations
        assert adapter.capabilities.fields <= backend.manifest.capabilities.fields
        assert adapter.capabilities.approvals <= backend.manifest.capabilities.approvals

    async def test_operations_and_details_agree(self, adapter: RegistryAdapter) -> None:
        said = adapter.capabilities
        pairs: dict[Operation, Any] = {
            Operation.UPLOAD: said.upload,
            Operation.SET_STAGE: said.stages or said.custom_stages,
            Operation.SET_APPROVAL: said.approvals,
            Operation.SCAN_INCREMENTAL: said.incremental,
            Operation.UPDATE_MODEL: "model.description" in said.editable,
            Operation.UPDATE_VERSION: "version.description" in said.editable,
        }
        for operation, detail in pairs.items():
            assert said.supports(operation) == bool(detail), f"{operation.value} and its details disagree"
        assert said.supports(Operation.OPEN_FILE) == said.supports(Operation.LIST_FILES)
        assert said.supports(Operation.UPLOAD) or said.supports(Operation.CREATE_VERSION) or not said.fields
        assert said.supports(Operation.FIND_VERSION) or not said.supports(Operation.UPLOAD)

    async def test_words_are_known(self, adapter: RegistryAdapter) -> None:
        said = adapter.capabilities
        assert said.fields <= FIELDS
        assert said.model_fields <= {"description", "tags"}
        assert said.editable <= {"model.description", "version.description"}
        assert said.models in ("explicit", "implicit")
        assert said.upload is None or said.upload.order in ("bytes_first", "version_first")

    async def test_pointers_hold_exclusive_stages_only(self, adapter: RegistryAdapter) -> None:
        said = adapter.capabilities
        for stage, support in {**said.stages, "(custom)": said.custom_stages}.items():
            if support is not None and support.holder in (Holder.ALIAS, Holder.BRANCH):
                assert support.exclusive, f"{stage}: a pointer can't hold a stage that several versions have"
                assert stage != ARCHIVED, "archived is never an alias"

    async def test_limits_make_sense(self, adapter: RegistryAdapter) -> None:
        for item in dataclasses.fields(Limits):
            value = getattr(adapter.capabilities.limits, item.name)
            if isinstance(value, str):
                re.compile(value)
            else:
                assert value is None or value > 0, item.name

    async def test_manifest_names_the_adapter(self, adapter: RegistryAdapter, backend: Backend) -> None:
        module, _, name = backend.manifest.adapter.partition(":")
        assert adapter.registry == backend.registry, "open_adapter() gives the adapter the name Backend.registry"
        assert isinstance(adapter, getattr(importlib.import_module(module), name))
        assert isinstance(backend.manifest.capabilities, Capabilities)
        assert dataclasses.is_dataclass(backend.manifest.options)

    async def test_ping_and_diagnose(self, adapter: RegistryAdapter) -> None:
        await adapter.ping()
        findings = await adapter.diagnose()
        assert findings
        assert all(finding.severity is not Severity.ERROR for finding in findings), findings

    async def test_closes_twice(self, backend: Backend) -> None:
        adapter = await backend.open_adapter()
        await adapter.aclose()
        await adapter.aclose()
