"""Microsoft's own clients on the stand-in: MLClient (blocking), and the management client (async)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from azure.core.credentials import AccessToken

from .backend import GROUP, REGISTRY, SUBSCRIPTION, TOKEN, WORKSPACE, AzureMLBackend

Result = TypeVar("Result")


class Token:
    """A credential that is a token."""

    def get_token(self, *scopes: str, **kwargs: Any) -> AccessToken:
        return AccessToken(TOKEN, 2**40)


class AsyncToken:
    """The same for async clients."""

    async def get_token(self, *scopes: str, **kwargs: Any) -> AccessToken:
        return AccessToken(TOKEN, 2**40)

    async def close(self) -> None:
        """Nothing is open."""

    async def __aenter__(self) -> AsyncToken:
        return self

    async def __aexit__(self, *failure: object) -> None:
        """Nothing is open."""


def ml_client(backend: AzureMLBackend, monkeypatch: pytest.MonkeyPatch, *, registry: bool = False) -> Any:
    """An MLClient of the workspace or the registry. Its cloud is known to the whole process by its name."""
    from azure.ai.ml import MLClient
    from azure.ai.ml.constants import _common

    cloud = f"Standin{backend.service.port}"
    monkeypatch.setenv("AZUREML_CURRENT_CLOUD", cloud)
    monkeypatch.setitem(_common.STORAGE_ACCOUNT_URLS, "AzureBlob", f"{backend.blob.url}/{{}}")
    url = backend.service.url
    metadata = {
        "azure_portal": url,
        "resource_manager": url,
        "active_directory": url,
        "aml_resource_id": url,
        "storage_endpoint": "storage.local",
        "registry_discovery_endpoint": f"{url}/",
    }
    place = {"registry_name": REGISTRY} if registry else {"workspace_name": WORKSPACE}
    return MLClient(
        Token(),
        SUBSCRIPTION,
        GROUP,
        **place,
        cloud=cloud,
        cloud_metadata=metadata,
        enable_telemetry=False,
        show_progress=False,
        connection_verify=backend.certificate.ca,
        polling_interval=0,
    )


def management_client(backend: AzureMLBackend) -> Any:
    """The async management client, whose models were generated from the specification of 2023-04-01."""
    from azure.mgmt.machinelearningservices.aio import MachineLearningServicesMgmtClient

    return MachineLearningServicesMgmtClient(
        AsyncToken(),
        SUBSCRIPTION,
        base_url=backend.service.url,
        credential_scopes=[f"{backend.service.url}/.default"],
        connection_verify=backend.certificate.ca,
    )


async def off_loop(call: Callable[..., Result], *args: Any, **given: Any) -> Result:
    """A blocking call in a thread: the stand-in answers on this loop."""
    return await asyncio.to_thread(call, *args, **given)
