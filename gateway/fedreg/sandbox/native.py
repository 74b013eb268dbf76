"""Shows a model as its registry's own SDK shows it: `python -m fedreg.sandbox.native mlflow|sagemaker|predict …`."""

from __future__ import annotations

import json
import sys

import boto3
import mlflow
import numpy as np


def show_mlflow(model: str, alias: str) -> None:
    """What MlflowClient says an alias points at."""
    version = mlflow.MlflowClient().get_model_version_by_alias(model, alias)
    print(f"models:/{model}@{alias} -> version {version.version}, aliases {sorted(version.aliases)}")  # noqa: T201


def show_sagemaker(group: str, version: str) -> None:
    """What boto3 says of a package's two axes and its bytes."""
    client = boto3.client("sagemaker")
    packages = client.list_model_packages(ModelPackageGroupName=group)["ModelPackageSummaryList"]
    arn = next(p["ModelPackageArn"] for p in packages if str(p["ModelPackageVersion"]) == version)
    package = client.describe_model_package(ModelPackageName=arn)
    shown = {key: package.get(key) for key in ("ModelLifeCycle", "ModelApprovalStatus", "ApprovalDescription")}
    source = package["InferenceSpecification"]["Containers"][0].get("ModelDataSource", {})
    print(json.dumps({"ModelPackageArn": arn, **shown, "S3Uri": source.get("S3DataSource", {}).get("S3Uri")}, indent=1))  # noqa: T201


def compare_predictions(model_uri: str, directory: str) -> None:
    """Load a model from its registry and from a directory, and let both predict the same rows."""
    rows = np.random.default_rng(7).normal(size=(200, 8))
    original = mlflow.pyfunc.load_model(model_uri).predict(rows)
    copied = mlflow.pyfunc.load_model(directory).predict(rows)
    same = bool((original == copied).all())
    print(f"{len(rows)} predictions of the original and of the copy: {'equal' if same else 'DIFFERENT'}")  # noqa: T201
    if not same:
        sys.exit(1)


if __name__ == "__main__":
    actions = {"mlflow": show_mlflow, "sagemaker": show_sagemaker, "predict": compare_predictions}
    actions[sys.argv[1]](*sys.argv[2:])
