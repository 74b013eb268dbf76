"""A model that MLflow made goes round all registries, and predicts the same numbers wherever it stands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from fedreg.client.blocking import Client
from fedreg.domain.refs import Ref

from .facts import MANIFEST
from .vendor_mlflow import Mlflow, place_files
from .world import TWIN, World

MODEL = "pyfunc"
# registry, packaging; the copy is made from the one before, the first from MLflow
ROUTE = (
    ("sagemaker", "tar.gz"),
    ("sagemaker" + TWIN, "files"),
    ("vertex", "files"),
    ("azureml", "files"),
    ("azureml-registry", "files"),
    ("huggingface", "files"),
    ("mlflow" + TWIN, "files"),
)
INPUTS = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 7.0]])
Predict = Callable[[str], Any]


@pytest.fixture
def predict(world: World, monkeypatch: pytest.MonkeyPatch) -> Predict:
    """What the model at a directory or a URI of MLflow says of the inputs."""
    server = world.vendors["mlflow"]
    assert isinstance(server, Mlflow)
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        monkeypatch.setenv(name, server.url)  # mlflow sets them for good: this way they go with the test
    mlflow.set_tracking_uri(server.url)
    mlflow.set_registry_uri(server.url)
    return lambda place: mlflow.pyfunc.load_model(place).predict(INPUTS)


def test_round_trip(world: World, fed: Client, predict: Predict, tmp_path: Path) -> None:
    server = world.vendors["mlflow"]
    assert isinstance(server, Mlflow)
    model = LinearRegression().fit(INPUTS, np.array([1.0, 2.5, 9.0]))
    expected = model.predict(INPUTS)
    mlflow.sklearn.save_model(model, str(tmp_path / "saved"), pip_requirements=["scikit-learn"])
    files = read_directory(tmp_path / "saved")
    server.client.create_registered_model(MODEL)
    server.make_version(MODEL, files, {}, {}, {})
    ref = Ref("mlflow", MODEL).at_version("1")
    digests = set()
    for registry, packaging in ROUTE:
        vendor = world.vendors[registry.removesuffix(TWIN)]
        before = vendor.names()
        report = fed.copy(ref, Ref(registry, f"{MODEL} at {registry}"), packaging=packaging)
        digests.add(report.digest)
        [native] = vendor.names() - before
        ref = Ref.parse(report.target)
        assert ref.selector is not None
        found = vendor.read(native, ref.selector.value).files
        place_files(found, tmp_path / registry)
        assert {path: data for path, data in found.items() if path != MANIFEST} == files
        assert np.array_equal(predict(str(tmp_path / registry)), expected)
    assert np.array_equal(predict(f"models:/{native}/1"), expected)
    fed.download(ref, tmp_path / "downloaded")
    assert np.array_equal(predict(str(tmp_path / "downloaded")), expected)
    assert len(digests) == 1


def read_directory(root: Path) -> Mapping[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}
