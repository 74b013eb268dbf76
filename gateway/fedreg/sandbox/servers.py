"""The servers of each kind: how they are started, what configures a registry over them, and what its SDK needs."""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from fedreg.sandbox.processes import answers, free_port, start_server, wait_until

BUCKET = "models-eu"
REGION = "eu-west-1"
PROJECT, LOCATION, GCS_BUCKET = "acme", "europe-west4", "acme-models"
# The workspace and the namespace that the stand-ins of Azure ML and of the Hub are about.
SUBSCRIPTION, RESOURCE_GROUP, WORKSPACE = "00000000-1111-2222-3333-444444444444", "rg", "ws"
NAMESPACE = "acme"
# What clients of a sandbox sign with: there is nothing to protect, and no real key may be used.
SECRET = "sandbox"  # noqa: S105
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": SECRET,
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
}
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "DO_NOT_TRACK": "true",
    "PYTHONWARNINGS": "ignore",
    "GRPC_VERBOSITY": "ERROR",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_XET": "1",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Booted:
    """A registry that is up: its section of `fedreg.yaml`, addresses by name, and variables for its vendor's SDK."""

    config: str
    urls: Mapping[str, str]
    env: Mapping[str, str] = field(default_factory=dict)


def start_mlflow(directory: Path, stack: ExitStack) -> Booted:
    """A real `mlflow server` with its artifact proxy, one worker, on SQLite."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "fedreg.sandbox.mlflow_server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1", "--backend-store-uri", "sqlite:///mlflow.db"]
    command += ["--artifacts-destination", "./mlflow-artifacts"]
    env = {**QUIET, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    _start("mlflow", command, directory, stack, f"{url}/health", env)
    config = f"""\
  mlflow-prod:
    kind: mlflow
    url: "{url}"
    stages: {{held_by: alias, map: {{production: champion}}}}
"""
    return Booted(config=config, urls={"MLflow": url}, env={"MLFLOW_TRACKING_URI": url})


def start_sagemaker(directory: Path, stack: ExitStack) -> Booted:
    """The stand-in of the SageMaker registry, and moto's S3 with a bucket."""
    port = free_port()
    s3 = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = start_server("s3", command, directory, stack, CREDENTIALS)  # the stand-in starts while this one does
    url = _start_standin("sagemaker", directory, stack, {"region": REGION})
    wait_until(server, lambda: answers(s3))
    create_bucket(s3, BUCKET)
    config = f"""\
  sm-eu:
    kind: sagemaker
    region: {REGION}
    artifact_root: "s3://{BUCKET}/fedreg"
    endpoint_url: "{url}"
    s3_endpoint_url: "{s3}"
    sts_endpoint_url: "{url}"
    access_key_id: {SECRET}
    secret_access_key: {SECRET}
    inference: {{image: "123456789012.dkr.ecr.{REGION}.amazonaws.com/sklearn:1.5"}}
"""
    env = {**CREDENTIALS, "AWS_ENDPOINT_URL_SAGEMAKER": url, "AWS_ENDPOINT_URL_S3": s3}
    return Booted(config=config, urls={"SageMaker stand-in": url, "S3 (moto)": s3}, env=env)


def start_vertex(directory: Path, stack: ExitStack) -> Booted:
    """The stand-in of Vertex AI over gRPC, and its GCS."""
    port = free_port()
    endpoint, gcs = f"127.0.0.1:{port}", _start_standin("vertex", directory, stack, {"grpc_port": port})
    config = f"""\
  vertex-eu:
    kind: vertex
    project: {PROJECT}
    location: {LOCATION}
    artifact_root: "gs://{GCS_BUCKET}/fedreg"
    endpoint: "{endpoint}"
    gcs_endpoint: "{gcs}"
    insecure: true
"""
    env = {"VERTEX_ENDPOINT": endpoint, "STORAGE_EMULATOR_HOST": gcs, "GOOGLE_CLOUD_PROJECT": PROJECT}
    return Booted(config=config, urls={"Vertex AI stand-in": f"grpc://{endpoint}", "its GCS": gcs}, env=env)


def start_azureml(directory: Path, stack: ExitStack) -> Booted:
    """The stand-in of an Azure ML workspace: Resource Manager over TLS, as its SDK insists, and Blob."""
    ca, certificate = make_certificate(directory)
    port = free_port()
    url = f"https://127.0.0.1:{port}"
    tls = ("--tls-port", str(port), "--certificate", str(certificate))
    blob = _start_standin("azureml", directory, stack, {"token": SECRET}, *tls)
    config = f"""\
  azure-ws:
    kind: azureml
    subscription: {SUBSCRIPTION}
    resource_group: {RESOURCE_GROUP}
    workspace: {WORKSPACE}
    token: {SECRET}
    endpoint: "{url}"
    blob_endpoint: "{blob}/{{account}}"
    ca_bundle: "{ca}"
"""
    env = {"AZURE_ENDPOINT": url, "AZURE_BLOB_ENDPOINT": blob, "AZURE_CA_BUNDLE": str(ca)}
    return Booted(config=config, urls={"Azure ML stand-in": url, "its Blob": blob}, env=env)


def start_huggingface(directory: Path, stack: ExitStack) -> Booted:
    """The stand-in of the Hugging Face Hub."""
    user = {"user": "ana", "orgs": [NAMESPACE], "role": "write"}
    url = _start_standin("huggingface", directory, stack, {"tokens": {f"hf_{SECRET}": user}})
    config = f"""\
  hub:
    kind: huggingface
    namespace: {NAMESPACE}
    token: hf_{SECRET}
    endpoint: "{url}"
"""
    return Booted(
        config=config, urls={"Hugging Face stand-in": url}, env={"HF_ENDPOINT": url, "HF_TOKEN": f"hf_{SECRET}"}
    )


STARTS: Mapping[str, Callable[[Path, ExitStack], Booted]] = {
    "mlflow": start_mlflow,
    "sagemaker": start_sagemaker,
    "vertex": start_vertex,
    "azureml": start_azureml,
    "huggingface": start_huggingface,
}


def create_bucket(s3_url: str, bucket: str) -> None:
    """Make a bucket at moto."""
    request = urllib.request.Request(f"{s3_url}/{bucket}", method="PUT")  # noqa: S310
    with urllib.request.urlopen(request, timeout=30):  # noqa: S310
        return


def make_certificate(directory: Path) -> tuple[Path, Path]:
    """PEM files of a certificate authority, and of a server's certificate for loopback with its key."""
    import trustme

    authority, ca, server = trustme.CA(), directory / "ca.pem", directory / "server.pem"
    authority.cert_pem.write_to_path(str(ca))
    authority.issue_cert("127.0.0.1", "localhost").private_key_and_cert_chain_pem.write_to_path(str(server))
    return ca, server


def _start_standin(kind: str, directory: Path, stack: ExitStack, options: object, *more: str) -> str:
    """The stand-in that the manifest of a kind names; returns where it answers plain HTTP."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "fedreg.sandbox.standin", kind, "--port", str(port)]
    _start(kind, [*command, "--options", json.dumps(options), *more], directory, stack, url, QUIET)
    return url


def _start(name: str, command: list[str], directory: Path, stack: ExitStack, url: str, env: Mapping[str, str]) -> None:
    server = start_server(name, command, directory, stack, env)
    wait_until(server, lambda: answers(url))
