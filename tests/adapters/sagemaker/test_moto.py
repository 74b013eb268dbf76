"""The adapter on moto's registry, for what moto does as SageMaker does.

Left out, because moto 5 answers otherwise than the service: UpdateModelPackage replaces instead of patching;
DeleteModelPackage(Group), BatchDescribe, Search of packages, lineage are not there; ModelLifeCycle, ModelCard
and the default PendingManualApproval are dropped; ARNs are lower-cased; a second group of one name overwrites;
AddTags on an existing key appends a second one; ClientToken is ignored.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from fedreg.domain.errors import NotFound
from fedreg.domain.models import ModelDraft, ModelQuery, PageRequest
from fedreg.testing import steps
from fedreg_adapters.sagemaker.adapter import SageMakerAdapter

from .backend import SageMakerBackend, boto_client
from .fixtures import backend as backend
from .fixtures import s3 as s3
from .fixtures import start as start


@pytest.fixture
async def adapter(backend: SageMakerBackend) -> AsyncIterator[SageMakerAdapter]:
    opened = await backend.open_adapter(endpoint_url=backend.s3.url)
    yield opened
    await opened.aclose()


async def test_models(adapter: SageMakerAdapter, backend: SageMakerBackend) -> None:
    name = f"team/{backend.unique_name()}"
    made = await adapter.create_model(ModelDraft(name=name, description="d", tags={"a": "b"}))
    assert (made.name, made.description, dict(made.tags)) == (name, "d", {"a": "b"})
    assert name in [model.name for model in await steps.all_models(adapter, limit=1)]
    await adapter.set_model_tags(name, {"c": "d"})
    assert dict((await adapter.get_model(name)).tags) == {"a": "b", "c": "d"}
    with pytest.raises(NotFound):
        await adapter.get_model(f"{name}-missing")


async def test_versions(adapter: SageMakerAdapter, backend: SageMakerBackend) -> None:
    model = await steps.new_model(adapter, backend)
    root = await backend.place({"f": b"1"})
    source = {"S3DataSource": {"S3Uri": f"{root}/", "S3DataType": "S3Prefix", "CompressionType": "None"}}
    client = boto_client("sagemaker", backend.s3.url)
    for number in range(3):
        client.create_model_package(
            ModelPackageGroupName=model,
            ModelPackageDescription=f"number {number}",
            ModelApprovalStatus="Approved",
            CustomerMetadataProperties={"tier": str(number)},
            InferenceSpecification={
                "Containers": [{"Image": "i", "ModelDataSource": source}],
                "SupportedContentTypes": ["x"],
                "SupportedResponseMIMETypes": ["x"],
            },
        )
    page = await adapter.list_versions(model, PageRequest(limit=2))
    assert len(page.items) == 2 and page.next_token
    versions = await steps.all_versions(adapter, model, limit=2)
    assert sorted(version.version for version in versions) == ["1", "2", "3"]
    last = await adapter.get_version(model, "3")
    assert (last.description, last.approval.value, dict(last.tags)) == ("number 2", "approved", {"tier": "2"})
    assert await steps.read_all(adapter, last) == {"f": b"1"}
    with pytest.raises(NotFound):
        await adapter.get_version(model, "4")


async def test_paging_of_models(adapter: SageMakerAdapter, backend: SageMakerBackend) -> None:
    names = {(await adapter.create_model(ModelDraft(name=backend.unique_name()))).name for _ in range(3)}
    first = await adapter.list_models(ModelQuery(page=PageRequest(limit=2)))
    assert len(first.items) == 2 and first.next_token
    assert names <= {model.name for model in await steps.all_models(adapter, limit=2)}
