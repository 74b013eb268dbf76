"""A registry's storage: where the bytes of a version go before it exists, and where they are afterwards.

The service names a container for a model's name and version, with a signature for it; for what is there it also
moves bytes between accounts, so an address is asked for each time and never kept for an identity.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from urllib.parse import quote, urlsplit

from fedreg.domain.calls import Effect
from fedreg.domain.errors import Conflict
from fedreg_adapters.azureml.client import JSON, Client
from fedreg_adapters.azureml.datastores import Datastores, Located, split_signed
from fedreg_adapters.azureml.mapping import identity_of, properties_of, version_name_of
from fedreg_adapters.azureml.versions import Versions, native_of
from fedreg_adapters.shared.object_stores import ObjectStore

Kept = TypeVar("Kept")
RESERVED = "reserved"
_KEPT = timedelta(minutes=30)
_ATTEMPTS = 100


@dataclass(frozen=True, slots=True)
class Reference:
    """A container to upload to, and its address without a signature."""

    store: ObjectStore
    uri: str


class References:
    """The storage of one registry's versions."""

    def __init__(self, client: Client, versions: Versions, datastores: Datastores) -> None:
        self._client, self._versions, self._stored = client, versions, datastores
        self._uploads: dict[tuple[str, str], tuple[datetime, Reference]] = {}
        self._downloads: dict[tuple[str, str], tuple[datetime, Located]] = {}

    async def reserve(self, native: str, key: str) -> str:
        """The number of an upload: the next one, unless another upload has taken it. The same key gets the same.

        Whose a number is says a note in its container, which only one writer can create.
        """
        number = int(await self._versions.next_number(native))
        for candidate in map(str, range(number, number + _ATTEMPTS)):
            try:
                reference = await self.upload(native, candidate)
            except Conflict:  # made meanwhile
                continue
            if await self._take(reference.store, key):
                return candidate
        raise Conflict(
            f"others took each of {_ATTEMPTS} numbers", registry=self._client.registry, operation="begin_upload"
        )

    async def _take(self, store: ObjectStore, key: str) -> bool:
        try:
            await self._stored.blob(
                "put", lambda: store.put_bytes(RESERVED, key.encode(), create=True), Effect.IDEMPOTENT
            )
            return True
        except Conflict:  # also where an answer was lost and the request made again
            held = await self._stored.blob("get", lambda: store.get_bytes(RESERVED, limit=4096))
            return held == key.encode()

    async def upload(self, native: str, version: str) -> Reference:
        """Where a version's bytes go before it exists. Conflict where it exists."""
        until, held = self._uploads.get((native, version), (None, None))
        if until is not None and held is not None and datetime.now(UTC) < until:
            return held
        body = {
            "assetId": f"azureml://registries/{self._client.options.registry}/models/{native}/versions/{version}",
            "temporaryDataReferenceType": "TemporaryBlobReference",
        }
        path = f"tempdatarefs/{native}/versions/{quote(version, safe='')}"
        answer = await self._client.call("get_upload_reference", "PUT", path, Effect.IDEMPOTENT, body=body)
        uri, signed = self._read("get_upload_reference", answer.body)
        found = Reference(self._stored.signed(signed).store, uri.rstrip("/"))
        _keep(self._uploads, (native, version), found)
        return found

    async def download(self, resource: JSON) -> Located:
        """Where a version's bytes are now."""
        uri = str(properties_of(resource).get("modelUri") or "")
        place = (identity_of(resource), uri)
        until, held = self._downloads.get(place, (None, None))
        if until is not None and held is not None and datetime.now(UTC) < until:
            return held
        path = f"datarefs/{native_of(resource)}/versions/{quote(version_name_of(resource), safe='')}"
        body = {"assetId": resource["id"], "blobUri": uri}
        answer = await self._client.call("get_download_reference", "POST", path, body=body)
        named, signed = self._read("get_download_reference", answer.body)
        store = self._stored.signed(signed).store
        found = Located(store, split_signed(uri or named)[2])
        _keep(self._downloads, place, found)
        return found

    def _read(self, operation: str, body: JSON) -> tuple[str, str]:
        """The plain and the signed address of a reference; both the plain one where it is public."""
        reference = body.get("blobReferenceForConsumption") or {}
        credential = reference.get("credential") or {}
        signed = str(credential.get("sasUri") or reference.get("blobUri") or "")
        if not urlsplit(signed).netloc:
            raise self._client.nonsense(operation, "it names no storage")
        return str(reference.get("blobUri") or urlsplit(signed)._replace(query="").geturl()), signed


def _keep(kept: dict[tuple[str, str], tuple[datetime, Kept]], key: tuple[str, str], value: Kept) -> None:
    if len(kept) > 1024:
        kept.clear()
    kept[key] = (datetime.now(UTC) + _KEPT, value)
