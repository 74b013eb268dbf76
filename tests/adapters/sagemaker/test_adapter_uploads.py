"""Uploads: one version a key, whatever happens between; archives; copies; what abort leaves alone."""

from __future__ import annotations

import asyncio
import io
import tarfile
from pathlib import Path

import pytest

from fedreg.domain.errors import Conflict, IntegrityError, InvalidRequest, NotFound, RegistryError
from fedreg.domain.models import Pending, Version, VersionDraft
from fedreg.testing import steps
from fedreg.testing.backend import Match
from fedreg_adapters.sagemaker.adapter import SageMakerAdapter

from .backend import BUCKET, SageMakerBackend
from .fixtures import Start
from .fixtures import adapter as adapter
from .fixtures import backend as backend
from .fixtures import s3 as s3
from .fixtures import start as start

FILES = {"model.bin": b"w" * 5000, "conf/a.json": b"{}", "empty": b""}


async def test_an_archive_is_packed_once_the_same_each_time(
    adapter: SageMakerAdapter, backend: SageMakerBackend
) -> None:
    archives = []
    for _ in range(2):
        version = await steps.new_version(adapter, backend, files=FILES, packaging="tar.gz")
        assert str(version.artifact_uri).endswith("/model.tar.gz")
        archives.append(await backend.get_object(str(version.artifact_uri)))
        place = str(version.artifact_uri).removesuffix("model.tar.gz")
        assert await backend.objects(place) == ["model.tar.gz"], "staged files are gone"
    assert archives[0] == archives[1]
    with tarfile.open(fileobj=io.BytesIO(archives[0])) as archive:
        assert archive.getnames() == sorted(FILES)


async def test_members_are_read_from_one_download(adapter: SageMakerAdapter, backend: SageMakerBackend) -> None:
    version = await steps.new_version(adapter, backend, files=FILES, packaging="tar.gz")
    proxy = backend.s3_proxy
    before = proxy.traffic(Match(method="GET", path=r"model\.tar\.gz")).sent
    assert await steps.read_all(adapter, version) == FILES
    assert await steps.read(adapter, version, "model.bin", 4990) == b"w" * 10
    after = proxy.traffic(Match(method="GET", path=r"model\.tar\.gz")).sent
    assert after - before == len(await backend.get_object(str(version.artifact_uri)))


async def test_temporary_files_go_with_the_adapter(
    backend: SageMakerBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("fedreg_adapters.sagemaker.files._KEPT", 4)
    adapter = await backend.open_adapter()
    versions = [await steps.new_version(adapter, backend, files=FILES, packaging="tar.gz") for _ in range(6)]
    for version in versions:
        await adapter.list_files(version.model, version.version)
    assert len(list(tmp_path.rglob("*.tar"))) == 4, "a few archives are kept"
    assert await steps.read_all(adapter, versions[0]) == FILES
    await adapter.aclose()
    assert list(tmp_path.iterdir()) == []


async def test_an_archive_that_changed_is_noticed(adapter: SageMakerAdapter, backend: SageMakerBackend) -> None:
    version = await steps.new_version(adapter, backend, files=FILES, packaging="tar.gz")
    fresh = await backend.open_adapter()
    try:
        [entry, *_] = await adapter.list_files(version.model, version.version)
        other = await steps.new_version(adapter, backend, files={"model.bin": b"x"}, packaging="tar.gz")
        await backend.put_object(str(version.artifact_uri), await backend.get_object(str(other.artifact_uri)))
        with pytest.raises(IntegrityError, match="changed"):
            await steps.gather(fresh.open_file(version.model, version.version, entry))
    finally:
        await fresh.aclose()


async def test_pending_then_ready(start: Start) -> None:
    backend = await start(pending_describes=4)
    adapter = await backend.open_adapter()
    try:
        state = await steps.uploaded(adapter, backend, await steps.new_model(adapter, backend))
        result: Version | Pending = await adapter.finish(state)
        assert isinstance(result, Pending)
        while isinstance(result, Pending):
            result = await adapter.poll(result.state)
        assert await adapter.finish(state) == result
    finally:
        await adapter.aclose()


async def test_failed_then_aborted_then_made_again(adapter: SageMakerAdapter, backend: SageMakerBackend) -> None:
    """A client token remembers the package that abort removed; the same key still makes a new one."""
    state = await steps.uploaded(adapter, backend, await steps.new_model(adapter, backend))
    version = await steps.finish(adapter, state)
    await backend.control("package", {"arn": backend.arn(version), "status": "Failed", "reason": "no such image"})
    for ask in (adapter.poll, adapter.finish):
        with pytest.raises(RegistryError, match="no such image"):
            await ask(state)
    await adapter.abort(state)
    await adapter.abort(state)
    assert await steps.all_versions(adapter, state.model) == []
    assert await backend.objects(f"{backend.root}/") == []
    with pytest.raises(NotFound):
        await adapter.poll(state)
    await steps.put_all(adapter, state, steps.FILES)
    again = await steps.finish(adapter, state)
    assert again.identity != version.identity
    assert await adapter.find_version(state.model, state.key) == again


async def test_of_twins_the_lowest_survives(adapter: SageMakerAdapter, backend: SageMakerBackend) -> None:
    state = await steps.uploaded(adapter, backend, await steps.new_model(adapter, backend))
    version = await steps.finish(adapter, state)
    await backend.register(
        state.model, {"ModelDataUrl": "s3://elsewhere/m.tar.gz"}, CustomerMetadataProperties={"fed:key": state.key}
    )
    other = await backend.register(state.model, {"ModelDataUrl": "s3://elsewhere/m.tar.gz"})
    assert await adapter.finish(state) == version
    assert [v.version for v in await steps.all_versions(adapter, state.model)] == [version.version, other]


async def test_another_configuration_does_not_make_a_twin(adapter: SageMakerAdapter, backend: SageMakerBackend) -> None:
    state = await steps.uploaded(adapter, backend, await steps.new_model(adapter, backend))
    version = await steps.finish(adapter, state)
    other = await backend.open_adapter(stage_status="Other", inference=adapter._options.inference, kms_key=None)
    try:
        assert await other.finish(state) == version
    finally:
        await other.aclose()


async def test_announced_files_must_be_there(adapter: SageMakerAdapter, backend: SageMakerBackend) -> None:
    model = await steps.new_model(adapter, backend)
    state = await steps.begin(adapter, backend, model, {"a": b"12", "b": b"3"}, "key-1")
    await steps.put_all(adapter, state, {"a": b"12", "b": b"345"})
    with pytest.raises(Conflict, match="'b'"):
        await adapter.finish(state)
    nothing = await steps.begin(adapter, backend, model, {}, "key-2")
    with pytest.raises(InvalidRequest, match="no files"):
        await adapter.finish(nothing)
    assert await steps.all_versions(adapter, model) == []


async def test_a_key_is_found_among_many_with_few_requests(
    adapter: SageMakerAdapter, backend: SageMakerBackend
) -> None:
    model = await steps.new_model(adapter, backend)
    made = [await steps.new_version(adapter, backend, model, {"a": b"1"}, key=f"key-{n}") for n in range(6)]
    fresh = await backend.open_adapter()
    try:
        before = (await backend.control("state"))["calls"]
        assert (await fresh.find_version(model, "key-3")) == made[3]
        after = (await backend.control("state"))["calls"]
        assert after["DescribeModelPackage"] - before["DescribeModelPackage"] == 1
        assert await fresh.find_version(model, "key-9") is None
    finally:
        await fresh.aclose()


async def test_a_native_copy_outlives_its_source(adapter: SageMakerAdapter, backend: SageMakerBackend) -> None:
    state = await steps.uploaded(adapter, backend, await steps.new_model(adapter, backend), metrics={"auc": 0.5})
    source = await steps.finish(adapter, state)
    await adapter.set_stage(source.id, "production")
    target = await steps.new_model(adapter, backend)
    copy = await adapter.copy_native(source.id, target, "copy-1")
    assert (copy.stage, copy.approval.value, dict(copy.metrics)) == ("none", "pending", {"auc": 0.5})
    await adapter.delete_version(source.model, source.version)
    await adapter.abort(state)
    assert await steps.read_all(adapter, copy) == dict(steps.FILES)
    assert await adapter.find_version(target, "copy-1") == copy


async def test_bytes_in_place(adapter: SageMakerAdapter, backend: SageMakerBackend) -> None:
    model = await steps.new_model(adapter, backend)
    root = await backend.place({"single.onnx": b"one", "dir/a": b"1", "dir/b/c": b"2"})
    for uri, files in (
        (f"{root}/single.onnx", {"single.onnx": b"one"}),
        (f"{root}/dir", {"a": b"1", "b/c": b"2"}),
        (f"{root}/dir/", {"a": b"1", "b/c": b"2"}),
    ):
        version = await adapter.create_version(VersionDraft(model=model, source_uri=uri), f"key-{uri[-9:]}")
        assert await steps.read_all(adapter, version) == files
    with pytest.raises(NotFound, match="nothing at"):
        await adapter.create_version(VersionDraft(model=model, source_uri=f"{root}/none"), "key-x")
    with pytest.raises(InvalidRequest, match="s3://"):
        await adapter.create_version(VersionDraft(model=model, source_uri="gs://x/y"), "key-x")


async def test_objects_are_encrypted_with_the_key(backend: SageMakerBackend) -> None:
    key = "arn:aws:kms:eu-west-1:123456789012:key/12345678-1234-1234-1234-123456789012"
    adapter = await backend.open_adapter(kms_key=key)
    try:
        version = await steps.new_version(adapter, backend, files={"a": b"1"})
        place = f"{version.artifact_uri}a".removeprefix(f"s3://{BUCKET}/")
        head = await asyncio.to_thread(backend.s3.client.head_object, Bucket=BUCKET, Key=place)
        assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", key)
    finally:
        await adapter.aclose()


async def test_packages_without_bytes_and_with_many_containers(
    adapter: SageMakerAdapter, backend: SageMakerBackend
) -> None:
    model = await steps.new_model(adapter, backend)
    bare = await backend.register(model, {})
    assert await adapter.list_files(model, bare) == []
    root = await backend.place({"a/f": b"1", "b/f": b"22"})
    containers = [
        {"Image": "i", "ModelDataSource": {"S3DataSource": _prefix(f"{root}/{part}/")}} for part in ("a", "b")
    ]
    specification = {
        "Containers": containers,
        "SupportedContentTypes": ["text/csv"],
        "SupportedResponseMIMETypes": ["text/csv"],
    }
    made = await backend.sagemaker(
        "create_model_package", ModelPackageGroupName=model, InferenceSpecification=specification
    )
    version = await adapter.get_version(model, made["ModelPackageArn"].rpartition("/")[2])
    assert await steps.read_all(adapter, version) == {"container-0/f": b"1", "container-1/f": b"22"}


def _prefix(uri: str) -> dict[str, str]:
    return {"S3Uri": uri, "S3DataType": "S3Prefix", "CompressionType": "None"}
