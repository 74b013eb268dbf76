"""One registry's connection: credentials, one guarded request, and pages.

Requests go through the pipeline of the service client that azure-ai-ml itself sends with. MLClient's own
model operations leave out the job, the state and whether a version is archived, and have no delete.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from azure.core.credentials import AccessToken
from azure.core.exceptions import AzureError
from azure.core.rest import HttpRequest

from fedreg.domain.calls import Calls, Effect
from fedreg.domain.errors import ConfigError, Outcome, RegistryError
from fedreg_adapters.azureml.errors import from_answer, from_failure
from fedreg_adapters.azureml.manifest import AzureMLOptions
from fedreg_adapters.shared.threads import Threads

JSON = dict[str, Any]
API_VERSION = "2025-12-01"
REGISTRY_API_VERSION = "2021-10-01-dataplanepreview"
PROVIDER = "providers/Microsoft.MachineLearningServices"
ALL = {"listViewType": "All"}  # archived ones are left out otherwise


@dataclass(frozen=True, slots=True)
class Place:
    """Where a workspace or registry answers: an address up to its resource, the version of its API, and for what
    a token is asked for (None: Resource Manager)."""

    url: str
    api_version: str
    scope: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of success."""

    status: int
    body: JSON
    headers: Mapping[str, str] = field(default_factory=dict)


class StaticToken:
    """A credential that is the configured access token."""

    def __init__(self, token: str) -> None:
        self._token = token

    def get_token(self, *scopes: str, **kwargs: Any) -> AccessToken:
        """The token, whatever it is for; Azure says so where it has expired."""
        return AccessToken(self._token, 2**40)


class Client:
    """One workspace's or registry's connection. No SDK is imported and nothing requested before the first call."""

    def __init__(self, registry: str, options: AzureMLOptions, calls: Calls) -> None:
        self.registry, self.options, self.calls = registry, options, calls
        self.threads = Threads(options.max_pool, name=f"azureml-{registry}")
        self._senders: dict[str, Any] = {}
        self._credential: Any = None
        self._place: Place | None = None
        self._opening = asyncio.Lock()
        self._credential_lock = threading.Lock()

    @property
    def is_registry(self) -> bool:
        return self.options.registry is not None

    async def place(self) -> Place:
        """This workspace or registry. The latter is looked up by its name, once."""
        if self._place is None:
            self._place = await self._discover() if self.is_registry else self._workspace()
        return self._place

    def _workspace(self) -> Place:
        options = self.options
        parts = map(str, (options.subscription, options.resource_group, options.workspace))
        subscription, group, workspace = (quote(part, safe="") for part in parts)
        base = f"{options.endpoint.rstrip('/')}/subscriptions/{subscription}/resourceGroups/{group}"
        return Place(f"{base}/{PROVIDER}/workspaces/{workspace}", API_VERSION)

    async def _discover(self) -> Place:
        name = quote(str(self.options.registry), safe="")
        base = f"{self.options.discovery_endpoint.rstrip('/')}/registrymanagement/v1.0"
        where = Place(base, "v1.0", self.options.discovery_scope)
        found = (await self.call("discover_registry", "GET", f"registries/{name}/discovery", place=where)).body
        try:
            base = f"{found['primaryRegionResourceProviderUri'].rstrip('/')}/mferp/managementfrontend"
            group = f"subscriptions/{found['subscriptionId']}/resourceGroups/{found['resourceGroup']}"
        except (KeyError, AttributeError) as error:
            raise self.nonsense("discover_registry", "it does not say where the registry is") from error
        return Place(f"{base}/{group}/{PROVIDER}/registries/{name}", REGISTRY_API_VERSION)

    # -- requests --------------------------------------------------------------------------------------

    async def call(
        self,
        operation: str,
        method: str,
        path: str,
        effect: Effect = Effect.READ,
        *,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        place: Place | None = None,
    ) -> Answer:
        """One request, guarded. `path` is percent-encoded and relative to the place, or a whole address."""
        where = place or await self.place()
        sender = await self._open(where.scope)  # not under the deadline: the first time it takes seconds
        url = path if "://" in path else f"{where.url}/{path}" if path else where.url
        query = {**(params or {}), "api-version": where.api_version} if "://" not in path else dict(params or {})

        async def request() -> Answer:
            return await self.threads.run(self._send, sender, operation, method, url, query, body)

        return await self.calls.run(operation, request, effect=effect)

    def _send(self, sender: Any, operation: str, method: str, url: str, params: JSON, body: Any) -> Answer:
        request = HttpRequest(method, url, params=params, json=body, headers={"Accept": "application/json"})
        try:  # as a stream: else the SDK refuses an odd type of content before anybody sees the status
            with sender.send_request(request, stream=True) as response:
                data = response.read()
        except AzureError as error:
            raise from_failure(error, self.registry, operation) from error
        headers = {name.lower(): value for name, value in response.headers.items()}
        try:
            content = json.loads(data or b"{}")
        except ValueError:
            content = None
        if response.status_code >= 300:
            raise from_answer(response.status_code, content, headers, self.registry, operation)
        if not isinstance(content, dict):
            raise self.nonsense(operation, "a web page or other text instead of an answer")
        return Answer(response.status_code, content, headers)

    async def page(self, operation: str, path: str, token: str | None, **params: str) -> tuple[list[JSON], str | None]:
        """One page as the service cuts it. RegistryError where the next one is this one again.

        Of `nextLink` only the query is taken: no token goes where an answer says.
        """
        query = dict(parse_qsl(token)) if token else params
        body = (await self.call(operation, "GET", path, params=query)).body
        items, link = body.get("value"), body.get("nextLink") or ""
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise self.nonsense(operation, "its list has no value")
        following = urlsplit(link).query or None
        if following is not None and dict(parse_qsl(following)) == (dict(parse_qsl(token)) if token else None):
            raise self.nonsense(operation, "it gives the same page again")
        return items, following

    async def slice(
        self, operation: str, path: str, token: str | None, limit: int, **params: str
    ) -> tuple[list[JSON], str | None]:
        """`limit` items at most: pages are cut here, for `$top` and `count` may end a list instead of a page."""
        start, _, inner = (token or "0|").partition("|")
        offset = int(start) if start.isdecimal() else 0
        items, following = await self.page(operation, path, inner or None, **params)
        if offset + limit < len(items):
            return items[offset : offset + limit], f"{offset + limit}|{inner}"
        return items[offset:], f"0|{following}" if following else None

    async def pages(self, operation: str, path: str, **params: str) -> AsyncIterator[JSON]:
        """Every item of a list, page by page."""
        token: str | None = None
        seen: set[str] = set()
        while True:
            items, token = await self.page(operation, path, token, **params)
            for item in items:
                yield item
            if token is None:
                return
            if token in seen:
                raise self.nonsense(operation, "it gives the same page again")
            seen.add(token)

    def nonsense(self, operation: str, what: str) -> RegistryError:
        """The error for an answer that Azure does not send."""
        return RegistryError(
            f"{operation}: {what}",
            registry=self.registry,
            operation=operation,
            outcome=Outcome.UNKNOWN,
            cure="check endpoint, discovery_endpoint and proxies",
        )

    # -- the SDK ---------------------------------------------------------------------------------------

    async def _open(self, scope: str | None) -> Any:
        wanted = scope or self._scope
        async with self._opening:
            if wanted not in self._senders:
                self._senders[wanted] = await self.threads.run(self._make_sender, wanted)
            return self._senders[wanted]

    @property
    def _scope(self) -> str:
        return f"{self.options.endpoint.rstrip('/')}/.default"

    def _make_sender(self, scope: str) -> Any:
        from azure.ai.ml._restclient.arm_ml_service import MachineLearningServicesMgmtClient

        options = self.options
        return MachineLearningServicesMgmtClient(
            self.credential(),
            options.subscription or "-",  # it only stands in addresses that this adapter does not use
            base_url=options.endpoint,
            credential_scopes=[scope],
            retry_total=0,  # Calls retries
            permit_redirects=False,
            connection_timeout=min(5.0, options.timeout),
            read_timeout=options.timeout,
            connection_verify=options.ca_bundle or True,
            user_agent="fedreg",
        )

    def credential(self) -> Any:
        """What signs requests, made once. Blocks. Raises ConfigError for half a service principal."""
        with self._credential_lock:
            if self._credential is None:
                self._credential = make_credential(self.options)
            return self._credential

    def storage_token(self) -> AccessToken:
        """A token for Blob, of the same identity. Blocks. Raises RegistryAuthError."""
        try:
            found: AccessToken = self.credential().get_token("https://storage.azure.com/.default")
        except AzureError as error:
            raise from_failure(error, self.registry, "storage_token") from error
        return found

    def list_secrets(self, datastore: str) -> JSON:
        """A datastore's secrets, valid for an hour. Blocks: for obstore, which asks from threads of its own."""
        sender, where = self._senders.get(self._scope) or self._make_sender(self._scope), self._workspace()
        url = f"{where.url}/datastores/{quote(datastore, safe='')}/listSecrets"
        body = {"expirableSecret": True, "expireAfterHours": 1}
        return self._send(sender, "list_secrets", "POST", url, {"api-version": where.api_version}, body).body

    async def aclose(self) -> None:
        """Release connections and threads. Safe to call twice."""
        senders, self._senders = list(self._senders.values()), {}
        for sender in senders:
            sender.close()
        credential, self._credential = self._credential, None
        if hasattr(credential, "close"):
            credential.close()
        await self.threads.aclose()


def make_credential(options: AzureMLOptions) -> Any:
    """The configured identity. Blocks: azure-identity takes a while to import."""
    if options.token is not None:
        return StaticToken(options.token)
    from azure.identity import ClientSecretCredential, DefaultAzureCredential

    places: JSON = {"authority": options.authority} if options.authority else {}
    if options.client_secret is None:
        return DefaultAzureCredential(**places, managed_identity_client_id=options.client_id)
    if not options.tenant_id or not options.client_id:
        raise ConfigError("client_secret is set without tenant_id or client_id", cure="set all three, or none")
    if options.authority:  # of a sovereign cloud, or a private one: the public list of clouds may not know it
        places["disable_instance_discovery"] = True
    return ClientSecretCredential(
        options.tenant_id,
        options.client_id,
        options.client_secret,
        connection_verify=options.ca_bundle or True,
        retry_total=0,
        **places,
    )
