"""The SDK's side: session and credentials, one guarded request, paging, and stores in S3."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import urlsplit

import botocore.session
from botocore import credentials as boto_credentials
from botocore import exceptions as boto
from botocore.config import Config
from botocore.loaders import Loader, create_loader
from botocore.parsers import ResponseParserError
from botocore.session import Session

from fedreg.domain.calls import Calls, Effect
from fedreg.domain.errors import ConfigError, Outcome, RegistryError
from fedreg_adapters.sagemaker.errors import to_domain_error
from fedreg_adapters.sagemaker.manifest import SageMakerOptions
from fedreg_adapters.shared.answers import misread
from fedreg_adapters.shared.object_stores import ObjectStore, StoreOptions, open_store
from fedreg_adapters.shared.threads import Threads

Result = TypeVar("Result")
JSON = dict[str, Any]
PAGE = 100  # the largest MaxResults of SageMaker's lists

_S3_DEADLINE = 120.0
_CREDENTIALS_LIFE = timedelta(minutes=5)  # how long obstore keeps what botocore refreshes


class Client:
    """One registry's connection. Nothing is requested, and no SDK client made, before the first call."""

    def __init__(self, registry: str, options: SageMakerOptions, calls: Calls) -> None:
        self.registry, self.options, self.calls = registry, options, calls
        self.threads = Threads(options.max_pool, name=f"sagemaker-{registry}")
        self._session: Session | None = None
        self._clients: dict[str, Any] = {}
        self._stores: dict[str, ObjectStore] = {}
        self._making = asyncio.Lock()
        self._session_lock = threading.Lock()

    # -- SageMaker and STS -----------------------------------------------------------------------------

    async def call(
        self, method: str, effect: Effect = Effect.READ, *, service: str = "sagemaker", **params: Any
    ) -> JSON:
        """One request of the SDK's `method`, guarded. Returns the answer as the SDK gives it."""
        client = await self._client(service)  # not under the deadline: the first time it takes a while

        async def request() -> JSON:
            return await self.threads.run(self._invoke, client, method, params)

        return await self.calls.run(method, request, effect=effect)

    async def page(self, method: str, member: str, token: str | None, **params: Any) -> tuple[list[JSON], str | None]:
        """One page of a list. A token that comes back unchanged is a RegistryError, never a loop."""
        wanted = params | ({"NextToken": token} if token else {})
        answer = await self.call(method, **wanted)
        following = answer.get("NextToken") or None
        if following is not None and following == token:
            raise self._loop(method)
        return list(answer.get(member) or ()), following

    async def pages(self, method: str, member: str, **params: Any) -> AsyncIterator[JSON]:
        """Every item of a list, page by page."""
        token, seen = None, set[str]()
        while True:
            items, token = await self.page(method, member, token, **params)
            for item in items:
                yield item
            if token is None:
                return
            if token in seen:
                raise self._loop(method)
            seen.add(token)

    def _loop(self, method: str) -> RegistryError:
        return RegistryError(f"{method} gives the same page token again", registry=self.registry, operation=method)

    def _invoke(self, client: Any, method: str, params: JSON) -> JSON:
        try:
            answer: JSON = getattr(client, method)(**params)
        except (boto.BotoCoreError, boto.ClientError, ResponseParserError) as error:
            raise to_domain_error(error, self.registry, method) from error
        kind = answer["ResponseMetadata"].get("HTTPHeaders", {}).get("content-type", "")
        if "html" in kind:  # botocore takes any 200 for an answer without members
            raise RegistryError(
                f"{method}: a web page instead of an answer",
                registry=self.registry,
                operation=method,
                outcome=Outcome.UNKNOWN,
                cure="check endpoint_url and proxies",
            )
        _check_shape(client, method, answer, self.registry)
        return answer

    async def _client(self, service: str) -> Any:
        async with self._making:
            if service not in self._clients:
                self._clients[service] = await self.threads.run(self._make_client, service)
            return self._clients[service]

    def _make_client(self, service: str) -> Any:
        options = self.options
        endpoint = {"sagemaker": options.endpoint_url, "sts": options.sts_endpoint_url}[service]
        try:
            client = self._make_session().create_client(service, endpoint_url=endpoint, config=_config(options))
            client.meta.events.register("before-parse", _check_length)
            return client
        except (boto.BotoCoreError, ValueError) as error:
            raise to_domain_error(error, self.registry, f"client of {service}") from error

    def _make_session(self) -> Session:
        with self._session_lock:
            if self._session is None:
                self._session = make_session(self.options, self.registry)
            return self._session

    # -- S3 --------------------------------------------------------------------------------------------

    @property
    def root(self) -> ObjectStore:
        """The store of `artifact_root`. ConfigError where there is none."""
        if self.options.artifact_root is None:
            raise ConfigError(
                f"registry {self.registry!r} has no artifact_root",
                registry=self.registry,
                cure="set artifact_root: s3://bucket/prefix",
            )
        return self.store(self.options.artifact_root)

    def store(self, url: str) -> ObjectStore:
        """The store of an `s3://` address, kept open."""
        if url not in self._stores:
            if len(self._stores) > 256:
                self._stores.clear()
            options = self.options
            reached = StoreOptions(
                endpoint_url=options.s3_endpoint_url,
                region=options.region,
                kms_key=options.kms_key,
                credential_provider=self._provide_credentials,
                connect_timeout=5.0,
                idle_timeout=options.timeout,
            )
            self._stores[url] = open_store(url, reached, registry=self.registry)
        return self._stores[url]

    def object(self, uri: str) -> tuple[ObjectStore, str]:
        """Store and key of an `s3://bucket/key` address."""
        parts = urlsplit(uri)
        return self.store(f"s3://{parts.netloc}"), uri.removeprefix(f"s3://{parts.netloc}").lstrip("/")

    async def s3(
        self,
        operation: str,
        request: Callable[[], Awaitable[Result]],
        effect: Effect = Effect.READ,
        *,
        size: int | None = None,
    ) -> Result:
        """One guarded request to S3, or the pages of one list.

        `size` bytes on the way, or objects in a list, lengthen the deadline: 1 MiB a second at least.
        """
        deadline = None if size is None else _S3_DEADLINE + size / (1 << 20)
        return await self.calls.run(f"s3_{operation}", request, effect=effect, deadline=deadline)

    def _provide_credentials(self) -> JSON:
        """What obstore signs with; botocore finds and refreshes it.

        Not a coroutine: obstore asks for it from threads of its own, where no event loop runs, in the middle of a
        multipart upload.
        """
        found = self._make_session().get_credentials()
        if found is None:
            raise boto.NoCredentialsError
        frozen = found.get_frozen_credentials()
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            "expires_at": datetime.now(UTC) + _CREDENTIALS_LIFE,
        }

    async def aclose(self) -> None:
        """Release connections and threads. Safe to call twice."""
        clients, self._clients = list(self._clients.values()), {}
        self._stores.clear()
        for client in clients:
            client.close()
        await self.threads.aclose()


def _check_length(response_dict: JSON, **_: Any) -> None:
    """IncompleteReadError for an answer that broke off: botocore makes of it what it can, an empty list mostly."""
    announced, body = response_dict["headers"].get("content-length", ""), response_dict["body"]
    if isinstance(body, bytes) and announced.isdigit() and len(body) < int(announced):
        raise boto.IncompleteReadError(actual_bytes=len(body), expected_bytes=int(announced))


_PYTHON = {"list": list, "structure": dict, "map": dict, "string": str, "integer": int}


def _check_shape(client: Any, method: str, answer: JSON, registry: str) -> None:
    """RegistryError for an answer without any member it must have, which botocore takes for one of nothing, or with
    members of another type, which it hands over as they are."""
    shape = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[method]).output_shape
    if shape is None:
        return
    if shape.required_members and not any(name in answer for name in shape.required_members):
        raise misread(KeyError(shape.required_members[0]), registry, method)
    for name, member in shape.members.items():
        kind = _PYTHON.get(member.type_name)
        if kind is not None and name in answer and not isinstance(answer[name], kind):
            raise misread(TypeError(name), registry, method)


def make_session(options: SageMakerOptions, registry: str) -> Session:
    """The session of the configured credentials, and of the assumed role where one is named. Blocks."""
    session = botocore.session.get_session()
    session.register_component("data_loader", _loader())
    for variable, value in (("profile", options.profile), ("region", options.region)):
        if value is not None:
            session.set_config_variable(variable, value)
    try:
        if options.access_key_id is not None:
            session.set_credentials(options.access_key_id, options.secret_access_key, options.session_token)
        if options.role_arn is not None:
            _assume_role(session, options)
        return session
    except (boto.BotoCoreError, ValueError) as error:
        raise to_domain_error(error, registry, "credentials") from error


def _assume_role(session: Session, options: SageMakerOptions) -> None:
    """Make the session's credentials the role's, refreshed before they end."""
    create = functools.partial(session.create_client, endpoint_url=options.sts_endpoint_url, config=_config(options))
    extra = {"RoleSessionName": "fedreg"} | ({"ExternalId": options.external_id} if options.external_id else {})
    source = session.get_credentials()
    if source is None:
        raise boto.NoCredentialsError
    fetcher = boto_credentials.AssumeRoleCredentialFetcher(create, source, options.role_arn, extra_args=extra)
    refreshed = boto_credentials.DeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role")
    session._credentials = refreshed  # botocore has no public way; boto3's documentation does the same


@functools.cache
def _loader() -> Loader:
    """Service models, read once for all registries: each takes a third of a second and megabytes."""
    return create_loader()


def _config(options: SageMakerOptions) -> Config:
    return Config(
        retries={"total_max_attempts": 1, "mode": "standard"},  # Calls retries
        connect_timeout=min(5.0, options.timeout),
        read_timeout=options.timeout,
        max_pool_connections=options.max_pool,
        user_agent_extra="fedreg",
    )
