"""What the files of a copy are good for: models predict the same everywhere, the Hub's card says what is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from huggingface_hub import ModelCard
from sklearn.linear_model import LinearRegression

from fedreg.client.blocking import Client
from fedreg.domain.refs import Ref

from .facts import CARD, COMMIT, MANIFEST
from .vendor_huggingface import Hub
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


WEIGHTS = {"weights.bin": b"\0\1"}
KNOWN = {"license": "apache-2.0", "base_model": "acme/base", "datasets": "acme/one, acme/two", "team": "growth"}
EVALUATED = {"task": "tabular-classification", "dataset": "Customers", "dataset_type": "acme/customers"}


class Cards:
    """Copies of versions made in MLflow, and their cards as huggingface_hub reads them."""

    def __init__(self, world: World, fed: Client) -> None:
        source, hub = world.vendors["mlflow"], world.vendors["huggingface"]
        assert isinstance(source, Mlflow) and isinstance(hub, Hub)
        self.source, self.hub, self.fed = source, hub, fed

    def copy(
        self, name: str, files: Mapping[str, bytes], tags: Mapping[str, str], metrics: Mapping[str, float]
    ) -> tuple[Any, dict[str, bytes]]:
        """The card of the copy, and all its files."""
        self.source.client.create_registered_model(name)
        self.source.make_version(name, files, tags, metrics, {"depth": "3"} if metrics else {}, tags.get("note"))
        self.fed.copy(f"mlflow:{name}@version:1", Ref("huggingface", name))
        found = self.hub.files(name, "v1")
        return ModelCard(found["README.md"].decode()), found


@pytest.fixture
def cards(world: World, fed: Client) -> Cards:
    return Cards(world, fed)


def test_a_card_says_what_the_source_knows(cards: Cards) -> None:
    card, files = cards.copy("card-known", WEIGHTS, {**KNOWN, "note": "trained on Monday"}, {"auc": 0.5})
    assert card.data.to_dict() == {
        "license": "apache-2.0",
        "base_model": "acme/base",
        "datasets": ["acme/one", "acme/two"],
        "metrics": ["auc"],
    }
    said = ("# card-known", "Version `v1`", "trained on Monday", "| auc | 0.5 |", "| depth | 3 |", COMMIT)
    for text in (*said, "| copied_from | mlflow:card-known@version:1 |"):
        assert text in card.text
    assert files["weights.bin"] == WEIGHTS["weights.bin"]
    version = cards.fed.version("huggingface:card-known@version:v1")
    assert version.provenance.extra["license"] == "apache-2.0"
    assert dict(version.tags) == {**KNOWN, "note": "trained on Monday"}


def test_results_with_task_and_dataset_are_in_the_index(cards: Cards) -> None:
    card, _ = cards.copy("card-evaluated", WEIGHTS, EVALUATED, {"auc": 0.5})
    [result] = card.data.eval_results
    assert (result.task_type, result.dataset_name, result.dataset_type) == tuple(EVALUATED.values())
    assert (result.metric_type, result.metric_value) == ("auc", 0.5)


def test_nothing_is_invented(cards: Cards) -> None:
    card, _ = cards.copy("card-bare", WEIGHTS, {}, {})
    assert card.data.to_dict() == {}
    for text in ("license", "base_model", "## Metrics", "## Parameters"):
        assert text not in card.content


def test_a_card_of_the_source_stays_as_it_is(cards: Cards) -> None:
    card, files = cards.copy("card-own", {**WEIGHTS, "README.md": CARD.encode()}, {"license": "other"}, {"loss": 1.0})
    assert files["README.md"] == CARD.encode()
    assert card.data.license == "mit" and card.data.eval_results is not None
    version = cards.fed.version("huggingface:card-own@version:v1")
    assert dict(version.metrics) == {"loss": 1.0}, "what was measured is beside the card, in the commit"
    report = cards.fed.check("mlflow:card-own@version:1", "huggingface:card-own@version:v1", download=True)
    assert report.same
