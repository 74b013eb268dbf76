"""A registry of every kind that has an SDK, at an address where nobody listens, and what its vendor's users import."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any

ZERO = "00000000-0000-0000-0000-000000000000"

# The least that a script begins with: the SDK's client, made and not used.
SDKS: Mapping[str, str] = {
    "mlflow": "from mlflow import MlflowClient; MlflowClient('http://127.0.0.1:9')",
    "sagemaker": (
        "import boto3; boto3.client('sagemaker', region_name='eu-west-1', aws_access_key_id='a',"
        " aws_secret_access_key='b')"
    ),
    "vertex": (
        "from google.auth.credentials import AnonymousCredentials; from google.cloud import aiplatform;"
        " aiplatform.init(project='p', location='europe-west4', credentials=AnonymousCredentials())"
    ),
    "azureml": (
        "from azure.ai.ml import MLClient; from azure.identity import DefaultAzureCredential;"
        f" MLClient(DefaultAzureCredential(), '{ZERO}', 'g', 'w')"
    ),
    "huggingface": "from huggingface_hub import HfApi; HfApi(token='t')",
}


def make_registries() -> dict[str, dict[str, Any]]:
    """kind -> its section of the configuration; one attempt a request."""
    address = _refusing()
    url = f"http://{address}"
    options: dict[str, dict[str, Any]] = {
        "mlflow": {"url": url},
        "sagemaker": {
            "region": "eu-west-1",
            "endpoint_url": url,
            "access_key_id": "benchmark",
            "secret_access_key": "benchmark",
        },
        "vertex": {"project": "p", "location": "europe-west4", "endpoint": address, "insecure": True},
        "azureml": {
            "subscription": ZERO,
            "resource_group": "g",
            "workspace": "w",
            "token": "benchmark",
            "endpoint": f"https://{address}",
        },
        "huggingface": {"namespace": "acme", "token": "benchmark", "endpoint": url},
    }
    return {kind: {"kind": kind, **given, "calls": {"max_attempts": 1}} for kind, given in options.items()}


def _refusing() -> str:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        return f"127.0.0.1:{gone.getsockname()[1]}"
