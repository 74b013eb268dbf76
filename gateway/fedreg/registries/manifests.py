"""Kinds of registries: a built-in table and the entry points of group `fedreg.adapters`.

Loading a manifest imports neither the adapter nor its SDK.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from fedreg.domain.errors import ConfigError
from fedreg.domain.port import AdapterManifest

ENTRY_POINT_GROUP = "fedreg.adapters"
BUILT_IN: Mapping[str, str] = {
    "azureml": "fedreg_adapters.azureml.manifest:MANIFEST",
    "memory": "fedreg_adapters.memory.manifest:MANIFEST",
    "huggingface": "fedreg_adapters.huggingface.manifest:MANIFEST",
    "mlflow": "fedreg_adapters.mlflow.manifest:MANIFEST",
    "sagemaker": "fedreg_adapters.sagemaker.manifest:MANIFEST",
    "vertex": "fedreg_adapters.vertex.manifest:MANIFEST",
}


def list_kinds() -> tuple[str, ...]:
    """Every known kind, sorted; nothing is imported."""
    return tuple(sorted({*BUILT_IN, *(entry.name for entry in _plugins())}))


@cache
def load_manifest(kind: str) -> AdapterManifest:
    """The manifest of a kind. ConfigError for an unknown one, or one that can't be loaded."""
    dotted = _find_manifest(kind)
    try:
        manifest = load_attribute(dotted)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"kind {kind!r}: its manifest {dotted} can't be loaded ({error})",
            cure="install the adapter's distribution again, or remove it",
        ) from error
    if not isinstance(manifest, AdapterManifest) or manifest.kind != kind:
        raise ConfigError(
            f"kind {kind!r}: {dotted} is no manifest of this kind",
            cure=f"an entry point of group {ENTRY_POINT_GROUP!r} names an AdapterManifest of the entry's own kind",
        )
    return manifest


def list_manifests() -> dict[str, AdapterManifest]:
    """The manifests of all kinds, by kind."""
    return {kind: load_manifest(kind) for kind in list_kinds()}


def distribution_of(kind: str) -> str:
    """The distribution that brings a kind, for `pip install`."""
    for entry in _plugins():
        if entry.name == kind and entry.dist is not None:
            return entry.dist.name
    return "fedreg"


def load_attribute(dotted: str) -> object:
    """What `package.module:attribute` names. ImportError or AttributeError where it isn't there."""
    module, _, attribute = dotted.partition(":")
    return getattr(importlib.import_module(module), attribute)


def nearest(word: str, known: tuple[str, ...]) -> str:
    """A cure naming the most similar known word, or all of them."""
    similar = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {similar[0]!r}?" if similar else f"known: {', '.join(known) or 'none'}"


def _find_manifest(kind: str) -> str:
    found = [entry.value for entry in _plugins() if entry.name == kind]
    if kind in BUILT_IN:
        found.append(BUILT_IN[kind])
    if not found:
        raise ConfigError(f"kind {kind!r} is unknown", cure=nearest(kind, list_kinds()))
    if len(found) > 1:
        raise ConfigError(
            f"kind {kind!r} is provided more than once: {', '.join(sorted(found))}",
            cure="uninstall all but one of them",
        )
    return found[0]


@cache  # each look reads the metadata of every installed distribution
def _plugins() -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=ENTRY_POINT_GROUP))
