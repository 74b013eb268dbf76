"""An Azure ML workspace or registry for tests: the stand-in behind TLS, its Blob, and a fault proxy before each."""

from __future__ import annotations

import json
import ssl
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import trustme
from aiohttp import web
from yarl import URL

from fedreg.domain.calls import Calls
from fedreg.domain.lineage import Relation
from fedreg.domain.models import Version
from fedreg.testing.backend import Action, Backend, Fault, Match, Pushed, Reply, Trouble, json_reply
from fedreg.testing.faults import FaultProxy
from fedreg_adapters.azureml.adapter import AzureMLAdapter
from fedreg_adapters.azureml.manifest import MANIFEST, AzureMLOptions
from fedreg_adapters.azureml.standin import create_app

SUBSCRIPTION, GROUP, WORKSPACE, REGISTRY = "00000000-1111-2222-3333-444444444444", "rg", "ws", "models"
HOME = (
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}"
    f"/providers/Microsoft.MachineLearningServices/workspaces/{WORKSPACE}"
)
API = {"api-version": "2025-12-01"}
TOKEN, EVENT_SECRET = "eyJ0eXAi.t0ken-of-the-registry.s1g", "s3cr3t-of-the-events"
CONTAINER = "azureml-blobstore-dc3d8282-18f0-4a1f-85f9-b63fcc23ee2a"
JOB = "brave_carrot_0123456789"

PATHS = {
    Action.GET_MODEL: ("GET", r"/models/[^/?]+\?"),
    Action.LIST_MODELS: ("GET", r"/models\?"),
    Action.LIST_VERSIONS: ("GET", r"/versions\?"),
    Action.GET_VERSION: ("GET", r"/models/[^/]+/versions/[^/?]+\?"),
    Action.SCAN: ("GET", r"/models\?"),
    Action.CREATE_MODEL: ("PUT", r"/models/[^/?]+\?"),
    Action.CREATE_VERSION: ("PUT", r"/models/[^/]+/versions/[^/?]+\?"),
    Action.SET_STAGE: ("PUT", r"/models/[^/]+/versions/[^/?]+\?"),
    Action.SET_ALIAS: ("PUT", r"/models/[^/?]+\?"),
    Action.SET_MODEL_TAGS: ("PUT", r"/models/[^/?]+\?"),
    Action.SET_VERSION_TAGS: ("PUT", r"/models/[^/]+/versions/[^/?]+\?"),
    Action.SET_APPROVAL: ("PUT", r"/models/[^/]+/versions/[^/?]+\?"),
    Action.PUT_FILE: ("PUT", r"/standin\w+/.*/files/"),
    Action.OPEN_FILE: ("GET", r"/standin\w+/.*/files/"),
}
REFUSALS = {
    Trouble.THROTTLED: (429, "TooManyRequests", "Number of requests exceeded."),
    Trouble.UNAVAILABLE: (503, "ServiceUnavailable", "The service is unavailable."),
    Trouble.EXPIRED: (401, "ExpiredAuthenticationToken", f"The access token {TOKEN} has expired."),
    Trouble.FORBIDDEN: (
        403,
        "AuthorizationFailed",
        "The client 'me' with object id '1' does not have authorization to perform action "
        f"'Microsoft.MachineLearningServices/workspaces/models/read' over scope '{HOME}'. {TOKEN}",
    ),
}
BLOB_REFUSALS = {
    Trouble.THROTTLED: (503, "ServerBusy"),
    Trouble.UNAVAILABLE: (503, "InternalError"),
    Trouble.EXPIRED: (403, "AuthenticationFailed"),
    Trouble.FORBIDDEN: (403, "AuthorizationPermissionMismatch"),
}


@dataclass(frozen=True)
class Certificate:
    """A server's TLS context for 127.0.0.1, and the PEM file of who signed it."""

    context: ssl.SSLContext
    ca: str


def make_certificate(directory: Path) -> Certificate:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    ca = directory / "ca.pem"
    authority.cert_pem.write_to_path(str(ca))
    return Certificate(context, str(ca))


class BothFaults:
    """Faults in front of the service and of Blob. A request of one never looks like one of the other."""

    def __init__(self, *proxies: FaultProxy) -> None:
        self._proxies = proxies

    def inject(self, fault: Fault) -> None:
        for proxy in self._proxies:
            proxy.inject(fault)

    def clear(self) -> None:
        for proxy in self._proxies:
            proxy.clear()

    @property
    def fired(self) -> int:
        return sum(proxy.fired for proxy in self._proxies)

    async def release(self) -> int:
        return sum([await proxy.release() for proxy in self._proxies])


class AzureMLBackend(Backend):
    """A fresh stand-in per test, as a workspace or as a registry."""

    manifest = MANIFEST
    secrets = (TOKEN, EVENT_SECRET)
    big_file = 9 * 1024 * 1024 + 17
    deadline = 10.0
    of_registry = False

    def __init__(self, certificate: Certificate, **standin: Any) -> None:
        self.certificate = certificate
        self._runner = web.AppRunner(create_app(**standin), access_log=None)

    async def start(self) -> None:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.plain = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        self.service = FaultProxy(self.plain, tls=self.certificate.context)
        self.blob = FaultProxy(self.plain)
        for proxy in (self.service, self.blob):
            await proxy.start()
        self.faults = BothFaults(self.service, self.blob)
        await self.play(blob_url=self.blob.url)

    async def aclose(self) -> None:
        for proxy in (self.service, self.blob):
            await proxy.aclose()
        await self._runner.cleanup()

    def options(self, **changes: Any) -> AzureMLOptions:
        place = {"registry": REGISTRY, "discovery_endpoint": self.service.url}
        if not self.of_registry:
            place = {"subscription": SUBSCRIPTION, "resource_group": GROUP, "workspace": WORKSPACE}
        given: dict[str, Any] = {
            **place,
            "token": TOKEN,
            "endpoint": self.service.url,
            "blob_endpoint": f"{self.blob.url}/{{account}}",
            "ca_bundle": self.certificate.ca,
            "event_secret": EVENT_SECRET,
            "timeout": 8.0,
        }
        return AzureMLOptions(**{**given, **changes})

    async def open_adapter(self, calls: Calls | None = None, **changes: Any) -> AzureMLAdapter:
        adapter = AzureMLAdapter(self.kind, self.options(**changes), calls or self.make_calls())
        await adapter.open()
        return adapter

    async def play(self, **options: Any) -> None:
        """Change how the stand-in plays what is not known for sure."""
        await self.request("POST", "/_standin/options", options)

    async def request(self, method: str, path: str, body: Any = None, **params: str) -> Any:
        """The service, past the adapter and every fault."""
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with (
            aiohttp.ClientSession(self.plain, headers=headers) as session,
            session.request(method, path, json=body, params=params or None) as answer,
        ):
            content = await answer.read()
            assert answer.status < 300, content
            return json.loads(content) if content else {}

    async def arm(self, method: str, path: str, properties: Mapping[str, Any] | None = None) -> Any:
        """A resource of the workspace."""
        body = None if properties is None else {"properties": properties}
        return await self.request(method, f"{HOME}/{path}", body, **API)

    async def state(self) -> Any:
        return await self.request("GET", "/_standin/state")

    # -- Blob ------------------------------------------------------------------------------------------

    async def blob_request(self, method: str, place: str, data: bytes | None = None) -> bytes:
        headers = {"Authorization": "Bearer any", "x-ms-blob-type": "BlockBlob"}
        url = URL(f"{self.plain}/{quote(place)}".replace("/..", "/%2E%2E"), encoded=True)
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, url, data=data, headers=headers) as answer,
        ):
            assert answer.status < 300, await answer.text()
            return await answer.read()

    async def place_of(self, version: Version) -> str:
        """Account, container and path of a version's bytes."""
        if not self.of_registry:
            path = str(version.artifact_uri).partition("/paths/")[2].strip("/")
            return f"standinstore/{CONTAINER}/{path}"
        adapter = await self.open_adapter()
        try:
            resource = await adapter._versions.get(version.model, version.version)
        finally:
            await adapter.aclose()
        return str(resource["properties"]["modelUri"]).split("/", 3)[3]

    async def tamper(self, version: Version, path: str) -> None:
        place = f"{await self.place_of(version)}/{path}"
        data = bytearray(await self.blob_request("GET", place))
        data[0] ^= 1
        await self.blob_request("PUT", place, bytes(data))

    async def plant(self, version: Version, path: str) -> bool:
        await self.blob_request("PUT", f"{await self.place_of(version)}/{path}", b"planted")
        return True

    async def place(self, files: Mapping[str, bytes]) -> str:
        root = f"placed/{uuid.uuid4().hex}"
        for path, data in files.items():
            await self.blob_request("PUT", f"standinstore/{CONTAINER}/{root}/{path}", data)
        return f"azureml://datastores/workspaceblobstore/paths/{root}"

    # -- faults ----------------------------------------------------------------------------------------

    def request_of(self, action: Action) -> Match:
        method, path = PATHS[action]
        return Match(method=method, path=path)

    def reply(self, trouble: Trouble, action: Action) -> Reply:
        if action in (Action.PUT_FILE, Action.OPEN_FILE):
            status, code = BLOB_REFUSALS[trouble]
            return Reply(status=status, body=f"<Error><Code>{code}</Code><Message>{TOKEN}</Message></Error>")
        status, code, message = REFUSALS[trouble]
        headers = {"Content-Type": "application/json"}
        if trouble is Trouble.THROTTLED:
            headers |= {"Retry-After": "0", "x-ms-ratelimit-remaining-subscription-reads": "0"}
        return Reply(status=status, headers=headers, body=json.dumps({"error": {"code": code, "message": message}}))

    def nonsense(self, action: Action) -> Sequence[Reply]:
        inner = ["{}", '{"name": 7}', '{"name": null, "properties": {}}']
        if action in (Action.LIST_MODELS, Action.LIST_VERSIONS, Action.SCAN):
            inner = ["{}", *(f'{{"value": {text}}}' for text in ("null", "7", "{}", "[7]", "[null]", "[{}]"))]
        return [*super().nonsense(action), *map(json_reply, inner)]

    def looping_page(self, action: Action) -> Reply:
        body = {"value": [], "nextLink": f"{self.service.url}{HOME}/models?api-version=2025-12-01&%24skip=again"}
        return Reply(status=200, headers={"Content-Type": "application/json"}, body=json.dumps(body))

    # -- beyond ----------------------------------------------------------------------------------------

    async def seed_lineage(self, version: Version) -> Sequence[Relation]:
        if self.of_registry:
            return [Relation.PRODUCED_BY, Relation.USED]
        inputs = {"train": {"jobInputType": "uri_folder", "uri": "azureml:churn-data:3"}}
        await self.arm("PUT", f"jobs/{JOB}", {"jobType": "Command", "inputs": inputs})
        path = f"models/{version.model}/versions/{version.version}"
        inner = (await self.arm("GET", path))["properties"]
        await self.arm("PUT", path, {**inner, "jobName": JOB})
        return [Relation.PRODUCED_BY, Relation.USED]

    async def seed_deployment(self, version: Version) -> str:
        name = self.unique_name("endpoint")
        await self.arm("PUT", f"onlineEndpoints/{name}", {})
        model = f"{HOME}/models/{version.model}/versions/{version.version}"
        await self.arm("PUT", f"onlineEndpoints/{name}/deployments/blue", {"model": model})
        return f"{name}/blue"

    def pushed(self, version: Version) -> Pushed:
        event = {
            "topic": HOME,
            "eventType": "Microsoft.MachineLearningServices.ModelRegistered",
            "subject": f"models/{version.model}:{version.version}",
            "eventTime": "2024-02-29T12:00:00.1234567Z",
            "id": f"event-of-{version.identity}",
            "data": {"modelName": version.model, "modelVersion": version.version, "modelTags": {}},
            "dataVersion": "",
            "metadataVersion": "1",
        }
        headers = {"x-fedreg-event-secret": EVENT_SECRET}
        return Pushed(headers=headers, body=json.dumps([event]).encode(), model=version.model, version=version.version)

    def forged(self, version: Version) -> Sequence[Pushed]:
        genuine = self.pushed(version)
        return [
            Pushed(headers=headers, body=genuine.body, model=genuine.model, version=genuine.version)
            for headers in ({}, {"x-fedreg-event-secret": ""}, {"x-fedreg-event-secret": EVENT_SECRET + "x"})
        ]


class RegistryBackend(AzureMLBackend):
    """The same as a registry."""

    of_registry = True
