"""What `fedreg doctor` finds at a SageMaker registry."""

from __future__ import annotations

from fedreg.domain.errors import ConfigError
from fedreg.domain.models import Finding, Severity
from fedreg_adapters.sagemaker.client import PAGE, Client
from fedreg_adapters.shared.findings import check

_BUCKET = "s3:ListBucket, s3:GetObject, s3:PutObject, s3:DeleteObject and s3:AbortMultipartUpload on the bucket"


async def list_findings(client: Client) -> list[Finding]:
    """Address, credentials, each permission by a harmless read, bucket and inference image. Never raises."""
    first = "sagemaker:ListModelPackageGroups"
    findings = [await check(f"address and permission {first}", lambda: _list_groups(client), needs=first)]
    if findings[0].severity is Severity.OK:
        findings += [
            await check("permission sagemaker:ListModelPackages", lambda: _list_packages(client)),
            await check("permission sagemaker:Search", lambda: _search(client), needs="sagemaker:Search"),
        ]
    findings.append(await check("credentials", lambda: _identify(client), Severity.WARNING))
    findings += [await _bucket(client), _image(client)]
    return findings


async def _list_groups(client: Client) -> str:
    await client.call("list_model_package_groups", MaxResults=1)
    return f"SageMaker answers in {client.options.region or 'the default region'}"


async def _list_packages(client: Client) -> str:
    found, _ = await client.page("list_model_package_groups", "ModelPackageGroupSummaryList", None, MaxResults=1)
    if not found:
        return "no model to try it on yet"
    await client.call("list_model_packages", ModelPackageGroupName=found[0]["ModelPackageGroupName"], MaxResults=1)
    await client.call("list_tags", ResourceArn=found[0]["ModelPackageGroupArn"], MaxResults=PAGE)
    return "allowed"


async def _search(client: Client) -> str:
    await client.call("search", Resource="ModelPackage", MaxResults=1)
    return "allowed"


async def _identify(client: Client) -> str:
    return f"acting as {(await client.call('get_caller_identity', service='sts'))['Arn']}"


async def _bucket(client: Client) -> Finding:
    name = "artifact_root"
    if client.options.artifact_root is None:
        return Finding(
            check=name,
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
        return await check(name, probe, needs=_BUCKET)
    except ConfigError as error:
        return Finding(check=name, severity=Severity.ERROR, message=error.message, cure=error.cure)


def _image(client: Client) -> Finding:
    if client.options.inference.image:
        return Finding(check="inference image", severity=Severity.OK, message=client.options.inference.image)
    return Finding(
        check="inference image",
        severity=Severity.WARNING,
        message="none is configured: new packages say where their bytes are but not how to serve them",
        cure="set inference: {image: <container image>}",
    )
