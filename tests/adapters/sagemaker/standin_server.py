"""Runs the SageMaker stand-in on loopback and drives it with boto3, checking each answer against its output shape."""

import asyncio
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from aiohttp import web
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.validate import ParamValidator

from fedreg_adapters.sagemaker.standin import create_app
from fedreg_adapters.sagemaker.standin_errors import ServiceError
from fedreg_adapters.sagemaker.standin_validation import check_request

IMAGE = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/serve:1"
PACKAGE_ARN = "arn:aws:sagemaker:eu-west-1:123456789012:model-package/churn/1"
URI = "s3://models/churn/1/"
# The service omits the name of a versioned package, although its output shape calls it required.
OMITTED = {"DescribeModelPackage": ("ModelPackageName", "arn-only")}


class Server:
    """A stand-in on a free loopback port, in a thread of its own, with clients that check every answer."""

    def __init__(self, **options: Any) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.runner = web.AppRunner(create_app(**options), access_log=None)
        self.url = asyncio.run_coroutine_threadsafe(self._start(), self.loop).result(30)
        self.shape_errors: list[str] = []

    async def _start(self) -> str:
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{self.runner.addresses[0][1]}"

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self.runner.cleanup(), self.loop).result(30)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(30)
        self.loop.close()

    def client(
        self, service: str = "sagemaker", key: str = "AKIA", secret: str = "secret", token: str | None = None
    ) -> Any:
        made = boto3.client(
            service,
            endpoint_url=self.url,
            region_name="eu-west-1",
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            aws_session_token=token,
            config=Config(retries={"total_max_attempts": 1}, parameter_validation=False),
        )
        if service == "sagemaker":
            made.meta.events.register("before-parse.sagemaker", self._check_answer)
        return made

    def _check_answer(self, operation_model: Any, response_dict: dict[str, Any], **_: Any) -> None:
        if response_dict["status_code"] != 200:
            return
        body = json.loads(response_dict["body"] or b"{}")
        if operation_model.output_shape is None:
            assert body == {}
            return
        shape = operation_model.output_shape
        for name, filler in [OMITTED[operation_model.name]] if operation_model.name in OMITTED else []:
            body.setdefault(name, filler)
        report = ParamValidator().validate(body, shape)  # botocore's: members, required ones and types
        if report.has_errors():
            self.shape_errors.append(f"{operation_model.name}: {report.generate_report()}")
        try:
            check_request(shape, body)  # patterns, enums and sizes, which botocore's leaves out
        except ServiceError as error:
            self.shape_errors.append(f"{operation_model.name}: {error}")

    def control(self, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(f"{self.url}/_standin/{path}", data=data)) as answer:
            return json.load(answer)


def refused(call: Callable[..., Any], **given: Any) -> tuple[str, str]:
    """The error code and message of a call that must fail."""
    with pytest.raises(ClientError) as caught:
        call(**given)
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


def make_group(sm: Any, name: str = "churn", **more: Any) -> str:
    return str(sm.create_model_package_group(ModelPackageGroupName=name, **more)["ModelPackageGroupArn"])


def make_version(sm: Any, group: str = "churn", **more: Any) -> str:
    source = {"S3DataSource": {"S3Uri": URI, "S3DataType": "S3Prefix", "CompressionType": "None"}}
    given = {
        "ModelPackageGroupName": group,
        "InferenceSpecification": {
            "Containers": [{"Image": IMAGE, "ModelDataSource": source}],
            "SupportedContentTypes": ["text/csv"],
            "SupportedResponseMIMETypes": ["text/csv"],
        },
    }
    return str(sm.create_model_package(**given | more)["ModelPackageArn"])


def describe(sm: Any, arn: str, **more: Any) -> Any:
    return sm.describe_model_package(ModelPackageName=arn, **more)


def walk(call: Callable[..., Any], member: str, **given: Any) -> list[Any]:
    """Every item of a paged call, by its tokens."""
    page = call(**given)
    items = list(page[member])
    while "NextToken" in page:
        page = call(NextToken=page["NextToken"], **given)
        items += page[member]
    return items
