"""google-cloud-aiplatform's generated client, and google-cloud-storage."""

from __future__ import annotations

import json
import os

import grpc
from google.auth.credentials import AnonymousCredentials
from google.cloud.aiplatform_v1 import ModelServiceClient
from google.cloud.aiplatform_v1.services.model_service.transports import ModelServiceGrpcTransport

from fedreg.sandbox.servers import GCS_BUCKET, LOCATION, PROJECT

PARENT = f"projects/{PROJECT}/locations/{LOCATION}"


def seed() -> str:
    """Upload one version of `demand`."""
    from google.cloud import storage  # a second, which `show` can do without

    store = storage.Client(project=PROJECT, credentials=AnonymousCredentials())
    blob = store.bucket(GCS_BUCKET).blob("demand/1/model.json")
    blob.upload_from_string(json.dumps({"weekday": [3.5, 3.0, 2.9, 3.1, 4.2, 6.0, 5.1]}))
    model = {
        "display_name": "demand",
        "version_description": "Orders by day of the week.",
        "version_aliases": ["golden"],
        "artifact_uri": f"gs://{GCS_BUCKET}/demand/1",
        "labels": {"team": "logistics"},
    }
    _client().upload_model(request={"parent": PARENT, "model": model, "model_id": "demand"}).result(timeout=60)
    return "google-cloud-aiplatform: uploaded demand v1"


def show(model: str, version: str) -> str:
    """What the client says of a version: labels, aliases, and where its bytes are."""
    found = _client().get_model(name=f"{PARENT}/models/{model}@{version}")
    shown = {
        "name": f"{found.name.partition('@')[0]}@{found.version_id}",
        "version_aliases": list(found.version_aliases),
        "labels": dict(sorted(found.labels.items())),
        "artifact_uri": found.artifact_uri,
    }
    return json.dumps(shown, indent=1)


def _client() -> ModelServiceClient:
    channel = grpc.insecure_channel(os.environ["VERTEX_ENDPOINT"])
    return ModelServiceClient(transport=ModelServiceGrpcTransport(channel=channel))
