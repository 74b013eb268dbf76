"""Bytes through the artifact proxy, and straight from the store behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient

from fedreg.domain.errors import IntegrityError, InvalidRequest, NotFound, RegistryError
from fedreg.domain.models import FileEntry, FileSource, ModelDraft, VersionDraft
from fedreg_adapters.mlflow.adapter import MlflowAdapter
from fedreg_adapters.mlflow.artifacts import ProxyFiles

from .conftest import Opener
from .server import MlflowServer
from .steps import FILES, read_all, source, unique, upload

ODD = [
    "space name.txt", "ümläut/日本.bin", "per%41cent", "100%", "%25", "a+b", "what?", "q?x=1", "hash#tag",
    "semi;colon;", "tab\there", "new\nline", "tilde~x23~", ".artifact.uploading.x", "deep/er/and/deeper.txt",
    "[b]*", "'\"`", "e\u0301",
]  # fmt: skip


async def test_odd_names_and_empty_files(prod: MlflowAdapter) -> None:
    files = {path: path.encode() for path in ODD} | {"empty": b"", "dir/empty too": b""}
    version = await upload(prod, files=files)
    assert await read_all(prod, version) == files


async def test_names_that_only_look_escaped_stay(prod: MlflowAdapter, client: MlflowClient, tmp_path: Path) -> None:
    """A file that somebody else called `a~x23~` is no `a#`: only a version of ours has the tag that says so."""
    (tmp_path / "a~x23~").write_bytes(b"mine")
    run = client.create_run("0")
    client.log_artifacts(run.info.run_id, str(tmp_path), "model")
    name = unique()
    client.create_registered_model(name)
    client.create_model_version(name, f"{run.info.artifact_uri}/model", run.info.run_id)
    assert await read_all(prod, await prod.get_version(name, "1")) == {"a~x23~": b"mine"}


async def test_big_file_from_any_offset(prod: MlflowAdapter) -> None:
    data = bytes(range(256)) * 20_000  # 5 MB
    version = await upload(prod, files={"big": data})
    [entry] = await prod.list_files(version.model, "1")
    for offset in (0, 1, 1 << 20, len(data) - 1, len(data)):
        read = [chunk async for chunk in prod.open_file(version.model, "1", entry, offset)]
        assert b"".join(read) == data[offset:]
    with pytest.raises(InvalidRequest, match="offset"):
        [chunk async for chunk in prod.open_file(version.model, "1", entry, len(data) + 1)]


async def test_changed_file_is_not_taken_for_the_listed_one(prod: MlflowAdapter, server: MlflowServer) -> None:
    version = await upload(prod, files={"a": b"0123456789"})
    [entry] = await prod.list_files(version.model, "1")
    stored = server.artifacts / str(version.artifact_uri).removeprefix("mlflow-artifacts:/") / "a"
    stored.write_bytes(b"longer than it was")
    with pytest.raises(IntegrityError, match="changed"):
        [chunk async for chunk in prod.open_file(version.model, "1", entry)]


async def test_missing_file(prod: MlflowAdapter) -> None:
    version = await upload(prod)
    with pytest.raises(NotFound):
        [chunk async for chunk in prod.open_file(version.model, "1", FileEntry(path="absent", size=3))]


@pytest.mark.parametrize(("size", "sha256"), [(5, None), (7, None), (6, "0" * 64)])
async def test_a_source_that_is_not_as_announced_leaves_nothing(
    prod: MlflowAdapter, size: int, sha256: str | None
) -> None:
    model = unique()
    await prod.create_model(ModelDraft(name=model))
    state = await prod.begin_upload(VersionDraft(model=model), unique("key"))
    with pytest.raises(IntegrityError):
        await prod.put_file(state, replace(source("a", b"123456"), size=size, sha256=sha256))
    with pytest.raises(NotFound):
        [chunk async for chunk in prod.open_uploaded(state, "a")]


async def test_the_sources_own_error_comes_through(prod: MlflowAdapter) -> None:
    async def broken(offset: int) -> AsyncIterator[bytes]:
        yield b"123"
        raise NotFound("the source went away")

    def open_broken(offset: int) -> AsyncIterator[bytes]:
        return broken(offset)

    model = unique()
    await prod.create_model(ModelDraft(name=model))
    state = await prod.begin_upload(VersionDraft(model=model), unique("key"))
    with pytest.raises(NotFound, match="the source went away"):
        await prod.put_file(state, FileSource(path="a", size=6, open_at=open_broken))


async def test_finish_without_an_announced_file(prod: MlflowAdapter) -> None:
    model = unique()
    await prod.create_model(ModelDraft(name=model))
    state = await prod.begin_upload(VersionDraft(model=model, files={"a": 1, "b": 1}), unique("key"))
    await prod.put_file(state, source("a", b"1"))
    with pytest.raises(IntegrityError, match="'b'"):
        await prod.finish(state)
    await prod.put_file(state, source("b", b"1"))
    assert (await prod.finish(state)).model == model


async def test_direct_access_behind_the_proxy(connect: Opener, prod: MlflowAdapter, server: MlflowServer) -> None:
    """What goes in through one door comes out of the other."""
    direct = connect(artifact_access="direct", artifact_root=f"file://{server.artifacts}")
    files = {**FILES, "empty": b"", "odd#name": b"x"}
    assert await read_all(direct, await upload(prod, files=files)) == files
    files = {**FILES, "empty": b"", "space name": b"y"}
    version = await upload(direct, files=files)
    assert await read_all(prod, version) == files
    assert await read_all(direct, version) == files
    [entry] = [file for file in await direct.list_files(version.model, "1") if file.path == "MLmodel"]
    assert entry.etag


async def test_abort_through_the_store(connect: Opener, server: MlflowServer) -> None:
    direct = connect(artifact_access="direct", artifact_root=f"file://{server.artifacts}")
    model = unique()
    await direct.create_model(ModelDraft(name=model))
    state = await direct.begin_upload(VersionDraft(model=model), unique("key"))
    await direct.put_file(state, source("a/b", b"1"))
    stored = server.artifacts / state.data["root"].removeprefix("mlflow-artifacts:/")
    assert (stored / "a/b").exists()
    await direct.abort(state)
    await direct.abort(state)
    assert not (stored / "a/b").exists()


async def test_a_server_may_not_name_files_of_the_gateway(
    connect: Opener, prod: MlflowAdapter, client: MlflowClient, server: MlflowServer
) -> None:
    """Local sources are read below `artifact_root` only, whatever the server says."""
    for uri in ("file:///etc", "/etc", f"file://{server.artifacts}/../../etc"):
        with pytest.raises(InvalidRequest, match="can't be reached"):
            prod._artifacts.at(uri)
        inside = connect(artifact_access="direct", artifact_root=f"file://{server.artifacts}")
        with pytest.raises(InvalidRequest):
            inside._artifacts.at(uri)


def test_files_at_another_server_are_refused(prod: MlflowAdapter) -> None:
    with pytest.raises(RegistryError, match="can't be reached"):
        prod._artifacts.at("https://models.example.com/api/2.0/mlflow-artifacts/artifacts/1/x")
    inside = prod._artifacts.at(f"{prod._options.url}/api/2.0/mlflow-artifacts/artifacts/1/x")
    assert isinstance(inside, ProxyFiles) and inside.root == "1/x"
