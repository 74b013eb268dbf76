"""A second client of Microsoft's, generated from the public specification, reads and writes the same things."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from azure.core.exceptions import ResourceNotFoundError

from fedreg.domain.errors import NotFound
from fedreg.domain.models import ModelDraft
from fedreg.testing import steps
from fedreg_adapters.azureml.adapter import AzureMLAdapter

from .backend import GROUP, WORKSPACE, AzureMLBackend
from .fixtures import adapter as adapter
from .fixtures import backend as backend
from .fixtures import certificate as certificate
from .fixtures import start as start
from .vendor import management_client

WHERE = (GROUP, WORKSPACE)


@pytest.fixture
async def client(backend: AzureMLBackend) -> AsyncIterator[Any]:
    async with management_client(backend) as opened:
        yield opened


@pytest.mark.oracle("create_model", "upload", "set_model_tags", "set_alias")
async def test_reads_what_the_adapter_wrote(adapter: AzureMLAdapter, backend: AzureMLBackend, client: Any) -> None:
    await adapter.create_model(ModelDraft(name="churn", description="who leaves", tags={"team": "growth"}))
    for number in range(7):
        await _version(adapter, backend, "churn", {"n": str(number)})
    await adapter.set_model_tags("churn", {"cost": "7"})
    await adapter.set_alias("churn", "champion", "3")
    container = await client.model_containers.get(*WHERE, "churn")
    assert (container.properties.description, container.properties.tags) == (
        "who leaves",
        {"team": "growth", "cost": "7", "fed.alias.champion": "3"},
    )
    assert container.properties.next_version == "8"
    listed = [found async for found in client.model_versions.list(*WHERE, "churn", list_view_type="All")]
    assert sorted((found.name, found.properties.tags["n"]) for found in listed) == [
        (str(number + 1), str(number)) for number in range(7)
    ]
    assert all(found.properties.provisioning_state in (None, "Succeeded") for found in listed)
    assert all(found.system_data.created_at.tzinfo is not None for found in listed)


async def test_the_adapter_reads_what_it_wrote(adapter: AzureMLAdapter, backend: AzureMLBackend, client: Any) -> None:
    from azure.mgmt.machinelearningservices.models import ModelVersion, ModelVersionProperties

    uri = await backend.place({"a.bin": b"weights"})
    inner = ModelVersionProperties(model_uri=uri, model_type="custom_model", tags={"a": "b"}, description="theirs")
    await client.model_versions.create_or_update(*WHERE, "theirs", "2024-02.r1", ModelVersion(properties=inner))
    version = await adapter.get_version("theirs", "2024-02.r1")
    assert (version.description, dict(version.tags)) == ("theirs", {"a": "b"})
    assert await steps.read_all(adapter, version) == {"a.bin": b"weights"}


@pytest.mark.oracle("delete_version", "delete_model")
async def test_sees_what_the_adapter_deleted(adapter: AzureMLAdapter, backend: AzureMLBackend, client: Any) -> None:
    version = await steps.new_version(adapter, backend)
    await adapter.delete_version(version.model, version.version)
    with pytest.raises(ResourceNotFoundError):
        await client.model_versions.get(*WHERE, version.model, version.version)
    await adapter.delete_model(version.model)
    with pytest.raises(ResourceNotFoundError) as caught:
        await client.model_containers.get(*WHERE, version.model)
    assert caught.value.error.code == "UserError"
    assert caught.value.error.details[0].code == "ModelNotFound"


async def test_the_adapter_sees_what_it_deleted(adapter: AzureMLAdapter, backend: AzureMLBackend, client: Any) -> None:
    version = await steps.new_version(adapter, backend, key="k")
    await client.model_versions.delete(*WHERE, version.model, version.version)
    with pytest.raises(NotFound):
        await adapter.get_version(version.model, version.version)
    assert await adapter.find_version(version.model, "k") is None


async def _version(adapter: AzureMLAdapter, backend: AzureMLBackend, model: str, tags: dict[str, str]) -> None:
    await steps.finish(adapter, await steps.uploaded(adapter, backend, model, tags=tags))
