"""What `fedreg doctor` finds at a workspace or registry."""

from __future__ import annotations

from fedreg.domain.models import Finding, Severity
from fedreg_adapters.azureml.client import ALL, PROVIDER, Client
from fedreg_adapters.azureml.datastores import Datastores
from fedreg_adapters.azureml.manifest import CODEC
from fedreg_adapters.shared.findings import check

_RIGHTS = PROVIDER.removeprefix("providers/")
_REGISTRY = "check registry, and that discovery_endpoint is that of its cloud"


async def list_findings(client: Client, datastores: Datastores) -> list[Finding]:
    """Address, credentials and each permission by a harmless read. Never raises."""
    variant = "registries" if client.is_registry else "workspaces"
    if client.is_registry:
        found = await check("discovery of the registry", lambda: _discover(client), otherwise=_REGISTRY)
        if found.severity is not Severity.OK:
            return [found]
        findings = [found]
    else:
        findings = []
    reading = f"address and permission {_RIGHTS}/{variant}/models/read"
    findings.append(await check(reading, lambda: _list_models(client)))
    if findings[-1].severity is not Severity.OK:
        return findings
    findings.append(await check(f"permission {_RIGHTS}/{variant}/models/versions/read", lambda: _list_versions(client)))
    if not client.is_registry:
        findings.append(
            await check(
                f"datastore {client.options.datastore}",
                lambda: _datastore(client, datastores),
                needs="the role Storage Blob Data Contributor on the storage account, or "
                f"{_RIGHTS}/workspaces/datastores/listSecrets/action",
                otherwise="set datastore to one of the workspace's, of type AzureBlob",
            )
        )
        findings.append(
            await check(f"permission {_RIGHTS}/workspaces/jobs/read", lambda: _list(client, "jobs"), Severity.WARNING)
        )
        findings.append(
            await check(
                f"permission {_RIGHTS}/workspaces/onlineEndpoints/read",
                lambda: _list(client, "onlineEndpoints"),
                Severity.WARNING,
            )
        )
    return findings


async def _discover(client: Client) -> str:
    await client.place()
    return f"registry {client.options.registry} is found"


async def _list_models(client: Client) -> str:
    await client.page("list_models", "models", None, **ALL)
    return f"{client.options.registry or client.options.workspace} answers"


async def _list_versions(client: Client) -> str:
    found, _ = await client.page("list_models", "models", None, **ALL)
    if not found:
        return "no model to try it on yet"
    await client.page("list_versions", f"models/{found[0]['name']}/versions", None, **ALL)
    return f"allowed, tried on {CODEC.decode(str(found[0]['name']))}"


async def _datastore(client: Client, datastores: Datastores) -> str:
    store = await datastores.uploads()

    async def request() -> None:
        async for _ in store.list("fedreg-doctor-probe"):
            return

    await datastores.blob("list", request)
    return f"{client.options.datastore} can be listed"


async def _list(client: Client, what: str) -> str:
    await client.page(f"list_{what}", what, None)
    return "allowed"
