"""The model card of a copy at the Hub: what its source knows and nothing else; a card that is there stays as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from huggingface_hub import ModelCard

from fedreg.client.blocking import Client
from fedreg.domain.refs import Ref

from .facts import CARD, COMMIT
from .vendor_huggingface import Hub
from .vendor_mlflow import Mlflow
from .world import World

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
