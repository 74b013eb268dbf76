"""Ledgers of proofs: the quality.yaml beside a kind's manifest, part of the wheel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from importlib.util import find_spec
from typing import Any

import yaml

from fedreg.domain.errors import ConfigError
from fedreg.domain.proofs import Ledger, Proof, Proofs
from fedreg.registries.manifests import load_manifest

LEDGER = "quality.yaml"


@cache
def load_ledger(kind: str) -> Ledger:
    """The ledger of a kind; an empty one where it keeps none. ConfigError for an unknown kind or a damaged ledger."""
    package = load_manifest(kind).adapter.partition(":")[0].rpartition(".")[0]
    if not package or find_spec(package) is None:
        return Ledger()
    page = files(package).joinpath(LEDGER)
    if not page.is_file():
        return Ledger()
    try:
        return read_ledger(page.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"kind {kind!r}: {LEDGER} of {package} can't be read: {error}",
            cure="install the adapter's distribution again",
        ) from error


def read_ledger(text: str) -> Ledger:
    """A ledger from its YAML. ValueError for an unknown proof, TypeError or AttributeError for another shape."""
    page: Mapping[str, Any] = yaml.safe_load(text)
    return Ledger(
        suite=_proofs(page.get("suite") or ()),
        capabilities=_by_name(page.get("capabilities") or {}),
        access=_by_name(page.get("access") or {}),
        unproven={str(name): str(why) for name, why in (page.get("unproven") or {}).items()},
        exempt={str(name): str(why) for name, why in (page.get("exempt") or {}).items()},
    )


def _by_name(section: Mapping[str, Any]) -> dict[str, Proofs]:
    return {str(name): _proofs(proofs) for name, proofs in section.items()}


def _proofs(words: Iterable[str]) -> Proofs:
    return tuple(Proof(word) for word in words)
