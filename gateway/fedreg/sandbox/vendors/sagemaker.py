"""boto3: a model package group, and a package with its bytes in S3."""

from __future__ import annotations

import json

import boto3
import numpy as np

from fedreg.sandbox.servers import BUCKET, REGION


def seed() -> str:
    """Make the group `pricing` with one package."""
    features = np.random.default_rng(7).normal(size=(400, 4))
    coefficients, *_ = np.linalg.lstsq(features, features @ np.array([9.5, 3.0, -1.25, 0.5]))
    boto3.client("s3").put_object(Bucket=BUCKET, Key="pricing/1/weights.csv", Body=",".join(map(str, coefficients)))
    sagemaker = boto3.client("sagemaker")
    sagemaker.create_model_package_group(
        ModelPackageGroupName="pricing", ModelPackageGroupDescription="Prices of the EU shop."
    )
    source = {"S3Uri": f"s3://{BUCKET}/pricing/1/", "S3DataType": "S3Prefix", "CompressionType": "None"}
    sagemaker.create_model_package(
        ModelPackageGroupName="pricing",
        ModelApprovalStatus="Approved",
        ModelLifeCycle={"Stage": "Production", "StageStatus": "Approved"},
        InferenceSpecification={
            "Containers": [
                {
                    "Image": f"123456789012.dkr.ecr.{REGION}.amazonaws.com/sklearn:1.5",
                    "ModelDataSource": {"S3DataSource": source},
                }
            ],
            "SupportedContentTypes": ["text/csv"],
            "SupportedResponseMIMETypes": ["text/csv"],
        },
    )
    return "boto3: registered pricing v1"


def set_stage(group: str, version: str, stage: str) -> str:
    """Give a package a stage, as somebody does who does not know of the gateway."""
    arn = _find(group, version)
    boto3.client("sagemaker").update_model_package(
        ModelPackageArn=arn, ModelLifeCycle={"Stage": stage, "StageStatus": "Approved"}
    )
    return f"boto3: {arn.rpartition(':')[2]} is {stage}"


def _find(group: str, version: str) -> str:
    packages = boto3.client("sagemaker").list_model_packages(ModelPackageGroupName=group)["ModelPackageSummaryList"]
    return str(next(p["ModelPackageArn"] for p in packages if str(p["ModelPackageVersion"]) == version))


def show(group: str, version: str) -> str:
    """What boto3 says of a package's two axes and its bytes."""
    client = boto3.client("sagemaker")
    arn = _find(group, version)
    package = client.describe_model_package(ModelPackageName=arn)
    shown = {key: package.get(key) for key in ("ModelLifeCycle", "ModelApprovalStatus", "ApprovalDescription")}
    source = package["InferenceSpecification"]["Containers"][0].get("ModelDataSource", {})
    return json.dumps({"ModelPackageArn": arn, **shown, "S3Uri": source.get("S3DataSource", {}).get("S3Uri")}, indent=1)
