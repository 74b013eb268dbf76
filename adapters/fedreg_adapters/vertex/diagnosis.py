"""What `fedreg doctor` finds at a Vertex AI registry."""

from __future__ import annotations

from fedreg.domain.errors import NotFound
from fedreg.domain.models import Finding, Severity
from fedreg_adapters.shared.findings import check
from fedreg_adapters.vertex.client import Client

_PROBE = "fedreg-doctor-probe"
_BUCKET = (
    "storage.objects.list, storage.objects.get, storage.objects.create and storage.objects.delete on the bucket, "
    "as roles/storage.objectUser has them"
)


async def list_findings(client: Client) -> list[Finding]:
    """Address and credentials, each permission by a harmless read, bucket and image. Never raises."""
    first = await check(
        "address and permission aiplatform.models.list",
        lambda: _list_models(client),
        otherwise="check project and location: models are looked for in the one location",
    )
    findings = [first]
    if first.severity is Severity.OK:
        findings += [
            await check("permission aiplatform.models.get", lambda: _get_model(client)),
            await check("permission aiplatform.artifacts.get", lambda: _get_artifact(client), Severity.WARNING),
            await check("permission aiplatform.operations.list", lambda: _list_operations(client)),
        ]
    return [*findings, await _bucket(client), _image(client), *_transport(client)]


async def _list_models(client: Client) -> str:
    await client.call("list_models", {"parent": client.parent, "page_size": 1})
    return f"Vertex AI answers for {client.parent}"


async def _get_model(client: Client) -> str:
    try:
        await client.call("get_model", {"name": f"{client.parent}/models/{_PROBE}"})
    except NotFound:
        return "allowed"
    return "allowed"


async def _get_artifact(client: Client) -> str:
    try:
        await client.call("get_artifact", {"name": f"{client.store_name}/artifacts/{_PROBE}"}, service="metadata")
    except NotFound:
        return "allowed"
    return "allowed"


async def _list_operations(client: Client) -> str:
    await client.pending_operations(f"{client.parent}/models/{_PROBE}")
    return "allowed"


async def _bucket(client: Client) -> Finding:
    name = "artifact_root"
    if client.options.artifact_root is None:
        return Finding(
            check=name,
            severity=Severity.WARNING,
            message="none is configured: bytes can't be uploaded",
            cure="set artifact_root: gs://bucket/prefix",
        )

    async def probe() -> str:
        async def request() -> None:
            async for _ in client.root.list(_PROBE):
                return

        await client.gcs("list", request)
        return f"{client.options.artifact_root} can be listed"

    return await check(name, probe, needs=_BUCKET)


def _image(client: Client) -> Finding:
    if client.options.image:
        return Finding(check="image", severity=Severity.OK, message=client.options.image)
    return Finding(
        check="image",
        severity=Severity.WARNING,
        message="none is configured: new versions say where their bytes are but not how to serve them",
        cure="set image: <container image>",
    )


def _transport(client: Client) -> list[Finding]:
    if not client.options.insecure:
        return []
    return [
        Finding(
            check="insecure",
            severity=Severity.WARNING,
            message="neither TLS nor credentials: this is meant for emulators",
            cure="remove insecure, unless this is one",
        )
    ]
