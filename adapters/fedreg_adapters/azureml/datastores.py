"""Blob storage: a workspace's datastores, a registry's shared access signatures, and the stores behind both."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from urllib.parse import quote, unquote, urlsplit

from fedreg.domain.calls import Effect
from fedreg.domain.errors import InvalidRequest, RegistryAuthError, RegistryError
from fedreg_adapters.azureml.client import JSON, Client
from fedreg_adapters.shared.object_stores import ObjectStore, StoreOptions, open_store

Result = TypeVar("Result")
_DEADLINE = 120.0
_KEPT = timedelta(minutes=30)  # a signature that is asked for lives an hour
_LONG = re.compile(
    r"azureml://(?:subscriptions/[^/]+/resourcegroups/[^/]+/workspaces/(?P<workspace>[^/]+)/)?"
    r"datastores/(?P<datastore>[^/]+)/paths/(?P<path>.*)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Located:
    """A store and a key in it."""

    store: ObjectStore
    key: str


class Datastores:
    """The Blob storage that one workspace or registry points to."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._stores: dict[str, ObjectStore] = {}
        self._secrets: dict[str, tuple[datetime, Mapping[str, object]]] = {}
        self._opening = asyncio.Lock()
        self._lock = threading.Lock()

    def uri(self, path: str) -> str:
        """The address of a path in the datastore for uploads, as the service spells it."""
        options = self._client.options
        return (
            f"azureml://subscriptions/{options.subscription}/resourcegroups/{options.resource_group}"
            f"/workspaces/{options.workspace}/datastores/{options.datastore}/paths/{path}"
        )

    async def uploads(self) -> ObjectStore:
        """The store of the datastore for uploads."""
        return await self.store(self._client.options.datastore)

    async def locate(self, uri: str) -> Located:
        """The store and key of an `azureml://` address. RegistryError for bytes that are kept elsewhere."""
        found = _LONG.fullmatch(uri)
        workspace = found and found["workspace"]
        if not found or (workspace and workspace.lower() != str(self._client.options.workspace).lower()):
            raise RegistryError(
                f"the bytes at {urlsplit(uri)._replace(query='').geturl()!r} are in no datastore of this workspace",
                registry=self._client.registry,
                operation="locate",
                cure="copy them into a datastore of this workspace, and register that",
            )
        return Located(await self.store(found["datastore"]), unquote(found["path"]).strip("/"))

    async def store(self, datastore: str) -> ObjectStore:
        """The store of a datastore, kept open. RegistryError for one that is not of type AzureBlob."""
        async with self._opening:
            if datastore not in self._stores:
                name = quote(datastore, safe="")
                found = (await self._client.call("get_datastore", "GET", f"datastores/{name}")).body
                inner = found.get("properties") or {}
                if inner.get("datastoreType") != "AzureBlob":
                    raise RegistryError(
                        f"datastore {datastore!r} is of type {inner.get('datastoreType')!r}",
                        registry=self._client.registry,
                        operation="get_datastore",
                        cure="name a datastore of type AzureBlob",
                    )
                has_secrets = (inner.get("credentials") or {}).get("credentialsType") not in (None, "None")
                await self._client.calls.run(
                    "list_secrets", lambda: self._client.threads.run(self._credentials, datastore, has_secrets)
                )
                self._stores[datastore] = self._open(
                    str(inner.get("accountName")),
                    str(inner.get("containerName")),
                    self._endpoint(inner),
                    lambda: self._credentials(datastore, has_secrets),
                )
            return self._stores[datastore]

    def _endpoint(self, inner: JSON) -> str:
        account = str(inner.get("accountName"))
        if self._client.options.blob_endpoint is not None:
            return self._client.options.blob_endpoint.replace("{account}", account)
        return f"{inner.get('protocol') or 'https'}://{account}.blob.{inner.get('endpoint') or 'core.windows.net'}"

    def _open(self, account: str, container: str, endpoint: str, provider: Callable[[], object]) -> ObjectStore:
        options = StoreOptions(
            endpoint_url=endpoint,
            account_name=account,
            credential_provider=provider,
            connect_timeout=5.0,
            idle_timeout=self._client.options.timeout,
        )
        return open_store(f"az://{account}/{container}", options, registry=self._client.registry)

    def signed(self, uri: str) -> Located:
        """The store and key behind a shared access signature's address."""
        account, container, key, endpoint, sas = split_signed(uri)
        store = self._open(account, container, endpoint, lambda: {"sas_token": sas, "expires_at": None})
        return Located(store, key)

    def _credentials(self, datastore: str, has_secrets: bool) -> Mapping[str, object]:
        """What obstore signs with. Blocks: obstore asks from threads of its own, also in the middle of an upload."""
        with self._lock:
            until, held = self._secrets.get(datastore, (datetime.min.replace(tzinfo=UTC), {}))
            if datetime.now(UTC) < until:
                return held
            until = datetime.now(UTC) + _KEPT
            held = {**self._fetch(datastore, has_secrets), "expires_at": until}
            self._secrets[datastore] = (until, held)
            return held

    def _fetch(self, datastore: str, has_secrets: bool) -> Mapping[str, object]:
        """The datastore's signature or key; where it has none, or is not to be seen, a token of ours."""
        if has_secrets:
            try:
                found = self._client.list_secrets(datastore)
            except (InvalidRequest, RegistryAuthError):
                found = {}
            if token := found.get("sasToken"):
                return {"sas_token": str(token).lstrip("?")}
            if key := found.get("key"):
                return {"access_key": str(key)}
        return {"token": self._client.storage_token().token}

    async def blob(
        self,
        operation: str,
        request: Callable[[], Awaitable[Result]],
        effect: Effect = Effect.READ,
        *,
        size: int | None = None,
    ) -> Result:
        """One guarded request to Blob, or the pages of one list. `size` bytes or objects lengthen the deadline."""
        deadline = None if size is None else _DEADLINE + size / (1 << 20)
        return await self._client.calls.run(f"blob_{operation}", request, effect=effect, deadline=deadline)

    async def aclose(self) -> None:
        """Forget stores and secrets."""
        self._stores.clear()
        self._secrets.clear()


def split_signed(uri: str) -> tuple[str, str, str, str, str]:
    """Account, container, key, endpoint and signature of an address with a query.

    The account is the host's first label; on a bare host (an emulator's) the first part of the path.
    """
    parts = urlsplit(uri)
    path = [unquote(part) for part in parts.path.strip("/").split("/")]
    host = parts.hostname or ""
    if ".blob." in host:
        account, endpoint = host.partition(".")[0], f"{parts.scheme}://{parts.netloc}"
    else:
        account = path.pop(0) if path else ""
        endpoint = f"{parts.scheme}://{parts.netloc}/{account}"
    if not account or not path or not path[0]:
        raise RegistryError("the address of its storage names no container", operation="data_reference")
    return account, path[0], "/".join(path[1:]), endpoint, parts.query
