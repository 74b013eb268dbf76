"""A SageMaker registry for tests: the stand-in, moto's S3, and a fault proxy in front of each."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import tarfile
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import aiohttp
import boto3
from aiohttp import web
from moto.server import ThreadedMotoServer

from fedreg.domain.calls import Calls
from fedreg.domain.lineage import Relation
from fedreg.domain.models import ModelDraft, Version
from fedreg.testing.backend import Action, Backend, Fault, Match, Pushed, Reply, Trouble, json_reply
from fedreg.testing.faults import FaultProxy
from fedreg_adapters.sagemaker.adapter import SageMakerAdapter
from fedreg_adapters.sagemaker.manifest import MANIFEST, InferenceOptions, SageMakerOptions
from fedreg_adapters.sagemaker.standin import create_app

REGION, BUCKET = "eu-west-1", "models"
ACCESS_KEY, SECRET_KEY, EVENT_SECRET = "AKIAFEDREGTEST", "s3cr3t-of-the-registry", "s3cr3t-of-the-events"
IMAGE = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/serve:1"

REQUESTS = {
    Action.GET_MODEL: "DescribeModelPackageGroup",
    Action.LIST_MODELS: "ListModelPackageGroups",
    Action.LIST_VERSIONS: "ListModelPackages",
    Action.GET_VERSION: "DescribeModelPackage",
    Action.SCAN: "ListModelPackageGroups",
    Action.CREATE_MODEL: "CreateModelPackageGroup",
    Action.CREATE_VERSION: "CreateModelPackage",
    Action.SET_STAGE: "UpdateModelPackage",
    Action.SET_ALIAS: "AddTags",
    Action.SET_MODEL_TAGS: "AddTags",
    Action.SET_VERSION_TAGS: "UpdateModelPackage",
    Action.SET_APPROVAL: "UpdateModelPackage",
}
LISTS = {
    Action.LIST_MODELS: "ModelPackageGroupSummaryList",
    Action.SCAN: "ModelPackageGroupSummaryList",
    Action.LIST_VERSIONS: "ModelPackageSummaryList",
}
JSON_REFUSALS = {
    Trouble.THROTTLED: (400, "ThrottlingException", "Rate exceeded"),
    Trouble.UNAVAILABLE: (503, "ServiceUnavailable", "The service is unavailable"),
    Trouble.EXPIRED: (403, "ExpiredTokenException", "The security token included in the request is expired"),
    Trouble.FORBIDDEN: (400, "AccessDeniedException", "User is not authorized to perform this"),
}
XML_REFUSALS = {
    Trouble.THROTTLED: (503, "SlowDown"),
    Trouble.UNAVAILABLE: (503, "ServiceUnavailable"),
    Trouble.EXPIRED: (400, "ExpiredToken"),
    Trouble.FORBIDDEN: (403, "AccessDenied"),
}


class S3Server:
    """moto's S3 on a free port, in a thread, with one bucket."""

    def __init__(self) -> None:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        host, port = self._server.get_host_and_port()
        self.url = f"http://{host}:{port}"
        self.client = boto_client("s3", self.url)
        with suppress(self.client.exceptions.BucketAlreadyOwnedByYou):  # moto keeps one state per process
            self.client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})

    def stop(self) -> None:
        self._server.stop()


def boto_client(service: str, url: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=url,
        region_name=REGION,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
    )


class BothFaults:
    """Faults in front of two servers. A request of one never looks like one of the other."""

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


class SageMakerBackend(Backend):
    """A fresh stand-in per test and a prefix of its own in a shared bucket."""

    manifest = MANIFEST
    secrets = (SECRET_KEY, EVENT_SECRET)
    big_file = 9 * 1024 * 1024 + 17

    def __init__(self, s3: S3Server, **standin: Any) -> None:
        self.s3 = s3
        self.root = f"s3://{BUCKET}/{uuid.uuid4().hex}/fedreg"
        self._runner = web.AppRunner(create_app(**standin), access_log=None)
        self._proxies: list[FaultProxy] = []
        self._client: Any = None

    async def start(self) -> None:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        self._proxies = [FaultProxy(self.url), FaultProxy(self.s3.url)]
        for proxy in self._proxies:
            await proxy.start()
        self.faults = BothFaults(*self._proxies)

    async def aclose(self) -> None:
        for proxy in self._proxies:
            await proxy.aclose()
        await self._runner.cleanup()

    def options(self, **changes: Any) -> SageMakerOptions:
        registry, s3 = self._proxies
        given: dict[str, Any] = {
            "region": REGION,
            "artifact_root": self.root,
            "endpoint_url": registry.url,
            "s3_endpoint_url": s3.url,
            "sts_endpoint_url": registry.url,
            "access_key_id": ACCESS_KEY,
            "secret_access_key": SECRET_KEY,
            "event_secret": EVENT_SECRET,
            "inference": InferenceOptions(image=IMAGE),
            "timeout": 4.0,
        }
        return SageMakerOptions(**{**given, **changes})

    async def open_adapter(self, calls: Calls | None = None, **changes: Any) -> SageMakerAdapter:
        adapter = SageMakerAdapter(self.kind, self.options(**changes), calls or self.make_calls())
        await adapter.open()
        return adapter

    async def sagemaker(self, method: str, **params: Any) -> Any:
        """boto3 straight at the stand-in."""
        if self._client is None:
            self._client = await asyncio.to_thread(boto_client, "sagemaker", self.url)
        return await asyncio.to_thread(getattr(self._client, method), **params)

    async def put_object(self, uri: str, data: bytes) -> None:
        key = uri.removeprefix(f"s3://{BUCKET}/")
        await asyncio.to_thread(self.s3.client.put_object, Bucket=BUCKET, Key=key, Body=data)

    async def get_object(self, uri: str) -> bytes:
        key = uri.removeprefix(f"s3://{BUCKET}/")
        found = await asyncio.to_thread(self.s3.client.get_object, Bucket=BUCKET, Key=key)
        return bytes(await asyncio.to_thread(found["Body"].read))

    async def objects(self, uri: str) -> list[str]:
        prefix = uri.removeprefix(f"s3://{BUCKET}/")
        listed = await asyncio.to_thread(self.s3.client.list_objects_v2, Bucket=BUCKET, Prefix=prefix)
        return [found["Key"].removeprefix(prefix) for found in listed.get("Contents", [])]

    @property
    def s3_proxy(self) -> FaultProxy:
        return self._proxies[1]

    async def control(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Ask the stand-in's control path."""
        async with aiohttp.ClientSession(self.url) as session:
            method = "GET" if body is None else "POST"
            async with session.request(method, f"/_standin/{path}", json=body) as answer:
                return await answer.json()

    def arn(self, version: Version) -> str:
        return version.identity.partition("@")[0]

    # -- faults ----------------------------------------------------------------------------------------

    def request_of(self, action: Action) -> Match:
        if action is Action.PUT_FILE:
            return Match(method="PUT", path=rf"^/{BUCKET}/.*/files/")
        if action is Action.OPEN_FILE:
            return Match(method="GET", path=rf"^/{BUCKET}/.*/files/")
        return Match(method="POST", headers={"X-Amz-Target": rf"^SageMaker\.{REQUESTS[action]}$"})

    def reply(self, trouble: Trouble, action: Action) -> Reply:
        if action in (Action.PUT_FILE, Action.OPEN_FILE):
            status, code = XML_REFUSALS[trouble]
            return Reply(status=status, body=f"<Error><Code>{code}</Code><Message>no</Message></Error>")
        status, code, message = JSON_REFUSALS[trouble]
        headers = {"Content-Type": "application/x-amz-json-1.1"}
        return Reply(status=status, headers=headers, body=json.dumps({"__type": code, "message": message}))

    def nonsense(self, action: Action) -> Sequence[Reply]:
        member = LISTS.get(action)
        inner = ["{}", '{"ModelPackageGroupName": 7}', '{"ModelPackageVersion": "one"}', "[]"]
        if member is not None:
            inner = ["{}", *(f'{{"{member}": {text}}}' for text in ("7", '"text"', "[7]", "[null]", "[{}]"))]
        return [*super().nonsense(action), *map(json_reply, inner)]

    def looping_page(self, action: Action) -> Reply:
        body = json.dumps({LISTS[action]: [], "NextToken": "the-same-again"})
        return Reply(status=200, headers={"Content-Type": "application/x-amz-json-1.1"}, body=body)

    # -- bytes -----------------------------------------------------------------------------------------

    async def tamper(self, version: Version, path: str) -> None:
        uri = f"{version.artifact_uri}{path}"
        data = bytearray(await self.get_object(uri))
        data[0] ^= 1
        await self.put_object(uri, bytes(data))

    async def plant(self, version: Version, path: str) -> bool:
        await self.put_object(f"{version.artifact_uri}{path}", b"planted")
        return True

    async def place(self, files: Mapping[str, bytes]) -> str:
        root = f"s3://{BUCKET}/placed/{uuid.uuid4().hex}"
        for path, data in files.items():
            await self.put_object(f"{root}/{path}", data)
        return root

    async def hostile_archives(self) -> Sequence[Version]:
        outside, link, bomb = tarfile.TarInfo("../outside"), tarfile.TarInfo("link"), tarfile.TarInfo("bomb")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        adapter = await self.open_adapter()
        try:
            model = (await adapter.create_model(ModelDraft(name=self.unique_name("hostile")))).name
            versions = []
            for entry, data in ((outside, b"x"), (link, b""), (bomb, b"\0" * (80 << 20))):
                uri = f"s3://{BUCKET}/hostile/{uuid.uuid4().hex}/model.tar.gz"
                await self.put_object(uri, await asyncio.to_thread(tar_gz, entry, data))
                number = await self.register(model, {"ModelDataUrl": uri})
                versions.append(await adapter.get_version(model, number))
            return versions
        finally:
            await adapter.aclose()

    async def register(self, group: str, container: Mapping[str, Any], **more: Any) -> str:
        """Register bytes by boto3; returns the version."""
        specification = {
            "Containers": [{"Image": IMAGE, **container}],
            "SupportedContentTypes": ["text/csv"],
            "SupportedResponseMIMETypes": ["text/csv"],
        }
        made = await self.sagemaker(
            "create_model_package", ModelPackageGroupName=group, InferenceSpecification=specification, **more
        )
        return str(made["ModelPackageArn"].rpartition("/")[2])

    # -- beyond ----------------------------------------------------------------------------------------

    async def seed_lineage(self, version: Version) -> Sequence[Relation]:
        async def artifact(uri: str, kind: str) -> str:
            found = await self.sagemaker("list_artifacts", SourceUri=uri)
            if found["ArtifactSummaries"]:
                return str(found["ArtifactSummaries"][0]["ArtifactArn"])
            made = await self.sagemaker("create_artifact", Source={"SourceUri": uri}, ArtifactType=kind)
            return str(made["ArtifactArn"])

        package = await artifact(self.arn(version), "ModelPackage")
        data = await artifact(f"s3://{BUCKET}/data/train.csv", "DataSet")
        await self.sagemaker("add_association", SourceArn=data, DestinationArn=package, AssociationType="ContributedTo")
        return [Relation.USED, Relation.PRODUCED_BY]

    async def seed_deployment(self, version: Version) -> str:
        name = self.unique_name("endpoint")
        arn = self.arn(version)
        await self.sagemaker("update_model_package", ModelPackageArn=arn, ModelApprovalStatus="Approved")
        await self.sagemaker("create_model", ModelName=name, Containers=[{"ModelPackageName": arn}])
        variant = {"VariantName": "all", "ModelName": name, "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
        await self.sagemaker("create_endpoint_config", EndpointConfigName=name, ProductionVariants=[variant])
        await self.sagemaker("create_endpoint", EndpointName=name, EndpointConfigName=name)
        return name

    def pushed(self, version: Version) -> Pushed:
        event = {
            "version": "0",
            "id": f"event-of-{version.identity}",
            "detail-type": "SageMaker Model Package State Change",
            "source": "aws.sagemaker",
            "time": "2024-02-29T12:00:00Z",
            "detail": {
                "ModelPackageGroupName": version.model,
                "ModelPackageVersion": int(version.version),
                "UpdatedModelPackageFields": ["ModelLifeCycle"],
            },
        }
        headers = {"x-fedreg-event-secret": EVENT_SECRET}
        return Pushed(headers=headers, body=json.dumps(event).encode(), model=version.model, version=version.version)

    def forged(self, version: Version) -> Sequence[Pushed]:
        genuine = self.pushed(version)
        return [
            Pushed(headers=headers, body=genuine.body, model=genuine.model, version=genuine.version)
            for headers in ({}, {"x-fedreg-event-secret": ""}, {"x-fedreg-event-secret": EVENT_SECRET + "x"})
        ]


def tar_gz(entry: tarfile.TarInfo, data: bytes) -> bytes:
    buffer = io.BytesIO()
    entry.size = len(data)
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=9) as archive:
        archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()
