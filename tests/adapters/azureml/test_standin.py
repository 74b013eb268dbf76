"""The stand-in alone: Blob as Microsoft's storage client drives it, and the service's recorded answers."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError

from .backend import API, CONTAINER, HOME, TOKEN, AzureMLBackend
from .fixtures import backend as backend
from .fixtures import certificate as certificate
from .fixtures import start as start
from .vendor import off_loop


async def container(backend: AzureMLBackend) -> Any:
    from azure.storage.blob import ContainerClient

    secrets = await backend.arm("POST", "datastores/workspaceblobstore/listSecrets")
    url = f"{backend.blob.url}/standinstore/{CONTAINER}?{secrets['sasToken']}"
    return ContainerClient.from_container_url(url, max_single_put_size=1024, max_block_size=1024)


async def test_blobs_in_and_out(backend: AzureMLBackend) -> None:
    client = await container(backend)
    for name, size in (("a/small.bin", 10), ("a/ümläut %20#?.bin", 5000), ("a/empty", 0), ("b/other", 1)):
        await off_loop(client.upload_blob, name, b"x" * size)
    listed = await off_loop(lambda: [(b.name, b.size) for b in client.list_blobs(name_starts_with="a/")])
    assert listed == [("a/empty", 0), ("a/small.bin", 10), ("a/ümläut %20#?.bin", 5000)]
    for name, size in listed:
        assert await off_loop(lambda name=name: client.download_blob(name).readall()) == b"x" * size
    part = await off_loop(lambda: client.download_blob("a/ümläut %20#?.bin", offset=4990, length=50).readall())
    assert part == b"x" * 10
    with pytest.raises(ResourceExistsError):
        await off_loop(client.upload_blob, "a/small.bin", b"again")
    await off_loop(client.upload_blob, "a/small.bin", b"again", overwrite=True)
    await off_loop(client.delete_blob, "a/small.bin")
    with pytest.raises(ResourceNotFoundError) as caught:
        await off_loop(lambda: client.download_blob("a/small.bin").readall())
    assert caught.value.error_code == "BlobNotFound"


async def test_many_blobs_come_in_pages(backend: AzureMLBackend) -> None:
    client = await container(backend)
    for number in range(7):
        await off_loop(client.upload_blob, f"n/{number}", b"x", metadata={"upload_status": "completed"})
    listing = client.list_blobs(name_starts_with="n/", results_per_page=3).by_page()
    pages = await off_loop(lambda: [[blob.name for blob in page] for page in listing])
    assert pages == [["n/0", "n/1", "n/2"], ["n/3", "n/4", "n/5"], ["n/6"]]
    found = await off_loop(lambda: client.get_blob_client("n/0").get_blob_properties())
    assert (found.metadata, found.size, found.blob_type) == ({"upload_status": "completed"}, 1, "BlockBlob")
    deleted = await off_loop(lambda: [r.status_code for r in client.delete_blobs("n/0", "n/1")])
    assert deleted == [202, 202]


async def test_a_signature_permits_only_so_much(backend: AzureMLBackend) -> None:
    from azure.storage.blob import ContainerClient

    body = {"assetId": "azureml://registries/models/models/m/versions/1", "temporaryDataReferenceType": "x"}
    path = HOME.replace("workspaces/ws", "registries/models")
    place = f"/mferp/managementfrontend{path}/tempdatarefs/m/versions/1"
    signed = (await backend.request("PUT", place, body, **API))["blobReferenceForConsumption"]["credential"]["sasUri"]
    client = ContainerClient.from_container_url(signed)
    await off_loop(client.upload_blob, "a", b"x")
    with pytest.raises(HttpResponseError) as caught:
        await off_loop(client.delete_blob, "a")
    assert caught.value.error_code == "AuthorizationPermissionMismatch"
    forged = ContainerClient.from_container_url(signed + "0")
    with pytest.raises(HttpResponseError) as caught:
        await off_loop(forged.upload_blob, "b", b"x")
    assert caught.value.error_code == "AuthenticationFailed"


async def ask(backend: AzureMLBackend, method: str, path: str, **given: Any) -> tuple[int, Any, Any]:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with (
        aiohttp.ClientSession(backend.plain, headers=headers) as session,
        session.request(method, path, **{"params": API, **given}) as answer,
    ):
        return answer.status, await answer.json(), answer.headers


async def test_the_envelope_and_the_headers_are_the_recorded_ones(backend: AzureMLBackend) -> None:
    status, body, headers = await ask(backend, "GET", f"{HOME}/models/absent/versions")
    assert (status, body["error"]["code"], body["error"]["message"]) == (
        404,
        "UserError",
        "The specified resource was not found.",
    )
    [detail] = body["error"]["details"]
    assert (detail["code"], detail["message"]) == ("ModelNotFound", "Model container with name: absent not found.")
    assert {info["type"] for info in body["error"]["additionalInfo"]} >= {"ComponentName", "Correlation"}
    assert headers["x-ms-ratelimit-remaining-subscription-reads"]
    assert headers["x-ms-ratelimit-remaining-subscription-global-reads"]
    status, body, headers = await ask(
        backend, "PUT", f"{HOME}/models/m/versions/1", json={"properties": {"nonsense": 1}}
    )
    assert (status, body["error"]["details"][0]["code"]) == (400, "ValidationError")
    assert headers["x-ms-ratelimit-remaining-subscription-writes"]
    status, body, _ = await ask(backend, "GET", f"{HOME}/models", params={})
    assert (status, body["error"]["code"]) == (400, "MissingApiVersionParameter")


async def test_a_put_is_an_upsert_with_the_recorded_quirks(backend: AzureMLBackend) -> None:
    path, uri = f"{HOME}/models/m/versions/1", "azureml://datastores/workspaceblobstore/paths/p"

    async def put(**inner: Any) -> tuple[int, Any]:
        status, body, _ = await ask(backend, "PUT", path, json={"properties": {"modelUri": uri, **inner}})
        return status, body

    status, made = await put(properties={"a": "1"}, tags={"t": "1"})
    assert status == 201
    assert (made["name"], made["properties"]["stage"], made["properties"]["flavors"]) == ("1", "Development", {})
    assert "/resourceGroups/" in made["properties"]["modelUri"]
    status, changed = await put(isArchived=True, properties={"a": "2", "b": "2"})
    assert (status, changed["properties"]["stage"], changed["properties"]["tags"]) == (200, "Archived", {})
    assert changed["properties"]["properties"] == {"a": "1", "b": "2"}
    assert changed["systemData"]["createdAt"] == made["systemData"]["createdAt"]
    assert changed["systemData"]["lastModifiedAt"] > made["systemData"]["lastModifiedAt"]
    _, stage_wins = await put(isArchived=True, stage="Production")
    assert (stage_wins["properties"]["stage"], stage_wins["properties"]["isArchived"]) == ("Production", False)
    _, restored = await put(isArchived=False)
    assert restored["properties"]["stage"] == "Development"
    status, refused = await put(modelUri=uri + "2")
    assert (status, refused["error"]["message"]) == (400, "Asset paths cannot be updated.")


async def test_datasets_came_with_a_later_api(backend: AzureMLBackend) -> None:
    uri = "azureml://datastores/workspaceblobstore/paths/p"
    inner = {"modelUri": uri, "datasets": [{"name": "train", "id": "azureml:data:1"}]}
    await backend.arm("PUT", "models/m/versions/1", inner)
    path = f"{HOME}/models/m/versions/1"
    assert (await ask(backend, "GET", path))[1]["properties"]["datasets"] == inner["datasets"]
    older = (await ask(backend, "GET", path, params={"api-version": "2023-08-01-preview"}))[1]
    assert "datasets" not in older["properties"]
