"""The async interface in process: use cases on a gateway of this process's own."""

from __future__ import annotations

import asyncio
import getpass
import socket
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from fedreg.bootstrap import open_gateway
from fedreg.domain.models import ModelDraft, Version
from fedreg.domain.records import Actor, Intent, IntentKind, IntentState, InventoryQuery, JournalEntry
from fedreg.domain.refs import Ref
from fedreg.domain.reports import (
    CapabilityView,
    CheckReport,
    CopyPlan,
    CopyReport,
    DownloadReport,
    Inventory,
    LineageGraph,
    ModelView,
    OperationView,
    PromotionReport,
    RefreshReport,
    RegistryView,
    Verification,
    VersionView,
)
from fedreg.domain.stages import Approval
from fedreg.services import (
    audit,
    catalog,
    check,
    copy,
    downloads,
    edits,
    intents,
    lineage,
    operations,
    promotion,
    refresh,
)
from fedreg.services.copy_plan import plan_copy
from fedreg.services.gateway import Gateway
from fedreg.settings import Settings, find_config, load_settings

Progress = Callable[[Mapping[str, Any]], None]
PROGRESS_SECONDS = 0.2


def as_ref(ref: Ref | str) -> Ref:
    """A Ref, or one as it is written."""
    return ref if isinstance(ref, Ref) else Ref.parse(ref)


class LocalClient:
    """All use cases, as `local:user@host`, which is recorded as unauthenticated. Writes wait for their end.

    Every method raises the errors of `fedreg.domain.errors`.
    """

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.actor = Actor(subject=f"local:{getpass.getuser()}@{socket.gethostname()}", authenticated=False)

    # -- what there is -------------------------------------------------------------------------------------

    async def registries(self, *, ping: bool = True) -> list[RegistryView]:
        """All configured registries; with `ping` each is asked whether it answers."""
        return await catalog.list_registries(self.gateway, ping=ping)

    async def capabilities(self) -> list[CapabilityView]:
        """What each registry can do."""
        return await catalog.list_capabilities(self.gateway)

    async def inventory(
        self, query: InventoryQuery, *, versions: bool = False, refresh: bool = False, max_age: timedelta | None = None
    ) -> Inventory:
        """One page of the inventory."""
        return await catalog.list_inventory(self.gateway, query, versions=versions, refresh=refresh, max_age=max_age)

    async def versions(self, *, registry: str, stage: str | None = None, model: str | None = None) -> list[Version]:
        """Versions of a registry, live, that match a stage and a model glob; read from the index, then one by one."""
        query = InventoryQuery(registries=(registry,), stage=stage, model=model, limit=1000)
        found: list[Version] = []
        while True:
            page = await self.inventory(query, versions=True)
            for row in page.items:
                ref = Ref(row.registry, row.model).at_version(row.version or "")
                found.append(await catalog.get_version(self.gateway, ref))
            if page.next_cursor is None:
                return found
            query = msgspec.convert({**msgspec.to_builtins(query), "cursor": page.next_cursor}, InventoryQuery)

    async def refresh(self, registries: Collection[str] = ()) -> list[RefreshReport]:
        """Scan registries (all of them where none is named) into the index."""
        return await refresh.refresh_all(self.gateway, tuple(registries) or self.gateway.registries.names())

    async def show(self, ref: Ref | str) -> ModelView | VersionView:
        """A version where the reference has a selector, else the model with its versions; live."""
        parsed = as_ref(ref)
        if parsed.selector is None:
            return await catalog.show_model(self.gateway, parsed)
        return await catalog.show_version(self.gateway, parsed)

    async def lineage(
        self, ref: Ref | str, *, upstream: bool = True, downstream: bool = True, depth: int = lineage.DEFAULT_DEPTH
    ) -> LineageGraph:
        """What led to a version and what came of it."""
        return await lineage.get_lineage(
            self.gateway, as_ref(ref), upstream=upstream, downstream=downstream, depth=depth
        )

    async def history(self, ref: Ref | str, *, limit: int = 1000) -> list[JournalEntry]:
        """What happened to a model or version, oldest first."""
        return await audit.list_history(self.gateway, as_ref(ref), limit=limit)

    async def audit(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        actor: str | None = None,
        model: str | None = None,
        limit: int = 1000,
    ) -> list[JournalEntry]:
        """The journal, oldest first."""
        return await audit.list_audit(self.gateway, since=since, until=until, actor=actor, model=model, limit=limit)

    async def verify_audit(self) -> Verification:
        """Whether the journal's chain is whole."""
        return await audit.verify_audit(self.gateway)

    # -- moving --------------------------------------------------------------------------------------------

    async def plan_copy(
        self,
        source: Ref | str,
        target: Ref | str,
        *,
        allow_lossy: Iterable[str] | None = None,
        packaging: str | None = None,
    ) -> CopyPlan:
        """What a copy would do; nothing is written."""
        return await plan_copy(
            self.gateway, as_ref(source), as_ref(target), allow_lossy=allow_lossy, packaging=packaging
        )

    async def copy(
        self,
        source: Ref | str,
        target: Ref | str,
        *,
        allow_lossy: Iterable[str] | None = None,
        packaging: str | None = None,
        reason: str | None = None,
        progress: Progress | None = None,
    ) -> CopyReport:
        """Copy one version with its bytes and wait. A copy that is there already is reported, not made again."""
        intent = await copy.start_copy(
            self.gateway,
            as_ref(source),
            as_ref(target),
            actor=self.actor,
            reason=reason,
            allow_lossy=allow_lossy,
            packaging=packaging,
        )
        if intent.state is not IntentState.SUCCEEDED:
            intent = await self._wait(intent.id, progress)
        return msgspec.convert(intent.result, CopyReport)

    async def check(self, source: Ref | str, target: Ref | str, *, download: bool = False) -> CheckReport:
        """Compare two versions, or two models."""
        return await check.check(self.gateway, as_ref(source), as_ref(target), download=download)

    async def download(self, ref: Ref | str, directory: Path | str) -> DownloadReport:
        """Write a version's files into a new or empty directory."""
        return await downloads.download_version(self.gateway, as_ref(ref), Path(directory))

    # -- changing ------------------------------------------------------------------------------------------

    async def promote(
        self,
        ref: Ref | str,
        to: str,
        *,
        reason: str | None = None,
        expected: str | None = None,
        dry_run: bool = False,
    ) -> PromotionReport:
        """Give a version a stage and wait until it holds."""
        return await promotion.promote(
            self.gateway, as_ref(ref), to, actor=self.actor, reason=reason, expected=expected, dry_run=dry_run
        )

    async def set_approval(
        self, ref: Ref | str, decision: Approval | str, *, comment: str | None = None, reason: str | None = None
    ) -> Intent:
        """Record a decision on a version."""
        return await edits.set_approval(
            self.gateway, as_ref(ref), Approval(decision), comment, actor=self.actor, reason=reason
        )

    async def create_model(
        self, ref: Ref | str, *, description: str | None = None, reason: str | None = None
    ) -> Intent:
        """Create a model without versions."""
        parsed = as_ref(ref)
        draft = ModelDraft(name=parsed.model, description=description)
        return await edits.create_model(self.gateway, parsed, draft, actor=self.actor, reason=reason)

    async def delete(self, ref: Ref | str, *, reason: str | None = None) -> Intent:
        """Delete a version where the reference has a selector, else the model."""
        parsed = as_ref(ref)
        deleting = edits.delete_model if parsed.selector is None else edits.delete_version
        return await deleting(self.gateway, parsed, actor=self.actor, reason=reason)

    async def set_alias(self, ref: Ref | str, alias: str, *, reason: str | None = None) -> Intent:
        """Point an alias at a version."""
        return await edits.set_alias(self.gateway, as_ref(ref), alias, actor=self.actor, reason=reason)

    async def delete_alias(self, ref: Ref | str, alias: str, *, reason: str | None = None) -> Intent:
        """Take an alias away from a model."""
        return await edits.delete_alias(self.gateway, as_ref(ref), alias, actor=self.actor, reason=reason)

    async def set_tags(
        self, ref: Ref | str, tags: Mapping[str, str], *, remove: Collection[str] = (), reason: str | None = None
    ) -> Intent:
        """Set and remove tags of a version, or of a model."""
        return await edits.set_tags(self.gateway, as_ref(ref), tags, remove, actor=self.actor, reason=reason)

    # -- operations ----------------------------------------------------------------------------------------

    async def operations(
        self, *, kinds: tuple[IntentKind, ...] = (), states: tuple[IntentState, ...] = (), limit: int = 100
    ) -> list[OperationView]:
        """Operations, newest first."""
        return await operations.list_operations(self.gateway, kinds=kinds, states=states, limit=limit)

    async def operation(self, operation_id: str) -> OperationView:
        """One operation."""
        return await operations.get_operation(self.gateway, operation_id)

    async def cancel(self, operation_id: str) -> OperationView:
        """Stop an operation."""
        return await operations.cancel_operation(self.gateway, operation_id)

    async def _wait(self, intent_id: str, progress: Progress | None) -> Intent:
        waiting = asyncio.ensure_future(intents.wait(self.gateway, intent_id))
        try:
            while progress is not None and not waiting.done():
                view = await operations.get_operation(self.gateway, intent_id)
                if view.progress:
                    progress(view.progress)
                await asyncio.wait({waiting}, timeout=PROGRESS_SECONDS)
            return await waiting
        finally:
            waiting.cancel()


@asynccontextmanager
async def open_local(
    config: Path | str | Settings | None = None, *, read_only: bool = False
) -> AsyncIterator[LocalClient]:
    """A client on a configuration file (default: FEDREG_CONFIG, else ./fedreg.yaml).

    Raises ConfigError, and StoreBusy where another process owns the store and `read_only` is False.
    """
    settings = config if isinstance(config, Settings) else load_settings(find_config(config))
    async with open_gateway(settings, read_only=read_only) as gateway:
        yield LocalClient(gateway)
