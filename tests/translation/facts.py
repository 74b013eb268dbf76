"""What the sources hold, and what a reader finds: fields by the names that fidelity reports use."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

NAME = "churn"
DESCRIPTION = "trained on Monday, with the leavers of Zürich"
MODEL_DESCRIPTION = "Who leaves, and when. " * 60  # 1320 characters: more than SageMaker holds
TAGS = {"team": "growth", "Owner Name": "Ada & Bob"}  # the second one is no label of Vertex
ODD_TAGS = {"2nd team": "ops", "R&D": "yes"}  # keys that only Azure ML takes
MODEL_TAGS = {"domain": "retention", "Cost Center": "R&D"}
METRICS = {"auc": 0.9375, "log loss": 0.25}
ODD_METRICS = {"recall@5 (macro)": 0.5}  # no name for a metric of a run
PARAMS = {"max_depth": "3", "objective": "binary:logistic"}
STAGE, ALIASES = "production", ("champion", "_shadow")  # the second one is no branch of the Hub
APPROVED, COMMENT = "approved", "board of 3 May"
RUN, COMMIT, REPOSITORY = "run-17", "9fceb02d0ae598e95dc970b74767f19372d61af8", "https://git.example.com/churn.git"
CARD = """---
license: mit
base_model: acme/base
datasets:
- acme/customers
tags:
- churn
- tabular
model-index:
- name: churn
  results:
  - task:
      type: tabular-classification
    dataset:
      name: customers
      type: acme/customers
    metrics:
    - type: auc
      value: 0.9375
---

# Churn

Written by hand.
"""
MANIFEST = ".fedreg/manifest.json"
FILES: Mapping[str, bytes] = {
    "model.pkl": b"\x80\x05" + bytes(range(256)) * 40,
    "config/train.json": b'{"depth": 3}',
    "config/deep/er/notes.txt": b"nested\n",
    "data/größe der kunden.csv": "größe\n1\n".encode(),
    "data/日本/名.txt": "名\n".encode(),
    "empty.bin": b"",
}
# MLflow's artifact proxy would change this name: there it is stored under another one.
AWKWARD = {"data/100% #1.txt": b"awkward\n"}


@dataclass(frozen=True, kw_only=True)
class Found:
    """A version as the vendor's own SDK shows it.

    `fields` has what is there and nothing else, by the names of fidelity reports (`tags.team`, `model.description`).
    `spelled` is field -> the registry's spelling, for names that can differ from ours.
    """

    fields: Mapping[str, Any]
    files: Mapping[str, bytes]
    spelled: Mapping[str, str] = field(default_factory=dict)

    def sums(self) -> dict[str, str]:
        """sha256 of every file but the manifest that a copy writes last."""
        return {p: hashlib.sha256(data).hexdigest() for p, data in self.files.items() if p != MANIFEST}


class Vendor(ABC):
    """One registry, driven by its vendor's SDK alone.

    `places` says of each group of fields where this reader finds it: the left part is the start of field names.
    """

    title: ClassVar[str]
    places: ClassVar[Mapping[str, str]]

    @abstractmethod
    def seed(self) -> tuple[str, str]:
        """Make model and version with everything the registry has a place for; their native names."""

    @abstractmethod
    def names(self) -> set[str]:
        """The native names of all models."""

    @abstractmethod
    def read(self, model: str, version: str) -> Found:
        """A version by its native names."""


def flat(**groups: Any) -> dict[str, Any]:
    """Fields by name: of a mapping each key is a field, and what is None or empty is no field at all."""
    found: dict[str, Any] = {}
    for group, value in groups.items():
        name = group.replace("__", ".")
        if isinstance(value, Mapping):
            found |= {f"{name}.{key}": inner for key, inner in value.items()}
        elif value not in (None, ""):
            found[name] = value
    return found


def without(held: Mapping[str, str], prefixes: Iterable[str]) -> dict[str, str]:
    """What does not begin with one of the prefixes."""
    return {key: value for key, value in held.items() if not key.startswith(tuple(prefixes))}


def cut(held: Mapping[str, str], prefix: str) -> dict[str, str]:
    """What begins with the prefix, without it."""
    return {key.removeprefix(prefix): value for key, value in held.items() if key.startswith(prefix)}
