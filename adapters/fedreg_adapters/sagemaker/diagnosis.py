"""What `fedreg doctor` finds at a SageMaker registry."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fedreg.domain.errors import ConfigError, FedregError
from fedreg.domain.models import Finding, Severity
from fedreg_adapters.sagemaker.client import PAGE, Client


async def list_findings(client: Client) -> list[Finding]:
    """Address, credentials, each permission by a harmless read, bucket and inference image. Never raises."""
    findings = [await _check("address and permission sagemaker:ListModelPackageGroups", lambda: _list_groups(client))]
    if findings[0].severity is Severity.OK:
        findings += [
            await _check("permission sagemaker:ListModelPackages", lambda: _probe(client, "list_model_packages")),
            await _check("permission sagemaker:Search", lambda: _search(client)),
        ]
    findings.append(await _check("credentials", lambda: _identify(client), Severity.WARNING))
    findings += [await _bucket(client), _image(client)]
    return findings


async def _check(check: str, probe: Callable[[], Awaitable[str]], severity: Severity = Severity.ERROR) -> Finding:
    try:
        return Finding(check=check, severity=Severity.OK, message=await probe())
    except FedregError as error:
        return Finding(check=check, severity=severity, message=error.message, cure=error.cure)


async def _list_groups(client: Client) -> str:
    await client.call("list_model_package_groups", MaxResults=1)
    return f"SageMaker answers in {client.options.region or 'the default region'}"


async def _probe(client: Client, method: str) -> str:
    found, _ = await client.page("list_model_package_groups", "ModelPackageGroupSummaryList", None, MaxResults=1)
    if not found:
        return "no model to try it on yet"
    await client.call(method, ModelPackageGroupName=found[0]["ModelPackageGroupName"], MaxResults=1)
    await client.call("list_tags", ResourceArn=found[0]["ModelPackageGroupArn"], MaxResults=PAGE)
    return "allowed"


async def _search(client: Client) -> str:
    await client.call("search", Resource="ModelPackage", MaxResults=1)
    return "allowed"


async def _identify(client: Client) -> str:
    return f"acting as {(await client.call('get_caller_identity', service='sts'))['Arn']}"


async def _bucket(client: Client) -> Finding:
    check = "artifact_root"
    if client.options.artifact_root is None:
        return Finding(
            check=check,
            severity=Severity.WARNING,
            message="none is configured: bytes can't be uploaded",
            cure="set artifact_root: s3://bucket/prefix",
        )

    async def probe() -> str:
        async def request() -> None:
            async for _ in client.root.list("fedreg-doctor-probe"):
                return

        await client.s3("list", request)
        return f"{client.options.artifact_root} can be listed"

    try:
        return await _check(check, probe)
    except ConfigError as error:
        return Finding(check=check, severity=Severity.ERROR, message=error.message, cure=error.cure)


def _image(client: Client) -> Finding:
    if client.options.inference.image:
        return Finding(check="inference image", severity=Severity.OK, message=client.options.inference.image)
    return Finding(
        check="inference image",
        severity=Severity.WARNING,
        message="none is configured: new packages say where their bytes are but not how to serve them",
        cure="set inference: {image: <container image>}",
    )
