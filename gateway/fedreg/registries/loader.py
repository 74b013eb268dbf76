"""Opening an adapter: its modules are checked, its code is imported and its requests are guarded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

from fedreg.domain.calls import Calls
from fedreg.domain.errors import ConfigError
from fedreg.domain.port import AdapterManifest, RegistryAdapter
from fedreg.registries.calls import GuardedCalls, Permit
from fedreg.registries.guard import GuardedAdapter
from fedreg.registries.manifests import distribution_of, list_manifests, load_attribute, load_manifest
from fedreg.registries.metrics import CallMetrics
from fedreg.registries.policy import CallPolicy

__all__ = ["guard_calls", "list_manifests", "load_adapter", "load_manifest", "open_adapter"]

AdapterFactory = Callable[[str, Any, Calls], RegistryAdapter]


async def open_adapter(
    name: str,
    kind: str,
    options: Any,
    policy: CallPolicy | None = None,
    *,
    metrics: CallMetrics | None = None,
    calls: Calls | None = None,
) -> GuardedAdapter:
    """Import, construct and open the adapter of one registry.

    `options` is an instance of the manifest's options dataclass. `calls` replaces the guard that is otherwise
    built from `policy`. Raises ConfigError where something is to be installed, and whatever the adapter's own
    `open()` raises, after closing it.
    """
    manifest = load_manifest(kind)
    if not isinstance(options, manifest.options):
        raise ConfigError(
            f"registry {name!r}: options are {type(options).__name__}, kind {kind!r} takes {manifest.options.__name__}",
            cure="give an instance of the manifest's options dataclass",
        )
    # an SDK may take seconds to import, and a while to be found: not on the event loop
    await asyncio.to_thread(check_modules, manifest)
    construct = await asyncio.to_thread(load_adapter, manifest)
    adapter = construct(name, options, calls or guard_calls(name, manifest, policy, metrics))
    try:
        await adapter.open()
    except BaseException:
        await adapter.aclose()
        raise
    return GuardedAdapter(adapter)


def guard_calls(
    name: str,
    manifest: AdapterManifest,
    policy: CallPolicy | None = None,
    metrics: CallMetrics | None = None,
    permit: Permit | None = None,
) -> GuardedCalls:
    """The guard of one registry; the kind declares the concurrency where the policy does not."""
    policy = policy or CallPolicy()
    concurrency = policy.concurrency or manifest.capabilities.concurrency
    return GuardedCalls(name, replace(policy, concurrency=concurrency), metrics=metrics, permit=permit)


def check_modules(manifest: AdapterManifest) -> None:
    """ConfigError naming the extra where a module that the kind needs is not installed. Imports none of them."""
    missing = [module for module in manifest.modules if not _is_installed(module)]
    if missing:
        distribution = distribution_of(manifest.kind)
        wanted = f"{distribution}[{manifest.extra}]" if manifest.extra else distribution
        raise ConfigError(
            f"kind {manifest.kind!r} needs {', '.join(missing)}, which is not installed",
            cure=f"pip install '{wanted}'",
        )


def load_adapter(manifest: AdapterManifest) -> AdapterFactory:
    """The adapter's class. ConfigError where its code can't be imported."""
    try:
        found: Any = load_attribute(manifest.adapter)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"kind {manifest.kind!r}: its adapter {manifest.adapter} can't be loaded ({error})",
            cure=f"install {distribution_of(manifest.kind)} again",
        ) from error
    factory: AdapterFactory = found
    return factory


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # a parent package is missing
        return False
