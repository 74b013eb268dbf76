"""Which real registry the conformance suite runs on: one of a configuration file, named by the environment."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any

from fedreg.domain.capabilities import Capabilities
from fedreg.domain.errors import FedregError
from fedreg.domain.models import Finding, Severity
from fedreg.domain.port import AdapterManifest, RegistryAdapter
from fedreg.registries.manifests import load_manifest
from fedreg.registries.policy import RegistryEntry
from fedreg.settings import load_settings
from fedreg.testing.live import PREFIX, LiveBackend, new_run

CONFIG, REGISTRY, KIND = "FEDREG_LIVE_CONFIG", "FEDREG_LIVE_REGISTRY", "FEDREG_LIVE_KIND"


class NotChosen(Exception):
    """There is no registry to run on; the text says what to set."""


@dataclass(frozen=True)
class Chosen:
    """A registry that answered, and what it allows."""

    name: str
    entry: RegistryEntry
    manifest: AdapterManifest
    capabilities: Capabilities
    run: str

    def backend(self) -> LiveBackend:
        return LiveBackend(self.name, self.manifest, self.entry.options, self.entry.calls, self.run)


def choose(env: Mapping[str, str]) -> Chosen:
    """The registry that the environment names, after it answered. NotChosen says what is missing."""
    kind = env.get(KIND, "")
    if kind in ("", "all"):
        raise NotChosen("LIVE=1 runs on one kind: make conformance kind=mlflow LIVE=1")
    try:
        manifest = load_manifest(kind)
        if not env.get(CONFIG):
            raise NotChosen(_what_to_set(manifest))
        name, entry = _find(env, kind)
        run = new_run()
        backend = LiveBackend(name, manifest, entry.options, entry.calls, run)
        return Chosen(name, entry, manifest, asyncio.run(_ask(backend)), run)
    except FedregError as error:
        raise NotChosen(f"{error}\n{error.cure or ''}".rstrip()) from error


def _find(env: Mapping[str, str], kind: str) -> tuple[str, RegistryEntry]:
    registries = load_settings(env[CONFIG], env).registries
    of_kind = {name: entry for name, entry in registries.items() if entry.kind == kind}
    wanted = env.get(REGISTRY)
    if wanted in of_kind:
        return wanted, of_kind[wanted]
    known = f"those of kind {kind} in {env[CONFIG]} are {_names(of_kind)}"
    if wanted:
        raise NotChosen(f"{REGISTRY}: there is no registry {wanted!r}; {known}")
    if len(of_kind) != 1:
        raise NotChosen(f"{REGISTRY} is not set, and there is not one registry to take; {known}")
    return next(iter(of_kind.items()))


async def _ask(backend: LiveBackend) -> Capabilities:
    """What the registry allows. NotChosen with the doctor's findings where it does not answer."""
    adapter = await backend.open_adapter()
    try:
        await adapter.ping()
        return adapter.capabilities
    except FedregError as error:
        raise NotChosen(f"registry {backend.registry!r} can't be used: {error}\n{await _findings(adapter)}") from error
    finally:
        await adapter.aclose()


async def _findings(adapter: RegistryAdapter) -> str:
    def line(found: Finding) -> str:
        return f"  {found.check}: {found.message}" + (f"\n    -> {found.cure}" if found.cure else "")

    return "\n".join(line(found) for found in await adapter.diagnose() if found.severity is not Severity.OK)


def _what_to_set(manifest: AdapterManifest) -> str:
    required = [f.name for f in fields(manifest.options) if f.default is MISSING and f.default_factory is MISSING]
    return (
        f"LIVE=1 runs the conformance suite on a real registry of kind {manifest.kind}. Set\n"
        f"  {CONFIG}    a fedreg.yaml with a registry of this kind"
        f" ({_required(required)}docs/adapters/{manifest.kind}.md has its options)\n"
        f"  {REGISTRY}  the registry's name in it, where it has several of this kind\n"
        f"The suite makes models named {PREFIX}… there, with files of up to 9 MiB, and deletes them at the end."
    )


def _required(names: list[Any]) -> str:
    return f"required: {', '.join(names)}; " if names else ""


def _names(registries: Mapping[str, Any]) -> str:
    return ", ".join(registries) or "none"
