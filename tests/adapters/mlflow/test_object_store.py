"""An MLflow server before S3: the proxy without Range, parts to signed addresses, and the store itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from fedreg.domain.errors import IntegrityError
from fedreg.domain.models import FileSource, ModelDraft, VersionDraft
from fedreg_adapters.mlflow.adapter import MlflowAdapter

from .conftest import Opener
from .server import MlflowServer
from .steps import FILES, read_all, source, unique, upload

KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}
BUCKET = "mlflow-artifacts"  # its own: every moto server of a process shares one state


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    store = boto3.client(
        "s3",
        endpoint_url=f"http://{host}:{port}",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        region_name="us-east-1",
    )
    store.create_bucket(Bucket=BUCKET)
    yield store
    server.stop()


@pytest.fixture(scope="module")
def s3_server(s3: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    started = MlflowServer(
        tmp_path_factory.mktemp("mlflow-s3"),
        f"--artifacts-destination=s3://{BUCKET}/proxied",
        environment={**KEYS, "MLFLOW_S3_ENDPOINT_URL": s3.meta.endpoint_url},
    )
    yield started
    started.stop()


def direct(s3: Any) -> dict[str, str]:
    return {
        "store_endpoint_url": s3.meta.endpoint_url,
        "store_region": "us-east-1",
        "store_access_key_id": "testing",
        "store_secret_access_key": "testing",
    }


async def test_proxy_without_ranges(connect: Opener, s3_server: MlflowServer) -> None:
    """The server streams whole files here: what lies before the offset is dropped on our side."""
    adapter = connect(url=s3_server.url)
    data = bytes(range(256)) * 8192
    files = {**FILES, "big": data, "empty": b"", "odd#name?": b"x"}
    version = await upload(adapter, files=files)
    assert await read_all(adapter, version) == files
    [entry] = [file for file in await adapter.list_files(version.model, "1") if file.path == "big"]
    for offset in (1, 1 << 20, len(data) - 1):
        read = [chunk async for chunk in adapter.open_file(version.model, "1", entry, offset)]
        assert b"".join(read) == data[offset:]


async def test_large_files_go_in_parts(connect: Opener, s3: Any, s3_server: MlflowServer) -> None:
    adapter = connect(url=s3_server.url, token="never-sent-to-the-store")
    adapter._artifacts._multipart.threshold = adapter._artifacts._multipart.part = 5 << 20
    data = bytes(range(256)) * (4096 * 11) + b"tail"  # 11 MiB and a bit: two whole parts and a rest
    version = await upload(adapter, files={"dir/big file": data, "small": b"1"})
    assert await read_all(adapter, version) == {"dir/big file": data, "small": b"1"}
    root = str(version.artifact_uri).removeprefix("mlflow-artifacts:/")
    stored = s3.head_object(Bucket=BUCKET, Key=f"proxied/{root}/dir/big file")
    assert stored["ETag"].strip('"').endswith("-3"), "S3 marks what came in three parts"


async def test_wrong_bytes_in_parts_leave_nothing(connect: Opener, s3: Any, s3_server: MlflowServer) -> None:
    adapter = connect(url=s3_server.url)
    adapter._artifacts._multipart.threshold = adapter._artifacts._multipart.part = 5 << 20
    model = unique()
    await adapter.create_model(ModelDraft(name=model))
    state = await adapter.begin_upload(VersionDraft(model=model), unique("key"))
    data = b"x" * (6 << 20)
    wrong = FileSource(path="big", size=len(data), open_at=source("big", data).open_at, sha256="0" * 64)
    with pytest.raises(IntegrityError):
        await adapter.put_file(state, wrong)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=BUCKET)
    assert "Contents" not in s3.list_objects_v2(Bucket=BUCKET, Prefix=f"proxied/{state.data['root'].split('/')[2]}")


async def test_local_server_takes_large_files_as_a_stream(prod: MlflowAdapter) -> None:
    prod._artifacts._multipart.threshold = 1 << 20
    data = b"ab" * (1 << 20)
    version = await upload(prod, files={"big": data})
    assert await read_all(prod, version) == {"big": data}
    assert prod._artifacts._multipart.refused


async def test_store_behind_the_proxy(connect: Opener, s3: Any, s3_server: MlflowServer) -> None:
    through = connect(url=s3_server.url)
    straight = connect(
        url=s3_server.url, artifact_access="direct", artifact_root=f"s3://{BUCKET}/proxied", **direct(s3)
    )
    files = {**FILES, "with space": b"y"}
    version = await upload(straight, files=files)
    assert await read_all(through, version) == files
    assert await read_all(straight, await upload(through, files=files)) == files
    assert all(entry.etag for entry in await straight.list_files(version.model, "1"))


async def test_versions_that_lie_in_s3_itself(connect: Opener, s3: Any, s3_server: MlflowServer) -> None:
    """A version somebody registered with its `s3://` address, in a bucket the server itself does not know."""
    s3.create_bucket(Bucket="elsewhere")
    s3.put_object(Bucket="elsewhere", Key="a/b/model.bin", Body=b"weights")
    adapter = connect(url=s3_server.url, **direct(s3))
    model = unique()
    await adapter.create_model(ModelDraft(name=model))
    draft = VersionDraft(model=model, source_uri="s3://elsewhere/a")
    version = await adapter.create_version(draft, unique("key"))
    assert await read_all(adapter, version) == {"b/model.bin": b"weights"}


async def test_abort_empties_the_store(connect: Opener, s3: Any, s3_server: MlflowServer) -> None:
    adapter = connect(url=s3_server.url)
    model = unique()
    await adapter.create_model(ModelDraft(name=model))
    state = await adapter.begin_upload(VersionDraft(model=model), unique("key"))
    await adapter.put_file(state, source("a/b", b"1"))
    prefix = f"proxied/{state.data['root'].removeprefix('mlflow-artifacts:/')}"
    assert s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix)["KeyCount"] == 1
    await adapter.abort(state)
    await adapter.abort(state)
    assert s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix)["KeyCount"] == 0
