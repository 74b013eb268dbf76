"""A Vertex AI registry for tests: the stand-in with its GCS, and a proxy for faults in front of each."""

from __future__ import annotations

import asyncio
import base64
import json
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import grpc
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from google.auth import crypt, jwt
from google.cloud import aiplatform_v1 as sdk
from google.cloud.aiplatform_v1.services.metadata_service.transports import MetadataServiceGrpcTransport
from google.cloud.aiplatform_v1.services.model_service.transports import ModelServiceGrpcTransport

from fedreg.domain.calls import Calls
from fedreg.domain.lineage import Relation
from fedreg.domain.models import Version
from fedreg.testing.backend import Action, Backend, Fault, Match, Pushed, Reply, Trouble
from fedreg.testing.faults import FaultProxy
from fedreg_adapters.vertex.adapter import VertexAdapter
from fedreg_adapters.vertex.manifest import MANIFEST, VertexOptions
from fedreg_adapters.vertex.mapping import native_of
from fedreg_adapters.vertex.standin import STANDIN, Standin, create_app
from fedreg_adapters.vertex.standin_gcs import BUCKETS
from fedreg_adapters.vertex.standin_state import Ways

from .grpc_faults import GrpcFaults

PROJECT, LOCATION, BUCKET = "acme", "europe-west4", "models"
PARENT = f"projects/{PROJECT}/locations/{LOCATION}"
REQUESTS = {
    Action.GET_MODEL: "GetModel",
    Action.LIST_MODELS: "ListModels",
    Action.LIST_VERSIONS: "ListModelVersions",
    Action.GET_VERSION: "GetModel",
    Action.SCAN: "ListModels",
    Action.CREATE_VERSION: "UploadModel",
    Action.SET_STAGE: "UpdateModel",
    Action.SET_ALIAS: "MergeVersionAliases",
    Action.SET_MODEL_TAGS: "UpdateModel",
    Action.SET_VERSION_TAGS: "UpdateModel",
    Action.SET_APPROVAL: "UpdateModel",
}
XML_REFUSALS = {
    Trouble.THROTTLED: (429, "SlowDown"),
    Trouble.UNAVAILABLE: (503, "ServiceUnavailable"),
    Trouble.EXPIRED: (401, "AuthenticationRequired"),
    Trouble.FORBIDDEN: (403, "AccessDenied"),
}


AUDIENCE, EMAIL = "https://gateway.example/v1/events/vx", "pusher@acme.iam.gserviceaccount.com"
KEY_ID = "key-1"


@cache
def private_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def certificate() -> str:
    """As Google's endpoint gives them: X.509 in PEM, by key id."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "federated-signon.system.gserviceaccount.com")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(private_key().public_key())
    made = made.serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    return made.sign(private_key(), SHA256()).public_bytes(Encoding.PEM).decode()


def signer(key_id: str = KEY_ID) -> crypt.RSASigner:
    pem = private_key().private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    return crypt.RSASigner.from_string(pem, key_id)


def bearer(**changes: Any) -> dict[str, str]:
    """The header of a push: an ID token of the configured subscription, but for `changes`."""
    now = time.time()
    claims = {"aud": AUDIENCE, "email": EMAIL, "email_verified": True, "iss": "https://accounts.google.com"}
    times = {"iat": int(now), "exp": int(now) + 3600, "sub": "1"}
    return {"authorization": f"Bearer {jwt.encode(signer(), {**claims, **times, **changes}).decode()}"}


def log_entry(method: str, resource: str, **more: Any) -> dict[str, Any]:
    """An audit log entry of the registry."""
    payload = {
        "@type": "type.googleapis.com/google.cloud.audit.AuditLog",
        "serviceName": "aiplatform.googleapis.com",
        "methodName": f"google.cloud.aiplatform.v1.ModelService.{method}",
        "resourceName": resource,
    }
    return {
        "protoPayload": {**payload, **more},
        "insertId": "1ab2c3",
        "timestamp": "2026-01-01T00:00:00.123456789Z",
        "logName": f"projects/{PROJECT}/logs/cloudaudit.googleapis.com%2Factivity",
    }


def push(entry: Mapping[str, Any]) -> bytes:
    """A push of Pub/Sub with a log entry."""
    data = base64.b64encode(json.dumps(entry).encode()).decode()
    return json.dumps(
        {"message": {"data": data, "messageId": "7"}, "subscription": "projects/acme/subscriptions/s"}
    ).encode()


class BothFaults:
    """Faults in front of both servers: paths of gRPC begin with a package, those of GCS with the bucket."""

    def __init__(self, registry: GrpcFaults, gcs: FaultProxy) -> None:
        self._sides = (registry, gcs)

    def inject(self, fault: Fault) -> None:
        for side in self._sides:
            side.inject(fault)

    def clear(self) -> None:
        for side in self._sides:
            side.clear()

    @property
    def fired(self) -> int:
        return sum(side.fired for side in self._sides)

    async def release(self) -> int:
        return sum([await side.release() for side in self._sides])


class VertexBackend(Backend):
    """A fresh stand-in per test."""

    manifest = MANIFEST
    big_file = 9 * 1024 * 1024 + 17

    def __init__(self, **ways: Any) -> None:
        self.app = create_app(ways=Ways(**ways))
        self._runner = web.AppRunner(self.app, access_log=None)
        self._clients: dict[type[Any], Any] = {}
        self.certificates_fetched = 0

    async def start(self) -> None:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.gcs_url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        await self._serve_certificates()
        self.registry_proxy = GrpcFaults(self.standin.address)
        self.gcs_proxy = FaultProxy(self.gcs_url)
        await self.registry_proxy.start()
        await self.gcs_proxy.start()
        self.faults = BothFaults(self.registry_proxy, self.gcs_proxy)

    async def aclose(self) -> None:
        for client in self._clients.values():
            await asyncio.to_thread(client.transport.close)
        await self.gcs_proxy.aclose()
        await self.registry_proxy.aclose()
        await self._runner.cleanup()
        await self._certificates.cleanup()

    async def _serve_certificates(self) -> None:
        """Google's certificates of ID tokens."""

        async def serve(request: web.Request) -> web.Response:
            self.certificates_fetched += 1
            return web.json_response({KEY_ID: certificate()})

        app = web.Application()
        app.router.add_get("/oauth2/v1/certs", serve)
        self._certificates = web.AppRunner(app, access_log=None)
        await self._certificates.setup()
        await web.TCPSite(self._certificates, "127.0.0.1", 0).start()
        self.certs_url = f"http://127.0.0.1:{self._certificates.addresses[0][1]}"

    def pushed(self, version: Version) -> Pushed:
        name = f"{PARENT}/models/{native_of(version.model)}@{version.version}"
        body = push(log_entry("UpdateModel", name))
        return Pushed(headers=bearer(), body=body, model=version.model, version=version.version)

    def forged(self, version: Version) -> Sequence[Pushed]:
        genuine = self.pushed(version)
        return [
            replace(genuine, headers=headers) for headers in ({}, bearer(aud="other"), {"authorization": "Bearer x"})
        ]

    @property
    def standin(self) -> Standin:
        return self.app[STANDIN]

    def options(self, **changes: Any) -> VertexOptions:
        given: dict[str, Any] = {
            "project": PROJECT,
            "location": LOCATION,
            "artifact_root": f"gs://{BUCKET}/fedreg",
            "endpoint": self.registry_proxy.address,
            "gcs_endpoint": self.gcs_proxy.url,
            "insecure": True,
            "image": "europe-docker.pkg.dev/acme/serve:1",
            "timeout": 4.0,
            "event_audience": AUDIENCE,
            "event_email": EMAIL,
            "certs_endpoint": self.certs_url,
        }
        return VertexOptions(**{**given, **changes})

    async def open_adapter(self, calls: Calls | None = None, **changes: Any) -> VertexAdapter:
        adapter = VertexAdapter(self.kind, self.options(**changes), calls or self.make_calls())
        await adapter.open()
        return adapter

    async def sdk(self, method: str, request: Any, *, metadata: bool = False) -> Any:
        """The vendor's synchronous client straight at the stand-in; of an operation the result, of pages a list."""
        return await asyncio.to_thread(self._ask, method, request, metadata)

    def _ask(self, method: str, request: Any, metadata: bool) -> Any:
        client, transport = (
            (sdk.MetadataServiceClient, MetadataServiceGrpcTransport)
            if metadata
            else (sdk.ModelServiceClient, ModelServiceGrpcTransport)
        )
        if client not in self._clients:
            channel = grpc.insecure_channel(self.standin.address)
            self._clients[client] = client(transport=transport(channel=channel))
        found = getattr(self._clients[client], method)(request=request, timeout=10)
        if hasattr(found, "operation"):
            return found.result(timeout=10)
        return list(found) if hasattr(found, "pages") else found

    def resource(self, version: Version) -> str:
        """The vendor's name of a version."""
        native = version.identity.partition("@")[0]
        return f"{native}@{version.version}"

    def row(self, version: Version) -> Any:
        """What the stand-in keeps of a version."""
        return self.standin.state.version(self.resource(version))

    # -- faults ----------------------------------------------------------------------------------------

    def request_of(self, action: Action) -> Match:
        if action is Action.PUT_FILE:
            return Match(method="PUT", path=rf"^/{BUCKET}/.*%2Ffiles%2F")
        if action is Action.OPEN_FILE:
            return Match(method="GET", path=rf"^/{BUCKET}/.*%2Ffiles%2F")
        return Match(method="POST", path=rf"^/google\.cloud\.aiplatform\.v1\.ModelService/{REQUESTS[action]}$")

    def reply(self, trouble: Trouble, action: Action) -> Reply:
        if action in (Action.PUT_FILE, Action.OPEN_FILE):
            status, code = XML_REFUSALS[trouble]
            return Reply(status=status, body=f"<Error><Code>{code}</Code><Message>no</Message></Error>")
        return super().reply(trouble, action)

    def nonsense(self, action: Action) -> Sequence[Reply]:
        """Messages cut off, and messages without a name, or with one of another resource."""
        nameless = sdk.Model(display_name="churn"), sdk.Model(name="projects/7", version_id="1")
        if action is Action.LIST_VERSIONS:
            made = [sdk.ListModelVersionsResponse(models=[model]) for model in nameless]
        elif action in (Action.LIST_MODELS, Action.SCAN):
            made = [sdk.ListModelsResponse(models=[model]) for model in nameless]
        else:
            made = [sdk.Model(), *nameless]
        bodies = ["\n\x7f", "\x07", *(type(each).serialize(each).decode("utf-8", "surrogateescape") for each in made)]
        return [Reply(status=200, body=body) for body in bodies]

    def looping_page(self, action: Action) -> Reply:
        kind = sdk.ListModelVersionsResponse if action is Action.LIST_VERSIONS else sdk.ListModelsResponse
        return Reply(status=200, body=kind.serialize(kind(next_page_token="the-same-again")).decode())

    # -- bytes -----------------------------------------------------------------------------------------

    def put_object(self, uri: str, data: bytes) -> None:
        bucket, _, name = uri.removeprefix("gs://").partition("/")
        self.app[BUCKETS].put(bucket, name, data)

    def objects(self, uri: str) -> dict[str, bytes]:
        bucket, _, prefix = uri.removeprefix("gs://").partition("/")
        found = self.app[BUCKETS].blobs.get(bucket, {})
        return {name.removeprefix(prefix): blob.data for name, blob in found.items() if name.startswith(prefix)}

    async def tamper(self, version: Version, path: str) -> None:
        uri = f"{version.artifact_uri}/{path}"
        data = bytearray(self.objects(uri)[""])
        data[0] ^= 1
        self.put_object(uri, bytes(data))

    async def plant(self, version: Version, path: str) -> bool:
        self.put_object(f"{version.artifact_uri}/{path}", b"planted")
        return True

    async def place(self, files: Mapping[str, bytes]) -> str:
        root = f"gs://{BUCKET}/placed/{uuid.uuid4().hex}/files"
        for path, data in files.items():
            self.put_object(f"{root}/{path}", data)
        return root

    # -- beyond ----------------------------------------------------------------------------------------

    async def seed_lineage(self, version: Version) -> Sequence[Relation]:
        store = f"{PARENT}/metadataStores/default"
        message = await self.sdk("get_model", {"name": self.resource(version)})
        data = {"display_name": "train.csv", "schema_title": "system.Dataset", "uri": f"gs://{BUCKET}/train.csv"}
        dataset = await self.sdk("create_artifact", {"parent": store, "artifact": data}, metadata=True)
        run = {"display_name": "training", "schema_title": "system.Run"}
        execution = await self.sdk("create_execution", {"parent": store, "execution": run}, metadata=True)
        events = [
            {"artifact": dataset.name, "type_": "INPUT"},
            {"artifact": message.metadata_artifact, "type_": "OUTPUT"},
        ]
        await self.sdk("add_execution_events", {"execution": execution.name, "events": events}, metadata=True)
        return [Relation.USED, Relation.PRODUCED_BY]

    async def seed_deployment(self, version: Version) -> str:
        name = f"{PARENT}/endpoints/{self.unique_name('endpoint')}"
        self.row(version).deployed.append(name)
        return name
