"""MLflow's own client: scikit-learn models, trained, logged and registered."""

from __future__ import annotations

import logging

import mlflow
import numpy as np
from mlflow.models import infer_signature

ROWS = 400


def seed() -> str:
    """Register `churn` (two versions) and `fraud.detector_eu` (one)."""
    from sklearn.datasets import make_classification  # a second or two, which `show` can do without
    from sklearn.linear_model import LogisticRegression
    from sklearn.naive_bayes import GaussianNB

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
    return "mlflow: registered churn v1 and v2, fraud.detector_eu v1"


def show(model: str, alias: str) -> str:
    """What MlflowClient says an alias points at."""
    version = mlflow.MlflowClient().get_model_version_by_alias(model, alias)
    return f"models:/{model}@{alias} -> version {version.version}, aliases {sorted(version.aliases)}"


def compare_predictions(model_uri: str, directory: str) -> str:
    """Load a model from its registry and from a directory, and let both predict the same rows. Raises SystemExit."""
    rows = np.random.default_rng(7).normal(size=(200, 8))
    original = mlflow.pyfunc.load_model(model_uri).predict(rows)
    copied = mlflow.pyfunc.load_model(directory).predict(rows)
    if not (original == copied).all():
        raise SystemExit(f"{len(rows)} predictions of the original and of the copy: DIFFERENT")
    return f"{len(rows)} predictions of the original and of the copy: equal"


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
