"""The blocking interface: the async one on an event loop in a thread of its own.

Longer than 350 lines because every use case is one method of it.

Its methods are those of `fedreg.client.interface.Client`, whose docstrings are their contract.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Collection, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from fedreg.client import interface
from fedreg.client.interface import Progress
from fedreg.domain.drift import DriftReport, RepairReport
from fedreg.domain.evidence import AuditKey
from fedreg.domain.links import Link
from fedreg.domain.migrations import MigratedVersion, MigrationOptions, MigrationPlan, MigrationReport, PlannedVersion
from fedreg.domain.models import Model, Version
from fedreg.domain.promotions import PromotionReport
from fedreg.domain.records import IntentKind, IntentState, InventoryQuery, JournalEntry, Sort
from fedreg.domain.refs import Ref
from fedreg.domain.reports import (
    CapabilityView,
    CheckReport,
    CopyPlan,
    CopyReport,
    Diagnosis,
    DownloadReport,
    Facets,
    History,
    Inventory,
    LineageGraph,
    LinkView,
    ModelView,
    OperationView,
    RefreshReport,
    RegistryView,
    Verification,
    VersionView,
)
from fedreg.domain.stages import Approval
from fedreg.domain.webhooks import Attempt, Delivery, DeliveryState, Webhook

if TYPE_CHECKING:
    from fedreg.settings import Settings

T = TypeVar("T")


class Client:
    """A context manager with the methods of the async interface, each blocking until done. One thread at a time."""

    def __init__(self, opening: AbstractAsyncContextManager[interface.Client]) -> None:
        self._opening = opening
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fedreg-client", daemon=True)
        self._client: interface.Client

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

    # -- what there is -------------------------------------------------------------------------------------

    def registries(self, *, ping: bool = True) -> list[RegistryView]:
        """All configured registries; with `ping` each is asked whether it answers."""
        return self._run(self._client.registries(ping=ping))

    def registry(self, name: str) -> RegistryView:
        """One registry, asked whether it answers."""
        return self._run(self._client.registry(name))

    def capabilities(self) -> list[CapabilityView]:
        """What each registry can do."""
        return self._run(self._client.capabilities())

    def doctor(self, registries: Collection[str] = (), *, deadline: float = 30.0) -> list[Diagnosis]:
        """Address, credentials and permissions of registries, with cures."""
        return self._run(self._client.doctor(registries, deadline=deadline))

    def refresh(self, registries: Collection[str] = ()) -> list[RefreshReport]:
        """Scan registries into the index."""
        return self._run(self._client.refresh(registries))

    def inventory(
        self, query: InventoryQuery, *, versions: bool = False, refresh: bool = False, max_age: timedelta | None = None
    ) -> Inventory:
        """One page of the inventory, from the index."""
        return self._run(self._client.inventory(query, versions=versions, refresh=refresh, max_age=max_age))

    def facets(
        self,
        registries: Collection[str] = (),
        *,
        model: str | None = None,
        stage: str | None = None,
        alias: str | None = None,
        approval: str | None = None,
        tag: tuple[str, str] | None = None,
        digest: str | None = None,
        search: str | None = None,
        as_of: datetime | None = None,
    ) -> Facets:
        """How many versions the index has that match all filters, by registry, stage and approval."""
        return self._run(
            self._client.facets(
                registries,
                model=model,
                stage=stage,
                alias=alias,
                approval=approval,
                tag=tag,
                digest=digest,
                search=search,
                as_of=as_of,
            )
        )

    def models(self, registry: str, *, name: str | None = None) -> Iterator[Model]:
        """A registry's models, live."""
        return self._iterate(self._client.models(registry, name=name))

    def versions(
        self,
        *,
        registry: str | Collection[str] = (),
        model: str | None = None,
        stage: str | None = None,
        alias: str | None = None,
        approval: str | None = None,
        tag: tuple[str, str] | None = None,
        digest: str | None = None,
        search: str | None = None,
        sort: str = Sort.NAME,
        refresh: bool = False,
    ) -> Iterator[Version]:
        """Versions that match all filters, found in the index and each read live."""
        return self._iterate(
            self._client.versions(
                registry=registry,
                model=model,
                stage=stage,
                alias=alias,
                approval=approval,
                tag=tag,
                digest=digest,
                search=search,
                sort=sort,
                refresh=refresh,
            )
        )

    def version(self, ref: Ref | str) -> Version:
        """One version, live."""
        return self._run(self._client.version(ref))

    def show(self, ref: Ref | str) -> ModelView | VersionView:
        """A version with its files where the reference has a selector, else the model with its versions; live."""
        return self._run(self._client.show(ref))

    def lineage(
        self, ref: Ref | str, *, upstream: bool = True, downstream: bool = True, depth: int = 10
    ) -> LineageGraph:
        """What led to a version and what came of it."""
        return self._run(self._client.lineage(ref, upstream=upstream, downstream=downstream, depth=depth))

    def history(self, ref: Ref | str) -> History:
        """What happened to a model or version, oldest first."""
        return self._run(self._client.history(ref))

    def audit(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        actor: str | None = None,
        model: str | None = None,
    ) -> Iterator[JournalEntry]:
        """The journal, oldest first."""
        return self._iterate(self._client.audit(since=since, until=until, actor=actor, model=model))

    def verify_audit(self, *, anchors: str | None = None, public_key: str | None = None) -> Verification:
        """Whether the journal is whole, by its chain and by signed heads."""
        return self._run(self._client.verify_audit(anchors=anchors, public_key=public_key))

    def audit_key(self) -> AuditKey:
        """The public half of the key that signs the journal's heads."""
        return self._run(self._client.audit_key())

    # -- moving --------------------------------------------------------------------------------------------

    def plan_copy(
        self,
        source: Ref | str,
        target: Ref | str,
        *,
        allow_lossy: Iterable[str] | None = None,
        packaging: str | None = None,
    ) -> CopyPlan:
        """What a copy would do; nothing is written."""
        return self._run(self._client.plan_copy(source, target, allow_lossy=allow_lossy, packaging=packaging))

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
        """Copy one version with its bytes. `progress` is called in the client's own thread."""
        return self._run(
            self._client.copy(
                source, target, allow_lossy=allow_lossy, packaging=packaging, reason=reason, progress=progress
            )
        )

    def plan_migration(
        self,
        source: str,
        target: str,
        options: MigrationOptions | None = None,
        *,
        plan: Sequence[PlannedVersion] | None = None,
    ) -> MigrationPlan:
        """What a migration would do, a row a version; nothing is written."""
        return self._run(self._client.plan_migration(source, target, options, plan=plan))

    def migrate(
        self,
        source: str,
        target: str,
        options: MigrationOptions | None = None,
        *,
        plan: Sequence[PlannedVersion] | None = None,
        reason: str | None = None,
        progress: Progress | None = None,
    ) -> MigrationReport:
        """Copy versions of a registry to another one; `complete` says whether all arrived."""
        return self._run(self._client.migrate(source, target, options, plan=plan, reason=reason, progress=progress))

    def migration_rows(self, operation_id: str) -> Iterator[MigratedVersion]:
        """What became of each version of a migration, in order."""
        return self._iterate(self._client.migration_rows(operation_id))

    def check(self, source: Ref | str, target: Ref | str, *, download: bool = False) -> CheckReport:
        """Compare two versions file by file, or two models version by version."""
        return self._run(self._client.check(source, target, download=download))

    def download(self, ref: Ref | str, directory: Path | str, *, progress: Progress | None = None) -> DownloadReport:
        """Write a version's files into a new or empty directory, or finish what was begun there."""
        return self._run(self._client.download(ref, directory, progress=progress))

    # -- changing ------------------------------------------------------------------------------------------

    def promote(
        self, ref: Ref | str, to: str, *, reason: str | None = None, expected: str | None = None, dry_run: bool = False
    ) -> PromotionReport:
        """Give a version a stage and wait until it holds."""
        return self._run(self._client.promote(ref, to, reason=reason, expected=expected, dry_run=dry_run))

    def set_approval(
        self, ref: Ref | str, decision: Approval | str, *, comment: str | None = None, reason: str | None = None
    ) -> OperationView:
        """Record a decision on a version."""
        return self._run(self._client.set_approval(ref, decision, comment=comment, reason=reason))

    def create_model(
        self,
        ref: Ref | str,
        *,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
        reason: str | None = None,
    ) -> OperationView:
        """Create a model without versions."""
        return self._run(self._client.create_model(ref, description=description, tags=tags, reason=reason))

    def create_version(
        self,
        ref: Ref | str,
        artifact_uri: str,
        *,
        version: str | None = None,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
        metrics: Mapping[str, float] | None = None,
        params: Mapping[str, str] | None = None,
        run_id: str | None = None,
        reason: str | None = None,
    ) -> Version:
        """Register a version whose bytes are in place."""
        return self._run(
            self._client.create_version(
                ref,
                artifact_uri,
                version=version,
                description=description,
                tags=tags,
                metrics=metrics,
                params=params,
                run_id=run_id,
                reason=reason,
            )
        )

    def delete(self, ref: Ref | str, *, reason: str | None = None) -> OperationView:
        """Delete a version where the reference has a selector, else the model."""
        return self._run(self._client.delete(ref, reason=reason))

    def set_alias(self, ref: Ref | str, alias: str, *, reason: str | None = None) -> OperationView:
        """Point an alias at a version."""
        return self._run(self._client.set_alias(ref, alias, reason=reason))

    def delete_alias(self, ref: Ref | str, alias: str, *, reason: str | None = None) -> OperationView:
        """Take an alias away from a model."""
        return self._run(self._client.delete_alias(ref, alias, reason=reason))

    def set_tags(
        self, ref: Ref | str, tags: Mapping[str, str], *, remove: Collection[str] = (), reason: str | None = None
    ) -> OperationView:
        """Set and remove tags of a version, or of a model."""
        return self._run(self._client.set_tags(ref, tags, remove=remove, reason=reason))

    def set_description(self, ref: Ref | str, text: str, *, reason: str | None = None) -> OperationView:
        """Describe a version, or a model."""
        return self._run(self._client.set_description(ref, text, reason=reason))

    # -- operations ----------------------------------------------------------------------------------------

    def operations(
        self, *, kinds: Collection[IntentKind] = (), states: Collection[IntentState] = (), limit: int = 100
    ) -> list[OperationView]:
        """The newest operations, newest first."""
        return self._run(self._client.operations(kinds=kinds, states=states, limit=limit))

    def operation(self, operation_id: str) -> OperationView:
        """One operation."""
        return self._run(self._client.operation(operation_id))

    def promotions(self, *, states: Collection[IntentState] = (), limit: int = 100) -> list[OperationView]:
        """The newest promotions, newest first."""
        return self._run(self._client.promotions(states=states, limit=limit))

    def promotion(self, promotion_id: str) -> OperationView:
        """One promotion."""
        return self._run(self._client.promotion(promotion_id))

    def cancel_promotion(self, promotion_id: str) -> OperationView:
        """Stop a promotion."""
        return self._run(self._client.cancel_promotion(promotion_id))

    def approve_promotion(self, promotion_id: str, *, comment: str | None = None) -> PromotionReport:
        """Approve a promotion that waits; the last approval that is needed starts it."""
        return self._run(self._client.approve_promotion(promotion_id, comment=comment))

    def reject_promotion(self, promotion_id: str, *, comment: str | None = None) -> PromotionReport:
        """Reject a promotion that waits."""
        return self._run(self._client.reject_promotion(promotion_id, comment=comment))

    def roll_back_promotion(self, promotion_id: str, *, reason: str | None = None) -> PromotionReport:
        """Take an ended promotion back in every member and wait."""
        return self._run(self._client.roll_back_promotion(promotion_id, reason=reason))

    # -- links ---------------------------------------------------------------------------------------------

    def links(self) -> list[LinkView]:
        """All links, by name."""
        return self._run(self._client.links())

    def link(self, name: str) -> LinkView:
        """One link."""
        return self._run(self._client.link(name))

    def set_link(self, name: str, link: Link, *, reason: str | None = None) -> LinkView:
        """Make a link, or replace it."""
        return self._run(self._client.set_link(name, link, reason=reason))

    def delete_link(self, name: str, *, reason: str | None = None) -> None:
        """Forget a link."""
        return self._run(self._client.delete_link(name, reason=reason))

    def drift(self, links: Collection[str] = (), *, refresh: bool = False) -> DriftReport:
        """Where members of links disagree with their rule."""
        return self._run(self._client.drift(links, refresh=refresh))

    def repair_drift(
        self,
        links: Collection[str] = (),
        *,
        reason: str | None = None,
        max_changes: int | None = None,
        dry_run: bool = False,
    ) -> RepairReport:
        """Bring members back to their rule, and wait."""
        return self._run(self._client.repair_drift(links, reason=reason, max_changes=max_changes, dry_run=dry_run))

    def cancel(self, operation_id: str) -> OperationView:
        """Stop an operation."""
        return self._run(self._client.cancel(operation_id))

    def webhooks(self) -> list[Webhook]:
        """Who is told of changes, by id."""
        return self._run(self._client.webhooks())

    def webhook(self, webhook_id: str) -> Webhook:
        """One webhook."""
        return self._run(self._client.webhook(webhook_id))

    def set_webhook(
        self,
        webhook_id: str,
        url: str,
        *,
        actions: Collection[str] = (),
        registries: Collection[str] = (),
        model: str | None = None,
        new_secret: bool = False,
    ) -> Webhook:
        """Have an address told of changes; the answer has the secret where one was made."""
        return self._run(
            self._client.set_webhook(
                webhook_id, url, actions=actions, registries=registries, model=model, new_secret=new_secret
            )
        )

    def delete_webhook(self, webhook_id: str) -> None:
        """Remove a webhook with its deliveries."""
        return self._run(self._client.delete_webhook(webhook_id))

    def test_webhook(self, webhook_id: str) -> Attempt:
        """Send a message that tells of nothing, once and now."""
        return self._run(self._client.test_webhook(webhook_id))

    def deliveries(
        self, webhook_id: str, *, states: Collection[DeliveryState] = (), limit: int = 100
    ) -> list[Delivery]:
        """The newest messages to a webhook, newest first."""
        return self._run(self._client.deliveries(webhook_id, states=states, limit=limit))

    def redeliver(self, webhook_id: str, sequence: int) -> Delivery:
        """Have a message sent again, out of its order."""
        return self._run(self._client.redeliver(webhook_id, sequence))

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except KeyboardInterrupt:
            future.cancel()
            raise

    def _iterate(self, items: AsyncIterator[T]) -> Iterator[T]:
        async def advance() -> tuple[T] | None:
            async for item in items:
                return (item,)
            return None

        while (found := self._run(advance())) is not None:
            yield found[0]

    def _stop(self) -> None:
        self._run(_cancel_others())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _cancel_others() -> None:
    """As `asyncio.run` does at its end: tasks that a library has left running are ended, not forgotten."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def open_blocking(config: Path | str | Settings | None = None, *, read_only: bool = False) -> Client:
    """A client in process, on a configuration file (default: FEDREG_CONFIG, else ./fedreg.yaml).

    `with fedreg.open("fedreg.yaml") as fed:`. Raises ConfigError, and StoreBusy where another process owns the
    store and `read_only` is False.
    """
    from fedreg.client.local import open_local  # loads everything; who connects does without

    return Client(open_local(config, read_only=read_only))


def connect_blocking(url: str, token: str | None = None, *, timeout: float = 300.0) -> Client:
    """A client of a gateway: `with fedreg.connect("http://gateway:8080", token=...) as fed:`.

    `timeout`: seconds without a byte, after which a request is given up. Raises InvalidRequest for an address or a
    token that can't be one; an unreachable gateway is GatewayUnavailable at the first call.
    """
    from fedreg.client.remote import open_remote

    return Client(open_remote(url, token, timeout=timeout))
