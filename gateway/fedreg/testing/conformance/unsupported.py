"""What is not declared answers the one Unsupported, before anything is asked of the registry."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from fedreg.domain.capabilities import Operation, require_stage, unsupported
from fedreg.domain.errors import Unsupported
from fedreg.domain.models import FileEntry, ModelDraft, Provenance, UploadState, VersionDraft, VersionId
from fedreg.domain.port import RegistryAdapter
from fedreg.domain.stages import Approval
from fedreg.testing import steps
from fedreg.testing.backend import Backend
from fedreg.testing.marks import needs, proves

TARGET = VersionId(model="m", version="1", identity="i")
STATE = UploadState(key="k", model="m")
DRAFT = VersionDraft(model="m")
FILE = steps.file_source("a", b"x")


async def parse_event(adapter: RegistryAdapter) -> None:
    await adapter.parse_event({}, b"{}")


async def open_file(adapter: RegistryAdapter) -> None:
    await steps.gather(adapter.open_file("m", "1", FileEntry(path="a", size=1)))


async def upload(adapter: RegistryAdapter) -> None:
    """Each call of the protocol is refused; the last one's refusal is what the test looks at."""
    calls: list[Callable[[], Awaitable[Any]]] = [
        lambda: adapter.put_file(STATE, FILE),
        lambda: adapter.finish(STATE),
        lambda: adapter.poll(STATE),
        lambda: adapter.abort(STATE),
    ]
    for call in calls:
        with pytest.raises(Unsupported):
            await call()
    await adapter.begin_upload(DRAFT, "k")


CALLS: Mapping[Operation, Callable[[RegistryAdapter], Awaitable[Any]]] = {
    Operation.CREATE_MODEL: lambda a: a.create_model(ModelDraft(name="m")),
    Operation.UPDATE_MODEL: lambda a: a.update_model("m", description="d"),
    Operation.DELETE_MODEL: lambda a: a.delete_model("m"),
    Operation.FIND_VERSION: lambda a: a.find_version("m", "k"),
    Operation.UPLOAD: upload,
    Operation.CREATE_VERSION: lambda a: a.create_version(DRAFT, "k"),
    Operation.UPDATE_VERSION: lambda a: a.update_version("m", "1", description="d"),
    Operation.DELETE_VERSION: lambda a: a.delete_version("m", "1"),
    Operation.SET_STAGE: lambda a: a.set_stage(TARGET, "production"),
    Operation.SET_ALIAS: lambda a: a.set_alias("m", "a", "1"),
    Operation.DELETE_ALIAS: lambda a: a.delete_alias("m", "a"),
    Operation.SET_MODEL_TAGS: lambda a: a.set_model_tags("m", {"a": "b"}),
    Operation.SET_VERSION_TAGS: lambda a: a.set_version_tags("m", "1", {"a": "b"}),
    Operation.SET_APPROVAL: lambda a: a.set_approval(TARGET, Approval.APPROVED),
    Operation.LIST_FILES: lambda a: a.list_files("m", "1"),
    Operation.OPEN_FILE: open_file,
    Operation.COPY_NATIVE: lambda a: a.copy_native(TARGET, "n", "k"),
    Operation.LINEAGE: lambda a: a.lineage("m", "1"),
    Operation.DEPLOYMENTS: lambda a: a.deployments("m", "1"),
    Operation.PARSE_EVENT: parse_event,
}


def same(caught: Unsupported, expected: Unsupported) -> None:
    assert caught.to_dict() == expected.to_dict()


@pytest.mark.asyncio
@proves("unsupported")
class TestUnsupported:
    async def test_operation(self, adapter: RegistryAdapter, backend: Backend, undeclared_operation: Operation) -> None:
        if undeclared_operation is Operation.SCAN_INCREMENTAL:
            await self._scan_starts_over(adapter, backend)
            return
        with pytest.raises(Unsupported) as caught:
            await CALLS[undeclared_operation](adapter)
        same(caught.value, unsupported(undeclared_operation, registry=adapter.registry))

    async def _scan_starts_over(self, adapter: RegistryAdapter, backend: Backend) -> None:
        """It has no call of its own: the cursor of a complete scan asks for a full one."""
        version = await steps.new_version(adapter, backend)
        batches = await steps.scan_all(adapter, (await steps.scan_all(adapter))[-1].cursor)
        assert all(batch.full for batch in batches)
        assert version.id in [found.id for batch in batches for found in batch.versions]

    @needs(Operation.SET_STAGE)
    async def test_stage(self, adapter: RegistryAdapter, backend: Backend, undeclared_stage: str) -> None:
        version = await steps.new_version(adapter, backend)
        with pytest.raises(Unsupported) as expected:
            require_stage(adapter.capabilities, undeclared_stage, registry=adapter.registry)
        with pytest.raises(Unsupported) as caught:
            await adapter.set_stage(version.id, undeclared_stage)
        same(caught.value, expected.value)

    @needs(Operation.SET_APPROVAL)
    async def test_approval(self, adapter: RegistryAdapter, backend: Backend, undeclared_approval: Approval) -> None:
        version = await steps.new_version(adapter, backend)
        with pytest.raises(Unsupported, match=undeclared_approval.value):
            await adapter.set_approval(version.id, undeclared_approval)
        assert await adapter.get_version(version.model, version.version) == version


@pytest.mark.asyncio
@proves("unsupported")
class TestUnsupportedFields:
    """A field that the registry can't hold is refused by its name, never dropped."""

    @needs(Operation.UPLOAD)
    async def test_of_a_version(self, adapter: RegistryAdapter, backend: Backend, undeclared_field: str) -> None:
        values: dict[str, Any] = {
            "description": "d",
            "metrics": {"auc": 1.0},
            "params": {"depth": "3"},
            "provenance": Provenance(run_id="r"),
            "approval": Approval.APPROVED,
        }
        model = await steps.new_model(adapter, backend)
        with pytest.raises(Unsupported, match=undeclared_field):
            given = {undeclared_field: values[undeclared_field]}
            await steps.begin(adapter, backend, model, steps.FILES, steps.new_key(), **given)

    @needs(Operation.CREATE_MODEL)
    async def test_of_a_model(self, adapter: RegistryAdapter, backend: Backend, undeclared_model_field: str) -> None:
        values: dict[str, Any] = {"description": "d", "tags": {"a": "b"}}
        name = backend.unique_name()
        with pytest.raises(Unsupported, match=undeclared_model_field):
            given = {undeclared_model_field: values[undeclared_model_field]}
            await adapter.create_model(ModelDraft(name=name, **given))
        assert await steps.all_models(adapter, contains=name) == []
