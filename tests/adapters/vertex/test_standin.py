"""The stand-in is driven by the vendor's own clients, and refuses what the protos say is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from fedreg_adapters.shared.object_stores import StoreOptions, open_store

from .backend import BUCKET, PARENT, VertexBackend

NAME = f"{PARENT}/models/churn"


async def upload(backend: VertexBackend, *, parent_model: str = "", **fields: Any) -> Any:
    model = {"display_name": "churn", "artifact_uri": "gs://models/x", **fields}
    target = {"parent_model": parent_model} if parent_model else {"model_id": "churn"}
    return await backend.sdk("upload_model", {"parent": PARENT, "model": model, **target})


async def update(backend: VertexBackend, *paths: str, **model: Any) -> Any:
    return await backend.sdk("update_model", {"model": model, "update_mask": {"paths": list(paths)}})


async def test_versions_are_counted(backend: VertexBackend) -> None:
    made = [await upload(backend), await upload(backend, parent_model=NAME), await upload(backend, parent_model=NAME)]
    assert [each.model_version_id for each in made] == ["1", "2", "3"]
    await backend.sdk("delete_model_version", {"name": f"{NAME}@3"})
    assert (await upload(backend, parent_model=NAME)).model_version_id == "4"
    listed = await backend.sdk("list_model_versions", {"name": NAME, "page_size": 1, "order_by": "create_time desc"})
    assert [each.version_id for each in listed] == ["4", "2", "1"]
    with pytest.raises(exceptions.AlreadyExists):
        await upload(backend)


async def test_aliases(backend: VertexBackend) -> None:
    await upload(backend, version_aliases=["golden"])
    await upload(backend, parent_model=NAME)
    merge = "merge_version_aliases"
    for wrong in ("a", "Golden", "has_underscore", "1st", "ends-", "-default"):
        with pytest.raises(exceptions.InvalidArgument):
            await backend.sdk(merge, {"name": f"{NAME}@1", "version_aliases": [wrong]})
    with pytest.raises(exceptions.InvalidArgument):
        await backend.sdk(merge, {"name": f"{NAME}@golden", "version_aliases": ["other"]})
    await backend.sdk(merge, {"name": f"{NAME}@2", "version_aliases": ["golden", "default"]})
    first, second = [await backend.sdk("get_model", {"name": f"{NAME}@{n}"}) for n in (1, 2)]
    assert (list(first.version_aliases), set(second.version_aliases)) == ([], {"golden", "default"})
    await backend.sdk(merge, {"name": f"{NAME}@2", "version_aliases": ["-golden"]})
    with pytest.raises(exceptions.NotFound):
        await backend.sdk("get_model", {"name": f"{NAME}@golden"})


async def test_masks_and_levels(backend: VertexBackend) -> None:
    await upload(backend, labels={"own": "1"})
    both = ("labels", "description", "version_description")
    for name, paths in ((NAME, ()), (NAME, both), (f"{NAME}@1", both), (NAME, ("artifact_uri",))):
        with pytest.raises((exceptions.InvalidArgument, exceptions.FailedPrecondition)):
            await update(backend, *paths, name=name)
    await update(backend, "labels", name=f"{NAME}@-", labels={"team": "a"})
    found = await backend.sdk("get_model", {"name": f"{NAME}@1"})
    assert dict(found.labels) == {"own": "1", "team": "a"}, "merged"
    await update(backend, "labels", name=f"{NAME}@1", labels={"own": "2"}, etag=found.etag)
    with pytest.raises(exceptions.Aborted):
        await update(backend, "labels", name=f"{NAME}@1", labels={}, etag=found.etag)
    await update(backend, "labels", name=f"{NAME}@1", labels={"blind": "overwrite"})
    row = backend.standin.state.models[NAME]
    assert (row.labels, row.versions[1].labels) == ({"team": "a"}, {"blind": "overwrite"})


@pytest.mark.parametrize("labels", [{"Upper": "x"}, {"a": "X"}, {"a.b": "x"}, {"1a": "x"}, {"a": "x" * 65}])
async def test_labels(backend: VertexBackend, labels: dict[str, str]) -> None:
    with pytest.raises(exceptions.InvalidArgument):
        await upload(backend, labels=labels)


async def test_filters(backend: VertexBackend) -> None:
    await upload(backend, labels={"team": "a"})
    await upload(backend, parent_model=NAME, labels={"team": "b"})
    listing = "list_model_versions"
    for text, expected in (('labels.team="b"', ["2"]), ("labels.team:*", ["1", "2"]), ("labels.team=c", [])):
        found = await backend.sdk(listing, {"name": NAME, "filter": text, "order_by": "create_time"})
        assert [each.version_id for each in found] == expected
    with pytest.raises(exceptions.InvalidArgument):
        await backend.sdk(listing, {"name": NAME, "filter": "version_aliases=golden"})
    assert len(await backend.sdk("list_models", {"parent": PARENT, "filter": 'display_name="churn"'})) == 1
    assert await backend.sdk("list_models", {"parent": PARENT, "filter": "model!=churn"}) == []


async def test_deleting(backend: VertexBackend) -> None:
    await upload(backend)
    with pytest.raises(exceptions.FailedPrecondition, match="only version"):
        await backend.sdk("delete_model_version", {"name": f"{NAME}@1"})
    with pytest.raises(exceptions.InvalidArgument):
        await backend.sdk("delete_model_version", {"name": NAME})
    await backend.sdk("delete_model", {"name": NAME})
    with pytest.raises(exceptions.NotFound):
        await backend.sdk("get_model", {"name": NAME})


async def test_copies_stay_in_their_project(backend: VertexBackend) -> None:
    await upload(backend)
    request = {"parent": "projects/other/locations/l", "source_model": NAME, "model_id": "copy"}
    with pytest.raises(exceptions.InvalidArgument, match="same project"):
        await backend.sdk("copy_model", request)


async def test_metadata(backend: VertexBackend) -> None:
    store = f"{PARENT}/metadataStores/default"
    with pytest.raises(exceptions.NotFound):
        await backend.sdk("create_artifact", {"parent": store, "artifact": {}}, metadata=True)
    await backend.sdk("create_metadata_store", {"parent": PARENT, "metadata_store_id": "default"}, metadata=True)
    for wrong in ("abc", "Upper-case", "under_score"):
        with pytest.raises(exceptions.InvalidArgument):
            await backend.sdk("create_artifact", {"parent": store, "artifact": {}, "artifact_id": wrong}, metadata=True)
    huge = {"metadata": {"a": "x" * 200_001}}
    with pytest.raises(exceptions.InvalidArgument, match="larger"):
        await backend.sdk("create_artifact", {"parent": store, "artifact": huge}, metadata=True)


async def test_gcs_through_both_apis(backend: VertexBackend) -> None:
    """What google-cloud-storage writes obstore reads, and the other way round."""
    client = storage.Client(
        project="acme", credentials=AnonymousCredentials(), client_options={"api_endpoint": backend.gcs_url}
    )
    blob = client.bucket(BUCKET).blob("dir/ü 1.bin")
    await asyncio.to_thread(blob.upload_from_string, b"0123456789", "application/octet-stream")
    given = {"token": "t", "expires_at": None}
    store = open_store(f"gs://{BUCKET}", StoreOptions(endpoint_url=backend.gcs_url, credential_provider=lambda: given))
    assert b"".join([chunk async for chunk in store.open_at("dir/ü 1.bin")(4)]) == b"456789"

    async def parts() -> AsyncIterator[bytes]:
        for n in range(3):
            yield bytes([n]) * (6 << 20)

    await store.put_chunks("dir/big", parts(), at_most=18 << 20)
    big = client.bucket(BUCKET).blob("dir/big")
    read = await asyncio.to_thread(big.download_as_bytes)
    assert (len(read), read[:: 6 << 20]) == (18 << 20, b"\0\1\2")
    assert [found.key async for found in store.list("dir")] == ["dir/big", "dir/ü 1.bin"]
    await store.delete(["dir/big", "dir/absent"])
    await asyncio.to_thread(blob.delete)
    assert [found.key async for found in store.list("dir")] == []
    client.close()
