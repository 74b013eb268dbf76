"""The configured registries by name, each opened once, on first use."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from fedreg.domain.capabilities import Capabilities
from fedreg.domain.errors import NotFound, RegistryUnavailable
from fedreg.domain.port import AdapterManifest
from fedreg.registries.calls import GuardedCalls, Permit
from fedreg.registries.guard import GuardedAdapter
from fedreg.registries.loader import check_modules, guard_calls, open_adapter
from fedreg.registries.manifests import load_manifest, nearest
from fedreg.registries.metrics import CallMetrics
from fedreg.registries.policy import RegistryEntry

log = logging.getLogger(__name__)


class Federation:
    """Opens registries lazily. Concurrent first uses share one open; a failed one is tried again on the next use.

    A registry keeps its guard over failed opens, so that an open circuit stays open. Belongs to one event loop.
    """

    def __init__(
        self,
        registries: Mapping[str, RegistryEntry],
        *,
        metrics: CallMetrics | None = None,
        permit: Permit | None = None,
    ) -> None:
        """`permit` is asked before each write; see `GuardedCalls`."""
        self._registries = dict(registries)
        self._metrics = metrics or CallMetrics()
        self._permit = permit
        self._calls: dict[str, GuardedCalls] = {}
        self._opening: dict[str, asyncio.Task[GuardedAdapter]] = {}
        self._open: dict[str, GuardedAdapter] = {}
        self._closed = False

    def names(self) -> tuple[str, ...]:
        """Names in the order of the configuration."""
        return tuple(self._registries)

    @property
    def kinds(self) -> dict[str, str]:
        """Registry -> kind."""
        return {name: entry.kind for name, entry in self._registries.items()}

    def kind(self, name: str) -> str:
        """The kind of a registry. Raises NotFound."""
        return self._entry(name).kind

    def manifest(self, name: str) -> AdapterManifest:
        """The manifest of a registry's kind; nothing is opened. Raises NotFound."""
        return load_manifest(self._entry(name).kind)

    async def get(self, name: str) -> GuardedAdapter:
        """The open adapter of a registry.

        Raises NotFound for a registry that is not configured, and what opening it raises.
        """
        adapter = self._open.get(name)
        if adapter is not None:
            return adapter
        entry = self._entry(name)
        if self._closed:
            raise _shutting_down(name)
        opening = self._opening.get(name)
        if opening is None:
            opening = self._opening[name] = asyncio.create_task(self._open_entry(name, entry), name=f"open {name}")
        # one caller that gives up must not take the registry from the others
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if opening.cancelled() and task is not None and not task.cancelling():
                raise _shutting_down(name) from None
            raise

    async def capabilities(self, name: str) -> Capabilities:
        """What a registry can do. Its adapter is loaded and opened only where the options don't tell.

        Raises NotFound for a registry that is not configured, ConfigError for options that can't be meant or a
        missing SDK, and what opening it raises.
        """
        entry, manifest = self._entry(name), self.manifest(name)
        if name in self._open or manifest.narrow is None:
            return (await self.get(name)).capabilities
        await asyncio.to_thread(check_modules, manifest)
        return manifest.narrow(entry.options)

    async def aclose(self) -> None:
        """Close all that is open and stop what is opening. Failures are logged. Safe to call twice."""
        self._closed = True
        opening = list(self._opening.values())
        for task in opening:
            task.cancel()
        await asyncio.gather(*opening, return_exceptions=True)
        adapters, self._open = self._open, {}
        results = await asyncio.gather(*(adapter.aclose() for adapter in adapters.values()), return_exceptions=True)
        for name, result in zip(adapters, results, strict=True):
            if isinstance(result, BaseException):
                log.warning("registry %r did not close cleanly: %s", name, type(result).__name__)

    async def _open_entry(self, name: str, entry: RegistryEntry) -> GuardedAdapter:
        try:
            calls = self._calls.get(name)
            if calls is None:
                manifest = load_manifest(entry.kind)
                calls = self._calls[name] = guard_calls(name, manifest, entry.calls, self._metrics, self._permit)
            adapter = self._open[name] = await open_adapter(name, entry.kind, entry.options, calls=calls)
            return adapter
        finally:
            del self._opening[name]

    def _entry(self, name: str) -> RegistryEntry:
        entry = self._registries.get(name)
        if entry is None:
            raise NotFound(
                f"registry {name!r} is not configured",
                registry=name,
                cure=nearest(name, self.names()),
                details={"candidates": list(self.names())},
            )
        return entry


def _shutting_down(name: str) -> RegistryUnavailable:
    return RegistryUnavailable("the gateway is shutting down", registry=name, cure="try again later")
