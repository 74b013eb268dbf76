"""The blocking interface: the async one on an event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Collection, Coroutine, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from fedreg.client.local import LocalClient, Progress, open_local
from fedreg.domain.models import Version
from fedreg.domain.records import Intent, InventoryQuery, JournalEntry
from fedreg.domain.refs import Ref
from fedreg.domain.reports import (
    CheckReport,
    CopyReport,
    DownloadReport,
    Inventory,
    LineageGraph,
    ModelView,
    PromotionReport,
    RegistryView,
    VersionView,
)
from fedreg.settings import Settings

T = TypeVar("T")


class Client:
    """A context manager with the methods of `LocalClient`, each blocking until done. One thread at a time."""

    def __init__(self, opening: AbstractAsyncContextManager[LocalClient]) -> None:
        self._opening = opening
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fedreg-client", daemon=True)
        self._client: LocalClient

    def __enter__(self) -> Client:
        self._thread.start()
        try:
            self._client = self._run(self._opening.__aenter__())
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._run(self._opening.__aexit__(kind, error, trace))
        finally:
            self._stop()

    def registries(self, *, ping: bool = True) -> list[RegistryView]:
        """As LocalClient.registries."""
        return self._run(self._client.registries(ping=ping))

    def inventory(self, query: InventoryQuery, *, versions: bool = False, refresh: bool = False) -> Inventory:
        """As LocalClient.inventory."""
        return self._run(self._client.inventory(query, versions=versions, refresh=refresh))

    def versions(self, *, registry: str, stage: str | None = None, model: str | None = None) -> list[Version]:
        """As LocalClient.versions."""
        return self._run(self._client.versions(registry=registry, stage=stage, model=model))

    def show(self, ref: Ref | str) -> ModelView | VersionView:
        """As LocalClient.show."""
        return self._run(self._client.show(ref))

    def lineage(
        self, ref: Ref | str, *, upstream: bool = True, downstream: bool = True, depth: int = 10
    ) -> LineageGraph:
        """As LocalClient.lineage."""
        return self._run(self._client.lineage(ref, upstream=upstream, downstream=downstream, depth=depth))

    def history(self, ref: Ref | str, *, limit: int = 1000) -> list[JournalEntry]:
        """As LocalClient.history."""
        return self._run(self._client.history(ref, limit=limit))

    def copy(
        self,
        source: Ref | str,
        target: Ref | str,
        *,
        allow_lossy: Iterable[str] | None = None,
        packaging: str | None = None,
        reason: str | None = None,
        progress: Progress | None = None,
    ) -> CopyReport:
        """As LocalClient.copy."""
        return self._run(
            self._client.copy(
                source, target, allow_lossy=allow_lossy, packaging=packaging, reason=reason, progress=progress
            )
        )

    def check(self, source: Ref | str, target: Ref | str, *, download: bool = False) -> CheckReport:
        """As LocalClient.check."""
        return self._run(self._client.check(source, target, download=download))

    def download(self, ref: Ref | str, directory: Path | str) -> DownloadReport:
        """As LocalClient.download."""
        return self._run(self._client.download(ref, directory))

    def promote(
        self, ref: Ref | str, to: str, *, reason: str | None = None, expected: str | None = None, dry_run: bool = False
    ) -> PromotionReport:
        """As LocalClient.promote."""
        return self._run(self._client.promote(ref, to, reason=reason, expected=expected, dry_run=dry_run))

    def set_approval(self, ref: Ref | str, decision: str, *, comment: str | None = None) -> Intent:
        """As LocalClient.set_approval."""
        return self._run(self._client.set_approval(ref, decision, comment=comment))

    def set_alias(self, ref: Ref | str, alias: str, *, reason: str | None = None) -> Intent:
        """As LocalClient.set_alias."""
        return self._run(self._client.set_alias(ref, alias, reason=reason))

    def set_tags(self, ref: Ref | str, tags: Mapping[str, str], *, remove: Collection[str] = ()) -> Intent:
        """As LocalClient.set_tags."""
        return self._run(self._client.set_tags(ref, tags, remove=remove))

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except KeyboardInterrupt:
            future.cancel()
            raise

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def open_blocking(config: Path | str | Settings | None = None, *, read_only: bool = False) -> Client:
    """`with fedreg.open("fedreg.yaml") as fed:`; see `open_local`."""
    return Client(open_local(config, read_only=read_only))
