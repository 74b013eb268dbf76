"""The six registries, each configured under two names, and what drives each past fedreg."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import grpc
import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from google.cloud.aiplatform_v1 import MetadataServiceClient, ModelServiceClient
from google.cloud.aiplatform_v1.services.metadata_service.transports import MetadataServiceGrpcTransport
from google.cloud.aiplatform_v1.services.model_service.transports import ModelServiceGrpcTransport

from ..adapters.azureml.backend import REGISTRY, AzureMLBackend, make_certificate
from ..adapters.azureml.vendor import ml_client
from ..adapters.huggingface.backend import NAMESPACE, TOKEN, HubBackend
from ..adapters.mlflow.server import MlflowServer
from ..adapters.sagemaker.backend import IMAGE, S3Server, SageMakerBackend, boto_client
from ..adapters.vertex.backend import BUCKET, PARENT, VertexBackend
from .facts import Vendor
from .vendor_azureml import Registry, Workspace
from .vendor_huggingface import Hub
from .vendor_mlflow import Mlflow
from .vendor_sagemaker import SageMaker
from .vendor_vertex import Vertex

KINDS = ("mlflow", "sagemaker", "vertex", "azureml", "azureml-registry", "huggingface")
TWIN = "-2"  # the second name of each registry: what is copied from a registry into itself goes there
Result = TypeVar("Result")


@dataclass(frozen=True)
class World:
    """`config` is fedreg's; `vendors` and `sources` (native name and version of what was seeded) are by kind."""

    config: Path
    vendors: Mapping[str, Vendor]
    sources: Mapping[str, tuple[str, str]]


class Loop:
    """An event loop in a thread of its own: stand-ins answer on it while blocking SDKs wait here."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()


@contextmanager
def open_world(home: Path) -> Iterator[World]:
    """Boot, seed, and stop at the end."""
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        mlflow = MlflowServer(home / "mlflow")
        stack.callback(mlflow.stop)
        loop = Loop()
        stack.callback(loop.stop)
        s3 = S3Server()
        stack.callback(s3.stop)
        backends = (SageMakerBackend(s3), VertexBackend(), AzureMLBackend(make_certificate(home)), HubBackend())
        for backend in backends:
            loop.run(backend.start())
            stack.callback(_stop, loop, backend)
        sagemaker, vertex, azureml, hub = backends
        vendors = {
            "mlflow": Mlflow(mlflow.url),
            "sagemaker": SageMaker(boto_client("sagemaker", sagemaker.url), s3.client, sagemaker.root, IMAGE),
            "vertex": _vertex(vertex, stack),
            "azureml": Workspace(ml_client(azureml, patch)),
            "azureml-registry": Registry(ml_client(azureml, patch, registry=True)),
            "huggingface": Hub(hub.url, TOKEN, NAMESPACE),
        }
        of_registry = {"subscription": None, "resource_group": None, "workspace": None, "registry": REGISTRY}
        options = {
            "mlflow": {"kind": "mlflow", "url": mlflow.url},
            "sagemaker": {"kind": "sagemaker", **_written(sagemaker.options(timeout=20.0))},
            "vertex": {"kind": "vertex", **_written(vertex.options(timeout=20.0))},
            "azureml": {"kind": "azureml", **_written(azureml.options(timeout=20.0))},
            "azureml-registry": {
                "kind": "azureml",
                **_written(azureml.options(**of_registry, discovery_endpoint=azureml.service.url, timeout=20.0)),
            },
            "huggingface": {"kind": "huggingface", **_written(hub.options(timeout=20.0))},
        }
        registries = {name + twin: given for name, given in options.items() for twin in ("", TWIN)}
        config = home / "fedreg.yaml"
        config.write_text(json.dumps({"store": {"url": "sqlite:///fedreg.db"}, "registries": registries}))
        yield World(config, vendors, {kind: vendor.seed() for kind, vendor in vendors.items()})


def _stop(loop: Loop, backend: SageMakerBackend | VertexBackend | AzureMLBackend | HubBackend) -> None:
    loop.run(backend.aclose())


def _vertex(backend: VertexBackend, stack: ExitStack) -> Vertex:
    channel = stack.enter_context(grpc.insecure_channel(backend.standin.address))
    bucket = storage.Client(
        project="acme", credentials=AnonymousCredentials(), client_options={"api_endpoint": backend.gcs_url}
    )
    stack.callback(bucket.close)
    models = ModelServiceClient(transport=ModelServiceGrpcTransport(channel=channel))
    metadata = MetadataServiceClient(transport=MetadataServiceGrpcTransport(channel=channel))
    return Vertex(models, metadata, bucket, PARENT, BUCKET)


def _written(options: Any) -> dict[str, Any]:
    """Options as the configuration has them: what differs from the default."""
    found: dict[str, Any] = {}
    for each in fields(options):
        value = getattr(options, each.name)
        default = each.default_factory() if each.default_factory is not MISSING else each.default
        if value is not None and value != default:
            found[each.name] = {"image": value.image} if each.name == "inference" else value
    return found
