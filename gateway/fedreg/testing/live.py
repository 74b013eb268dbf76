"""A backend for a real account: what the suite makes there it names recognisably, and deletes again.

Faults can't be put before a real registry, nor bytes changed behind its back: tests that need it are skipped with a
reason that begins with `live: `, and the plugin's summary counts them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from itertools import count
from secrets import token_hex
from typing import Any, NoReturn

import pytest

from fedreg.domain.calls import Calls
from fedreg.domain.capabilities import Operation
from fedreg.domain.errors import Conflict, FedregError, NotFound
from fedreg.domain.lineage import Relation
from fedreg.domain.models import Version
from fedreg.domain.port import AdapterManifest, RegistryAdapter
from fedreg.registries.calls import GuardedCalls
from fedreg.registries.loader import check_modules, load_adapter
from fedreg.registries.policy import CallPolicy
from fedreg.testing import steps
from fedreg.testing.backend import Backend, Pushed, Traffic
from fedreg.testing.plugin import LIVE

PREFIX = "fedreg-live-"
_names = count(1)


def new_run() -> str:
    """What the names of one run's models begin with: `fedreg-live-` and six characters of its own."""
    return f"{PREFIX}{token_hex(3)}"


class LiveBackend(Backend):
    """A registry as its configuration says, with requests paced by its `calls:`."""

    big_file = 9 * 1024 * 1024 + 17

    def __init__(self, registry: str, manifest: AdapterManifest, options: Any, policy: CallPolicy, run: str) -> None:
        self.manifest, self.run = manifest, run
        self.deadline = policy.deadline
        self.secrets = _secrets(options)
        self._registry, self._options, self._policy = registry, options, policy

    @property
    def registry(self) -> str:
        return self._registry

    async def open_adapter(self, calls: Calls | None = None) -> RegistryAdapter:
        check_modules(self.manifest)
        adapter = load_adapter(self.manifest)(self.registry, self._options, calls or self.make_calls())
        try:
            await adapter.open()
        except BaseException:
            await adapter.aclose()
            raise
        return adapter

    def make_calls(self, *, deadline: float | None = None) -> Calls:
        """The gateway's own guard; its circuit stays closed, so that one test's trouble is not the next one's."""
        concurrency = self._policy.concurrency or self.manifest.capabilities.concurrency
        policy = replace(self._policy, breaker_threshold=1000, concurrency=concurrency)
        return GuardedCalls(self.registry, policy if deadline is None else replace(policy, deadline=deadline))

    def unique_name(self, hint: str = "model") -> str:
        return f"{self.run}-{hint[:10]}-{next(_names)}-{token_hex(2)}"

    async def place(self, files: Mapping[str, bytes]) -> str:
        """Bytes that are in place because another version was uploaded."""
        adapter = await self.open_adapter()
        try:
            return str((await steps.new_version(adapter, self, files=files)).artifact_uri)
        finally:
            await adapter.aclose()

    async def traffic(self) -> Traffic:
        _skip("bytes on the way to a real registry are not counted")

    async def tamper(self, version: Version, path: str) -> None:
        _skip("stored bytes can't be changed behind a real registry's back")

    async def plant(self, version: Version, path: str) -> bool:
        _skip("nothing is stored behind a real registry's back")

    async def hostile_archives(self) -> Sequence[Version]:
        _skip("nothing is stored behind a real registry's back")

    async def seed_lineage(self, version: Version) -> Sequence[Relation]:
        _skip("runs and datasets are made past the adapter, by the vendor's other services")

    async def seed_deployment(self, version: Version) -> str:
        _skip("a deployment costs money")

    def pushed(self, version: Version) -> Pushed:
        _skip("events come from the registry, to an address that it can reach")

    def forged(self, version: Version) -> Sequence[Pushed]:
        _skip("events come from the registry, to an address that it can reach")


async def delete_models(adapter: RegistryAdapter, run: str) -> list[str]:
    """Delete the models of a run; returns those that are left, each with the reason."""
    left = []
    for model in await steps.all_models(adapter, contains=run):
        if not adapter.capabilities.supports(Operation.DELETE_MODEL):
            left.append(f"{model.name}: this registry deletes nothing")
            continue
        try:
            await _delete(adapter, model.name)
        except FedregError as error:
            left.append(f"{model.name}: {error}")
    return left


async def _delete(adapter: RegistryAdapter, model: str) -> None:
    try:
        await adapter.delete_model(model)
    except NotFound:
        return
    except Conflict:  # a registry that deletes empty models only
        for version in await steps.all_versions(adapter, model):
            await adapter.delete_version(model, version.version)
        await adapter.delete_model(model)


def _secrets(options: Any) -> tuple[str, ...]:
    """The texts of an options dataclass that its repr leaves out."""
    values = [getattr(options, field.name) for field in fields(options) if not field.repr]
    return tuple(value for value in values if isinstance(value, str) and value)


def _skip(reason: str) -> NoReturn:
    pytest.skip(f"{LIVE}{reason}")
