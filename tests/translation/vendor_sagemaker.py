"""SageMaker and S3 through boto3."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

from .facts import (
    ALIASES,
    AWKWARD,
    COMMENT,
    COMMIT,
    DESCRIPTION,
    FILES,
    METRICS,
    NAME,
    PARAMS,
    REPOSITORY,
    RUN,
    Found,
    Vendor,
    cut,
    flat,
    without,
)

Json = dict[str, Any]
STAGES = {"PreProduction": "staging", "Production": "production", "Archived": "archived"}
APPROVALS = {"PendingManualApproval": "pending", "Approved": "approved", "Rejected": "rejected"}
TAGS = {"team": "growth", "Owner Name": "Ada @ Bob"}  # what its alphabet has


class SageMaker(Vendor):
    title: ClassVar[str] = "SageMaker"
    places: ClassVar[Mapping[str, str]] = {
        "description": "`ModelPackageDescription`; property `fed:desc` once edited",
        "tags": "`CustomerMetadataProperties`",
        "metrics": "the JSON that `ModelMetrics` points to; the model card shows them",
        "params": "the JSON that `ModelMetrics` points to; the model card shows them",
        "provenance": "the JSON that `ModelMetrics` points to; `MetadataProperties`",
        "stage": "`ModelLifeCycle`",
        "aliases": "tags `fed:alias:*` of the group",
        "approval": "`ModelApprovalStatus`, `ApprovalDescription`",
        "model.description": "`ModelPackageGroupDescription`",
        "model.tags": "tags of the group",
        "files": "objects under `S3Uri`, or members of a tar.gz",
    }

    def __init__(self, client: Any, s3: Any, root: str, image: str) -> None:
        self.client, self.s3, self.image = client, s3, image
        self.bucket, _, self.prefix = root.removeprefix("s3://").partition("/")

    def seed(self) -> tuple[str, str]:
        root = f"{self.prefix}/by-hand"
        for path, data in {**FILES, **AWKWARD}.items():
            self.s3.put_object(Bucket=self.bucket, Key=f"{root}/files/{path}", Body=data)
        report = {"binary_classification_metrics": {name: {"value": value} for name, value in METRICS.items()}}
        self.s3.put_object(Bucket=self.bucket, Key=f"{root}/evaluation.json", Body=json.dumps(report).encode())
        held = {"domain": "retention", **{f"fed:alias:{alias}": "1" for alias in ALIASES}}
        tags = [{"Key": key, "Value": value} for key, value in held.items()]
        self.client.create_model_package_group(
            ModelPackageGroupName=NAME, ModelPackageGroupDescription="Who leaves, and when.", Tags=tags
        )
        place = {"S3Uri": f"s3://{self.bucket}/{root}/files/", "S3DataType": "S3Prefix", "CompressionType": "None"}
        statistics = {"ContentType": "application/json", "S3Uri": f"s3://{self.bucket}/{root}/evaluation.json"}
        job = {"user_provided_hyper_parameters": [{"name": name, "value": text} for name, text in PARAMS.items()]}
        card = {"training_details": {"training_job_details": job}}
        made = self.client.create_model_package(
            ModelPackageGroupName=NAME,
            ModelPackageDescription=DESCRIPTION,
            CustomerMetadataProperties=TAGS,
            ModelApprovalStatus="PendingManualApproval",
            MetadataProperties={"GeneratedBy": RUN, "CommitId": COMMIT, "Repository": REPOSITORY},
            ModelMetrics={"ModelQuality": {"Statistics": statistics}},
            ModelCard={"ModelCardContent": json.dumps(card), "ModelCardStatus": "Draft"},
            InferenceSpecification={
                "Containers": [{"Image": self.image, "ModelDataSource": {"S3DataSource": place}}],
                "SupportedContentTypes": ["text/csv"],
                "SupportedResponseMIMETypes": ["text/csv"],
            },
        )
        self.client.update_model_package(
            ModelPackageArn=made["ModelPackageArn"],
            ModelApprovalStatus="Approved",
            ApprovalDescription=COMMENT,
            ModelLifeCycle={"Stage": "Production", "StageStatus": "Approved"},
        )
        return NAME, str(made["ModelPackageArn"].rpartition("/")[2])

    def names(self) -> set[str]:
        pages = self.client.get_paginator("list_model_package_groups").paginate()
        return {group["ModelPackageGroupName"] for page in pages for group in page["ModelPackageGroupSummaryList"]}

    def read(self, model: str, version: str) -> Found:
        group = self.client.describe_model_package_group(ModelPackageGroupName=model)
        tags = self._tags(group["ModelPackageGroupArn"])
        arn = group["ModelPackageGroupArn"].replace(":model-package-group/", ":model-package/") + f"/{version}"
        package = self.client.describe_model_package(ModelPackageName=arn)
        properties = package.get("CustomerMetadataProperties", {})
        record = self._record(package)
        fields = flat(
            description=package.get("ModelPackageDescription"),
            tags=without(properties, ["fed:"]),
            metrics=record.get("metrics", {}),
            params=record.get("params") or _card_params(package),
            provenance=_provenance(package, record.get("provenance")),
            stage=STAGES.get(package.get("ModelLifeCycle", {}).get("Stage", "")),
            aliases={alias: True for alias, number in cut(tags, "fed:alias:").items() if number == version},
            approval=APPROVALS.get(package.get("ModelApprovalStatus", "")),
            approval_comment=package.get("ApprovalDescription"),
            model__description=group.get("ModelPackageGroupDescription"),
            model__tags=without(tags, ["fed:"]),
        )
        return Found(fields=fields, files=self._files(package), spelled={"model": model})

    def _tags(self, arn: str) -> dict[str, str]:
        pages = self.client.get_paginator("list_tags").paginate(ResourceArn=arn)
        return {tag["Key"]: tag["Value"] for page in pages for tag in page["Tags"]}

    def _record(self, package: Mapping[str, Any]) -> Json:
        uri = package.get("ModelMetrics", {}).get("ModelQuality", {}).get("Statistics", {}).get("S3Uri")
        if uri is None:
            return {}
        content: Json = json.loads(self._object(uri))
        if content.get("fedreg") == 1:
            return content
        groups = [group for name, group in content.items() if name.endswith("_metrics")]
        return {"metrics": {name: entry["value"] for group in groups for name, entry in group.items()}}

    def _object(self, uri: str) -> bytes:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        return bytes(self.s3.get_object(Bucket=bucket, Key=key)["Body"].read())

    def _files(self, package: Mapping[str, Any]) -> dict[str, bytes]:
        uri = _data_uri(package)
        if uri.endswith(".tar.gz"):
            with tarfile.open(fileobj=io.BytesIO(self._object(uri))) as archive:
                return {m.name: _content(archive, m) for m in archive.getmembers() if m.isfile()}
        bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        keys = [found["Key"] for page in pages for found in page.get("Contents", [])]
        return {key.removeprefix(prefix): self._object(f"s3://{bucket}/{key}") for key in keys}


def _data_uri(package: Mapping[str, Any]) -> str:
    [container] = package["InferenceSpecification"]["Containers"]
    source = container.get("ModelDataSource", {}).get("S3DataSource", {})
    return str(source.get("S3Uri") or container["ModelDataUrl"])


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    opened = archive.extractfile(member)
    assert opened is not None
    return opened.read()


def _card_params(package: Mapping[str, Any]) -> dict[str, str]:
    card = json.loads(package.get("ModelCard", {}).get("ModelCardContent") or "{}")
    job = card.get("training_details", {}).get("training_job_details", {})
    return {item["name"]: item["value"] for item in job.get("user_provided_hyper_parameters", ())}


def _provenance(package: Mapping[str, Any], recorded: Json | None) -> Json:
    known = package.get("MetadataProperties", {})
    own = {
        "run_id": known.get("GeneratedBy"),
        "git_commit": known.get("CommitId"),
        "git_repository": known.get("Repository"),
        "created_by": package.get("CreatedBy", {}).get("IamIdentity", {}).get("Arn"),
        "source_uri": _data_uri(package),
        "created_at": package["CreationTime"],
    }
    if recorded is not None:
        del own["created_by"]  # who made the copy
        extra = recorded.pop("extra", {})
        moment = datetime.fromisoformat(recorded.pop("created_at"))
        own |= {**recorded, "created_at": moment, **{f"extra.{name}": value for name, value in extra.items()}}
    return {name: value for name, value in own.items() if value}
