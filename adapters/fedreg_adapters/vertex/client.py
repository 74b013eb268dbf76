"""The SDK's side: channels and credentials, one guarded request, paging, operations, and stores in GCS."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from fedreg.domain.calls import Calls, Effect
from fedreg.domain.errors import ConfigError, FedregError, NotFound, Outcome, RegistryError, RegistryTimeout
from fedreg_adapters.shared.object_stores import ObjectStore, StoreOptions, open_store
from fedreg_adapters.shared.threads import Threads
from fedreg_adapters.vertex.errors import not_an_answer, to_domain_error
from fedreg_adapters.vertex.manifest import VertexOptions

Result = TypeVar("Result")
PAGE = 100
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_GCS_DEADLINE = 120.0
_MAKING = ("UploadModelOperationMetadata", "CopyModelOperationMetadata")
_MODEL_NAME = re.compile(r"projects/[^/]+/locations/[^/]+/models/[^/@]+(@|\Z)")
_POLLS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)  # seconds between looks at an operation; the last repeats
# Retries are Calls's. Metadata, not payload: errors with long details must not be cut off.
_CHANNEL = (("grpc.enable_retries", 0), ("grpc.max_metadata_size", 64 << 10))


class Client:
    """One registry's connection. The SDK is imported, and a channel opened, by the first call."""

    def __init__(self, registry: str, options: VertexOptions, calls: Calls) -> None:
        self.registry, self.options, self.calls = registry, options, calls
        self.parent = f"projects/{options.project}/locations/{options.location}"
        self.store_name = f"{self.parent}/metadataStores/default"
        self._threads = Threads(1, name=f"vertex-{registry}")
        self._services: dict[str, Any] = {}
        self._stores: dict[str, ObjectStore] = {}
        self._credentials: Any = None
        self._making = asyncio.Lock()

    # -- Vertex AI -------------------------------------------------------------------------------------

    async def call(
        self,
        method: str,
        request: Any,
        effect: Effect = Effect.READ,
        *,
        service: str = "models",
        deadline: float | None = None,
    ) -> Any:
        """One request of the SDK's `method`, guarded. Returns the answer as the SDK gives it."""
        client = await self._service(service)  # not under the deadline: the first time it takes seconds

        async def ask() -> Any:
            try:
                found = await getattr(client, method)(request=request, retry=None, timeout=self.options.timeout)
            except Exception as error:  # the SDK raises its own family, gRPC's, google-auth's and protobuf's
                raise to_domain_error(error, self.registry, method) from error
            if getattr(found, "_response", found) is None:  # what gRPC makes of a message it can't read
                raise not_an_answer(self.registry, method)
            if method == "get_model" and not _is_model(found):
                raise not_an_answer(self.registry, method)
            return found

        return await self.calls.run(method, ask, effect=effect, deadline=deadline)

    async def page(
        self, method: str, member: str, request: dict[str, Any], token: str | None, *, service: str = "models"
    ) -> tuple[list[Any], str | None]:
        """One page of a list. A token that comes back unchanged is a RegistryError, never a loop."""
        pager = await self.call(method, {**request, "page_token": token or ""}, service=service)
        following = pager.next_page_token or None
        if following is not None and following == token:
            raise self._loop(method)
        items = list(getattr(pager, member))
        if member == "models" and not all(map(_is_model, items)):
            raise not_an_answer(self.registry, method)
        return items, following

    async def pages(
        self, method: str, member: str, request: dict[str, Any], *, service: str = "models"
    ) -> AsyncIterator[Any]:
        """Every item of a list, page by page."""
        token, seen = None, set[str]()
        while True:
            items, token = await self.page(method, member, request, token, service=service)
            for item in items:
                yield item
            if token is None:
                return
            if token in seen:
                raise self._loop(method)
            seen.add(token)

    def _loop(self, method: str) -> RegistryError:
        return RegistryError(f"{method} gives the same page token again", registry=self.registry, operation=method)

    # -- operations ------------------------------------------------------------------------------------

    async def start(self, method: str, request: Any, effect: Effect, *, service: str = "models") -> Any:
        """Begin a long-running operation; returns its raw google.longrunning form."""
        return (await self.call(method, request, effect, service=service)).operation

    async def operation(self, name: str) -> Any:
        """An operation as it is now."""
        return await self.call("get_operation", {"name": name})

    async def pending_operations(self, resource: str) -> list[Any]:
        """The operations of a model that are not done, and may make a version."""
        from google.longrunning import operations_pb2

        request = operations_pb2.ListOperationsRequest(name=resource, filter="done=false", page_size=PAGE)
        try:
            found = await self.call("list_operations", request)
        except NotFound:
            return []
        return [each for each in found.operations if not each.done and each.metadata.type_url.endswith(_MAKING)]

    async def outcome(self, operation: Any, answer: Any = None) -> Any:
        """Wait for an operation; its response as the message type `answer`. Raises what it failed with."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self.options.operation_timeout
        turn = 0
        while not operation.done:
            if loop.time() > end:
                raise RegistryTimeout(
                    f"operation {operation.name} did not end in time",
                    registry=self.registry,
                    operation="get_operation",
                    outcome=Outcome.UNKNOWN,
                )
            await asyncio.sleep(_POLLS[min(turn, len(_POLLS) - 1)])
            turn += 1
            operation = await self.operation(operation.name)
        return self.response(operation, answer)

    def response(self, operation: Any, answer: Any = None) -> Any:
        """The response of an operation that is done, None without a type for it. Raises what it failed with."""
        if operation.HasField("error"):
            raise operation_error(operation, self.registry)
        return None if answer is None else answer.deserialize(operation.response.value)

    # -- channels --------------------------------------------------------------------------------------

    async def _service(self, name: str) -> Any:
        async with self._making:
            if name not in self._services:
                try:
                    credentials = None if self.options.insecure else await self._threads.run(self._load_credentials)
                    await self._threads.run(_import_sdk)
                except FedregError:
                    raise
                except Exception as error:
                    raise to_domain_error(error, self.registry, "credentials") from error
                self._services[name] = self._connect(name, credentials)
            return self._services[name]

    def _connect(self, name: str, credentials: Any) -> Any:
        """A client of one service. Channels belong to the event loop, so this runs on it."""
        import grpc.aio

        client_type, transport_type = _import_sdk()[name]
        host = self.options.endpoint or f"{self.options.location}-aiplatform.googleapis.com"
        if self.options.insecure:
            channel = grpc.aio.insecure_channel(host, options=_CHANNEL)
            return client_type(transport=transport_type(channel=channel))
        channel = transport_type.create_channel(host, credentials=credentials, options=_CHANNEL)
        return client_type(transport=transport_type(channel=channel, host=host))

    def _load_credentials(self) -> Any:
        """The configured credentials, or the application default ones. Blocks."""
        if self._credentials is None:
            self._credentials = load_credentials(self.options)
        return self._credentials

    # -- GCS -------------------------------------------------------------------------------------------

    @property
    def root(self) -> ObjectStore:
        """The store of `artifact_root`. ConfigError where there is none."""
        if self.options.artifact_root is None:
            raise ConfigError(
                f"registry {self.registry!r} has no artifact_root",
                registry=self.registry,
                cure="set artifact_root: gs://bucket/prefix",
            )
        return self.store(self.options.artifact_root)

    def store(self, url: str) -> ObjectStore:
        """The store of a `gs://` address, kept open."""
        if url not in self._stores:
            if len(self._stores) > 256:
                self._stores.clear()
            reached = StoreOptions(
                endpoint_url=self.options.gcs_endpoint,
                credential_provider=self._provide_token,
                connect_timeout=5.0,
                idle_timeout=self.options.timeout,
            )
            self._stores[url] = open_store(url, reached, registry=self.registry)
        return self._stores[url]

    def object(self, uri: str) -> tuple[ObjectStore, str]:
        """Store and key of a `gs://bucket/key` address. RegistryError for any other."""
        parts = urlsplit(uri)
        if parts.scheme != "gs" or not parts.netloc:
            raise RegistryError(f"the bytes at {uri!r} are not addressed as gs://bucket/key", registry=self.registry)
        return self.store(f"gs://{parts.netloc}"), uri.removeprefix(f"gs://{parts.netloc}").lstrip("/")

    async def gcs(
        self,
        operation: str,
        request: Callable[[], Awaitable[Result]],
        effect: Effect = Effect.READ,
        *,
        size: int | None = None,
    ) -> Result:
        """One guarded request to GCS, or the pages of one list; `size` bytes or objects lengthen the deadline."""
        deadline = None if size is None else _GCS_DEADLINE + size / (1 << 20)
        return await self.calls.run(f"gcs_{operation}", request, effect=effect, deadline=deadline)

    def _provide_token(self) -> dict[str, Any]:
        """What obstore sends; google-auth finds and refreshes it.

        Not a coroutine: obstore asks for it from threads of its own, where no event loop runs.
        """
        if self.options.insecure:  # obstore writes nothing without a token
            return {"token": "insecure", "expires_at": None}
        from google.auth.transport.requests import Request

        credentials = self._load_credentials()
        if not credentials.valid:
            credentials.refresh(Request())
        expiry: datetime | None = credentials.expiry
        return {"token": credentials.token, "expires_at": expiry and expiry.replace(tzinfo=UTC)}

    async def aclose(self) -> None:
        """Close channels and threads. Safe to call twice."""
        services, self._services = list(self._services.values()), {}
        self._stores.clear()
        for service in services:
            await service.transport.close()
        await self._threads.aclose()


def _is_model(message: Any) -> bool:
    """Whether it has a model's name: protobuf reads any bytes as some message, with what is missing empty."""
    return _MODEL_NAME.match(message.name) is not None


def load_credentials(options: VertexOptions) -> Any:
    """Credentials of a key or a file, or the application default ones; impersonating where asked. Blocks.

    Raises ConfigError for a file that can't be read or is of another type: google-auth warns against taking any.
    """
    import google.auth
    from google.auth import identity_pool, impersonated_credentials
    from google.oauth2 import service_account

    scopes = [_SCOPE]
    info = _read_key(options)
    if info is None:
        found, _ = google.auth.default(scopes=scopes)
    elif info.get("type") == "service_account":
        found = service_account.Credentials.from_service_account_info(info, scopes=scopes)
    elif info.get("type") == "external_account":
        found = identity_pool.Credentials.from_info(info, scopes=scopes)
    else:
        raise ConfigError(
            "credentials are neither a service account's key nor a workload identity's",
            cure="leave credentials_file out for the application default credentials",
        )
    if options.impersonate:
        return impersonated_credentials.Credentials(
            source_credentials=found, target_principal=options.impersonate, target_scopes=scopes
        )
    return found


def _read_key(options: VertexOptions) -> dict[str, Any] | None:
    """The content of the configured key; None where none is. Its text is never quoted."""
    text = options.credentials_json
    try:
        if options.credentials_file:
            text = Path(options.credentials_file).read_text()
        info = json.loads(text) if text else None
    except OSError as error:
        raise ConfigError(
            f"credentials_file {options.credentials_file!r} can't be read: {error.strerror}", cure="check its path"
        ) from error
    except ValueError:
        raise ConfigError("credentials_file or credentials_json is no JSON", cure="give Google's key file") from None
    if info is not None and not isinstance(info, dict):
        raise ConfigError("credentials_file or credentials_json is no JSON object", cure="give Google's key file")
    return info


def operation_error(operation: Any, registry: str) -> RegistryError:
    """What a long-running operation failed with: the service tried, and says why it could not."""
    return RegistryError(
        f"operation {operation.name}: {operation.error.message or operation.error.code}",
        registry=registry,
        operation="get_operation",
        upstream_code=str(operation.error.code),
        cure="see what Vertex AI says, and try again",
    )


def _import_sdk() -> dict[str, tuple[Any, Any]]:
    """Client and transport of each service. Seconds and megabytes the first time; blocks."""
    from google.cloud.aiplatform_v1.services.metadata_service import MetadataServiceAsyncClient
    from google.cloud.aiplatform_v1.services.metadata_service.transports import MetadataServiceGrpcAsyncIOTransport
    from google.cloud.aiplatform_v1.services.model_service import ModelServiceAsyncClient
    from google.cloud.aiplatform_v1.services.model_service.transports import ModelServiceGrpcAsyncIOTransport

    return {
        "models": (ModelServiceAsyncClient, ModelServiceGrpcAsyncIOTransport),
        "metadata": (MetadataServiceAsyncClient, MetadataServiceGrpcAsyncIOTransport),
    }
