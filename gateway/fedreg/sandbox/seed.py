"""Makes a sandbox's models with the vendors' own SDKs: scikit-learn through mlflow, and a group through boto3.

Run as `python -m fedreg.sandbox.seed` with the SDKs' variables set (see `Sandbox.env`).
"""

from __future__ import annotations

import logging

import boto3
import mlflow
import numpy as np
from mlflow.models import infer_signature
from sklearn.datasets import make_classification, make_regression
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB

ROWS = 400


def main() -> None:
    """Register `churn` (two versions), `fraud.detector_eu` (one) and, at SageMaker, `pricing` (one)."""
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    client = mlflow.MlflowClient()
    mlflow.set_experiment("training")
    features, target = make_classification(n_samples=ROWS, n_features=8, random_state=7)
    for strength in (0.001, 1.0):
        model = LogisticRegression(C=strength).fit(features, target)
        _register("churn", model, features, {"c": strength}, {"accuracy": model.score(features, target)})
    client.update_registered_model("churn", "Who is about to leave, monthly.")
    client.update_model_version("churn", "2", "Less regularised, trained on the data of Q3.")
    client.set_model_version_tag("churn", "2", "team", "growth")
    client.set_registered_model_alias("churn", "challenger", "2")
    bayes = GaussianNB().fit(features, target)
    _register("fraud.detector_eu", bayes, features, {"smoothing": 1e-9}, {"accuracy": bayes.score(features, target)})
    _register_pricing()
    print("registered churn v1 and v2, fraud.detector_eu v1 (MLflow) and pricing v1 (SageMaker)")  # noqa: T201


def _register(
    name: str, model: object, features: np.ndarray, params: dict[str, float], metrics: dict[str, float]
) -> None:
    with mlflow.start_run():
        mlflow.log_params(params)
        mlflow.log_metrics(metrics)
        mlflow.set_tag("mlflow.source.name", "train.py")
        mlflow.set_tag("mlflow.source.git.commit", "9fceb02d0ae598e95dc970b74767f19372d61af8")
        mlflow.log_input(mlflow.data.from_numpy(features, name=f"{name}-training"), context="training")  # type: ignore[attr-defined]
        mlflow.sklearn.log_model(
            model,
            name="model",
            signature=infer_signature(features, model.predict(features)),  # type: ignore[attr-defined]
            registered_model_name=name,
            pip_requirements=["scikit-learn"],
        )


def _register_pricing() -> None:
    features, target = make_regression(n_samples=ROWS, n_features=4, random_state=7)
    coefficients = Ridge().fit(features, target).coef_
    boto3.client("s3").put_object(
        Bucket="models-eu", Key="pricing/1/weights.csv", Body=",".join(map(str, coefficients))
    )
    sagemaker = boto3.client("sagemaker")
    sagemaker.create_model_package_group(
        ModelPackageGroupName="pricing", ModelPackageGroupDescription="Prices of the EU shop."
    )
    sagemaker.create_model_package(
        ModelPackageGroupName="pricing",
        ModelApprovalStatus="Approved",
        ModelLifeCycle={"Stage": "Production", "StageStatus": "Approved"},
        InferenceSpecification={
            "Containers": [
                {
                    "Image": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/sklearn:1.5",
                    "ModelDataSource": {
                        "S3DataSource": {
                            "S3Uri": "s3://models-eu/pricing/1/",
                            "S3DataType": "S3Prefix",
                            "CompressionType": "None",
                        }
                    },
                }
            ],
            "SupportedContentTypes": ["text/csv"],
            "SupportedResponseMIMETypes": ["text/csv"],
        },
    )


if __name__ == "__main__":
    main()
