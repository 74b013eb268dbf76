"""azure-mgmt-machinelearningservices, and azure-storage-blob: azure-ai-ml itself takes seconds to import."""

from __future__ import annotations

import json
import os
from typing import Any

from azure.core.credentials import AccessToken
from azure.mgmt.machinelearningservices import MachineLearningServicesMgmtClient
from azure.mgmt.machinelearningservices.models import ModelVersion, ModelVersionProperties
from azure.storage.blob import ContainerClient

from fedreg.sandbox.servers import RESOURCE_GROUP, SECRET, SUBSCRIPTION, WORKSPACE

WHERE = (RESOURCE_GROUP, WORKSPACE)
DATASTORE = "workspaceblobstore"


class Token:
    """A credential that is a token."""

    def get_token(self, *scopes: str, **kwargs: Any) -> AccessToken:
        return AccessToken(SECRET, 2**40)


def seed() -> str:
    """Register one version of `credit-risk`, its bytes in the workspace's datastore."""
    client = _client()
    datastore = client.datastores.get(*WHERE, DATASTORE).properties
    secrets = client.datastores.list_secrets(*WHERE, DATASTORE)
    url = f"{os.environ['AZURE_BLOB_ENDPOINT']}/{datastore.account_name}/{datastore.container_name}"
    with ContainerClient.from_container_url(url, credential=secrets.sas_token) as container:
        container.upload_blob("credit-risk/1/scorecard.json", json.dumps({"base": 600, "late_payment": -45}))
    properties = ModelVersionProperties(
        model_uri=f"azureml://datastores/{DATASTORE}/paths/credit-risk/1",
        model_type="custom_model",
        description="Scorecard of retail loans.",
        tags={"team": "risk"},
        stage="Production",
    )
    client.model_versions.create_or_update(*WHERE, "credit-risk", "1", ModelVersion(properties=properties))
    return "azure-mgmt-machinelearningservices: registered credit-risk v1"


def show(model: str, version: str) -> str:
    """What the client says of a version: its type, stage and tags."""
    found = _client().model_versions.get(*WHERE, model, version).properties
    shown = {"type": found.model_type, "stage": found.stage, "tags": dict(sorted((found.tags or {}).items()))}
    return json.dumps({"model": f"{model}:{version}", **shown}, indent=1)


def _client() -> MachineLearningServicesMgmtClient:
    endpoint = os.environ["AZURE_ENDPOINT"]
    return MachineLearningServicesMgmtClient(
        Token(),
        SUBSCRIPTION,
        base_url=endpoint,
        credential_scopes=[f"{endpoint}/.default"],
        connection_verify=os.environ["AZURE_CA_BUNDLE"],
    )
