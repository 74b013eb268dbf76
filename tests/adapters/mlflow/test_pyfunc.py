"""A real model goes through the adapter file by file and still predicts the same numbers."""

from __future__ import annotations

import asyncio
from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient
from sklearn.linear_model import LinearRegression

from fedreg.domain.models import ModelDraft
from fedreg_adapters.mlflow.adapter import MlflowAdapter

from .server import MlflowServer
from .steps import read_all, unique, upload


@pytest.fixture
def tracking(server: MlflowServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        monkeypatch.setenv(name, server.url)  # mlflow sets them for good: this way they go with the test
    mlflow.set_tracking_uri(server.url)
    mlflow.set_registry_uri(server.url)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


@pytest.mark.oracle("upload")
@pytest.mark.usefixtures("tracking")
async def test_copied_model_predicts_the_same(prod: MlflowAdapter, client: MlflowClient, tmp_path: Path) -> None:
    inputs = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 7.0]])
    model = LinearRegression().fit(inputs, np.array([1.0, 2.5, 9.0]))
    mlflow.sklearn.save_model(model, str(tmp_path / "model"), pip_requirements=["scikit-learn"])
    files = {
        str(path.relative_to(tmp_path / "model")): path.read_bytes()
        for path in (tmp_path / "model").rglob("*")
        if path.is_file()
    }
    first = await upload(prod, files=files)
    second_name = unique()
    await prod.create_model(ModelDraft(name=second_name))
    second = await upload(prod, second_name, await read_all(prod, first))
    await prod.set_stage(second.id, "production")
    expected = model.predict(inputs)
    for uri in (f"models:/{second_name}/1", f"models:/{second_name}@production"):
        loaded = await asyncio.to_thread(mlflow.pyfunc.load_model, uri)
        assert np.array_equal(loaded.predict(inputs), expected)


@pytest.mark.oracle("list_files", "open_file")
@pytest.mark.usefixtures("tracking")
async def test_model_logged_by_them_is_read_whole(prod: MlflowAdapter, client: MlflowClient, tmp_path: Path) -> None:
    name = unique()

    def log() -> None:
        with mlflow.start_run():
            model = LinearRegression().fit([[0.0], [1.0]], [0.0, 2.0])
            mlflow.sklearn.log_model(model, name="clf", registered_model_name=name, pip_requirements=["scikit-learn"])

    await asyncio.to_thread(log)
    version = await prod.get_version(name, "1")
    ours = await read_all(prod, version)
    await asyncio.to_thread(mlflow.artifacts.download_artifacts, f"models:/{name}/1", dst_path=str(tmp_path))
    added = {"registered_model_meta"}  # by the client, to what it downloads
    theirs = {str(p.relative_to(tmp_path)): p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    assert ours == {path: data for path, data in theirs.items() if path not in added}
    assert "MLmodel" in ours
