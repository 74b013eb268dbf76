"""The interface in process: use cases on a gateway of this process's own.

Longer than 350 lines because every use case is one method of it.
"""

from __future__ import annotations

import asyncio
import getpass
import os
import socket
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from fedreg.bootstrap import open_gateway
from fedreg.client.directory import write_directory
from fedreg.client.interface import PAGE, Client, Progress, as_model, as_ref
from fedreg.domain.drift import DriftReport, RepairReport
from fedreg.domain.errors import NotFound
from fedreg.domain.evidence import AuditKey
from fedreg.domain.links import Link
from fedreg.domain.migrations import MigratedVersion, MigrationOptions, MigrationPlan, MigrationReport, PlannedVersion
from fedreg.domain.models import (
    FileEntry,
    Model,
    ModelDraft,
    ModelQuery,
    PageRequest,
    Provenance,
    Version,
    VersionDraft,
)
from fedreg.domain.promotions import PromotionReport
from fedreg.domain.records import Actor, Decision, Intent, IntentKind, IntentState, InventoryQuery, JournalEntry
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
from fedreg.domain.stages import Approval, parse_approval
from fedreg.domain.webhooks import Attempt, Delivery, DeliveryState, Webhook
from fedreg.services import anchors as anchoring
from fedreg.services import (
    audit,
    catalog,
    check,
    copy,
    doctor,
    downloads,
    edits,
    intents,
    lineage,
    operations,
    past,
    promotion,
    promotion_decisions,
    refresh,
    webhooks,
)
from fedreg.services import links as linking
from fedreg.services.copy_plan import plan_copy
from fedreg.services.drift import list_drift
from fedreg.services.gateway import Gateway
from fedreg.services.migration import start_migration
from fedreg.services.migration_counts import list_outcomes
from fedreg.services.migration_plan import plan_migration
from fedreg.services.repair import repair_drift
from fedreg.settings import Settings, find_config, load_settings

PROGRESS_SECONDS = 0.2
WHOLE_HISTORY = 1_000_000


class LocalClient(Client):
    """All use cases, as `local:user@host`, which is recorded as unauthenticated."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.actor = Actor(subject=f"local:{_get_user_name()}@{socket.gethostname()}", authenticated=False)

    # -- what there is -------------------------------------------------------------------------------------

    async def registries(self, *, ping: bool = True) -> list[RegistryView]:
        return await catalog.list_registries(self.gateway, ping=ping)

    async def registry(self, name: str) -> RegistryView:
        return await catalog.get_registry(self.gateway, name)

    async def capabilities(self) -> list[CapabilityView]:
        return await catalog.list_capabilities(self.gateway)

    async def doctor(self, registries: Collection[str] = (), *, deadline: float = doctor.DEADLINE) -> list[Diagnosis]:
        return await doctor.diagnose(self.gateway, registries, deadline=deadline)

    async def refresh(self, registries: Collection[str] = ()) -> list[RefreshReport]:
        names = tuple(registries) or tuple(self.gateway.registries.names())
        for name in names:
            self.gateway.registries.manifest(name)
        return await refresh.refresh_all(self.gateway, names)

    async def inventory(
        self, query: InventoryQuery, *, versions: bool = False, refresh: bool = False, max_age: timedelta | None = None
    ) -> Inventory:
        return await catalog.list_inventory(self.gateway, query, versions=versions, refresh=refresh, max_age=max_age)

    async def facets(
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
        query = InventoryQuery(
            registries=tuple(registries),
            model=model,
            stage=stage,
            alias=alias,
            approval=approval,
            tag=tag,
            digest=digest,
            search=search,
            as_of=as_of,
        )
        return await catalog.list_facets(self.gateway, query)

    async def models(self, registry: str, *, name: str | None = None) -> AsyncIterator[Model]:
        token = None
        while True:
            query = ModelQuery(page=PageRequest(token=token), name_contains=name)
            found = await catalog.list_models(self.gateway, registry, query)
            for model in found.items:
                yield model
            token = found.next_token
            if token is None:
                return

    async def version(self, ref: Ref | str) -> Version:
        return await catalog.get_version(self.gateway, as_ref(ref))

    async def show(self, ref: Ref | str) -> ModelView | VersionView:
        parsed = as_ref(ref)
        if parsed.selector is None:
            return await catalog.show_model(self.gateway, parsed)
        return await catalog.show_version(self.gateway, parsed)

    async def lineage(
        self, ref: Ref | str, *, upstream: bool = True, downstream: bool = True, depth: int = lineage.DEFAULT_DEPTH
    ) -> LineageGraph:
        return await lineage.get_lineage(
            self.gateway, as_ref(ref), upstream=upstream, downstream=downstream, depth=depth
        )

    async def history(self, ref: Ref | str) -> History:
        parsed = as_ref(ref)
        entries = await audit.list_history(self.gateway, parsed, limit=WHOLE_HISTORY)
        [coverage] = await past.list_coverage(self.gateway, [parsed.registry])
        return History(entries, covered_since=coverage.since)

    async def audit(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        actor: str | None = None,
        model: str | None = None,
    ) -> AsyncIterator[JournalEntry]:
        seen: int | None = None
        while True:
            entries = await audit.list_audit(
                self.gateway, since=since, until=until, actor=actor, model=model, after_sequence=seen, limit=PAGE
            )
            for entry in entries:
                yield entry
            if len(entries) < PAGE:
                return
            seen = entries[-1].sequence

    async def verify_audit(self, *, anchors: str | None = None, public_key: str | None = None) -> Verification:
        return await audit.verify_audit(self.gateway, anchors=anchors, public_key=public_key)

    async def audit_key(self) -> AuditKey:
        return await anchoring.get_audit_key(self.gateway)

    # -- moving --------------------------------------------------------------------------------------------

    async def plan_copy(
        self,
        source: Ref | str,
        target: Ref | str,
        *,
        allow_lossy: Iterable[str] | None = None,
        packaging: str | None = None,
    ) -> CopyPlan:
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

    async def plan_migration(
        self,
        source: str,
        target: str,
        options: MigrationOptions | None = None,
        *,
        plan: Sequence[PlannedVersion] | None = None,
    ) -> MigrationPlan:
        return await plan_migration(self.gateway, source, target, options or MigrationOptions(), plan=plan)

    async def migrate(
        self,
        source: str,
        target: str,
        options: MigrationOptions | None = None,
        *,
        plan: Sequence[PlannedVersion] | None = None,
        reason: str | None = None,
        progress: Progress | None = None,
    ) -> MigrationReport:
        intent = await start_migration(
            self.gateway, source, target, options or MigrationOptions(), actor=self.actor, plan=plan, reason=reason
        )
        return msgspec.convert((await self._wait(intent.id, progress)).result, MigrationReport)

    async def migration_rows(self, operation_id: str) -> AsyncIterator[MigratedVersion]:
        intent = await intents.get_intent(self.gateway, operation_id)
        if intent.kind is not IntentKind.MIGRATION:
            raise NotFound(
                f"migration {operation_id!r} does not exist", cure="`fedreg operations list` shows what there is"
            )
        after = 0
        while page := await list_outcomes(self.gateway, operation_id, after, PAGE):
            for row in page:
                yield row
            after = page[-1].sequence

    async def check(self, source: Ref | str, target: Ref | str, *, download: bool = False) -> CheckReport:
        return await check.check(self.gateway, as_ref(source), as_ref(target), download=download)

    async def download(
        self, ref: Ref | str, directory: Path | str, *, progress: Progress | None = None
    ) -> DownloadReport:
        version, entries = await downloads.list_download(self.gateway, as_ref(ref))
        adapter = await self.gateway.registries.get(version.registry)

        def open_file(entry: FileEntry, offset: int) -> AsyncIterator[bytes]:
            return adapter.open_file(version.model, version.version, entry, offset)

        return await write_directory(Path(directory), version, entries, open_file, progress)

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
        return await promotion.promote(
            self.gateway, as_ref(ref), to, actor=self.actor, reason=reason, expected=expected, dry_run=dry_run
        )

    async def set_approval(
        self, ref: Ref | str, decision: Approval | str, *, comment: str | None = None, reason: str | None = None
    ) -> OperationView:
        given = parse_approval(decision)
        return await self._view(
            await edits.set_approval(self.gateway, as_ref(ref), given, comment, actor=self.actor, reason=reason)
        )

    async def create_model(
        self,
        ref: Ref | str,
        *,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
        reason: str | None = None,
    ) -> OperationView:
        parsed = as_model(ref)
        draft = ModelDraft(name=parsed.model, description=description, tags=tags or {})
        return await self._view(await edits.create_model(self.gateway, parsed, draft, actor=self.actor, reason=reason))

    async def create_version(
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
        parsed = as_model(ref)
        draft = VersionDraft(
            model=parsed.model,
            version=version,
            description=description,
            tags=tags or {},
            metrics=metrics or {},
            params=params or {},
            provenance=Provenance(run_id=run_id),
            source_uri=artifact_uri,
        )
        made = await edits.create_version(self.gateway, parsed, draft, actor=self.actor, reason=reason)
        return await catalog.get_version(self.gateway, edits.made_version(made))

    async def delete(self, ref: Ref | str, *, reason: str | None = None) -> OperationView:
        parsed = as_ref(ref)
        deleting = edits.delete_model if parsed.selector is None else edits.delete_version
        return await self._view(await deleting(self.gateway, parsed, actor=self.actor, reason=reason))

    async def set_alias(self, ref: Ref | str, alias: str, *, reason: str | None = None) -> OperationView:
        return await self._view(
            await edits.set_alias(self.gateway, as_ref(ref), alias, actor=self.actor, reason=reason)
        )

    async def delete_alias(self, ref: Ref | str, alias: str, *, reason: str | None = None) -> OperationView:
        return await self._view(
            await edits.delete_alias(self.gateway, as_ref(ref), alias, actor=self.actor, reason=reason)
        )

    async def set_tags(
        self, ref: Ref | str, tags: Mapping[str, str], *, remove: Collection[str] = (), reason: str | None = None
    ) -> OperationView:
        return await self._view(
            await edits.set_tags(self.gateway, as_ref(ref), tags, remove, actor=self.actor, reason=reason)
        )

    async def set_description(self, ref: Ref | str, text: str, *, reason: str | None = None) -> OperationView:
        return await self._view(
            await edits.set_description(self.gateway, as_ref(ref), text, actor=self.actor, reason=reason)
        )

    # -- operations ----------------------------------------------------------------------------------------

    async def operations(
        self, *, kinds: Collection[IntentKind] = (), states: Collection[IntentState] = (), limit: int = 100
    ) -> list[OperationView]:
        return await operations.list_operations(self.gateway, kinds=tuple(kinds), states=tuple(states), limit=limit)

    async def operation(self, operation_id: str) -> OperationView:
        return await operations.get_operation(self.gateway, operation_id)

    async def promotions(self, *, states: Collection[IntentState] = (), limit: int = 100) -> list[OperationView]:
        return await self.operations(kinds=(IntentKind.PROMOTION,), states=states, limit=limit)

    async def promotion(self, promotion_id: str) -> OperationView:
        return await self._view(await promotion_decisions.get_promotion(self.gateway, promotion_id))

    async def cancel_promotion(self, promotion_id: str) -> OperationView:
        return await self.cancel((await self.promotion(promotion_id)).id)

    async def approve_promotion(self, promotion_id: str, *, comment: str | None = None) -> PromotionReport:
        return await self._decide(promotion_id, Decision.APPROVED, comment)

    async def reject_promotion(self, promotion_id: str, *, comment: str | None = None) -> PromotionReport:
        return await self._decide(promotion_id, Decision.REJECTED, comment)

    async def _decide(self, promotion_id: str, decision: Decision, comment: str | None) -> PromotionReport:
        return await promotion_decisions.decide(
            self.gateway, promotion_id, decision, actor=self.actor, roles=(), comment=comment
        )

    async def roll_back_promotion(self, promotion_id: str, *, reason: str | None = None) -> PromotionReport:
        return await promotion_decisions.roll_back(self.gateway, promotion_id, actor=self.actor, reason=reason)

    # -- links ---------------------------------------------------------------------------------------------

    async def links(self) -> list[LinkView]:
        return await linking.list_links(self.gateway)

    async def link(self, name: str) -> LinkView:
        return await linking.get_link(self.gateway, name)

    async def set_link(self, name: str, link: Link, *, reason: str | None = None) -> LinkView:
        return await linking.set_link(self.gateway, name, link, actor=self.actor, reason=reason)

    async def delete_link(self, name: str, *, reason: str | None = None) -> None:
        await linking.delete_link(self.gateway, name, actor=self.actor, reason=reason)

    async def drift(self, links: Collection[str] = (), *, refresh: bool = False) -> DriftReport:
        return await list_drift(self.gateway, links, refresh=refresh)

    async def repair_drift(
        self,
        links: Collection[str] = (),
        *,
        reason: str | None = None,
        max_changes: int | None = None,
        dry_run: bool = False,
    ) -> RepairReport:
        return await repair_drift(
            self.gateway, links, actor=self.actor, reason=reason, max_changes=max_changes, dry_run=dry_run
        )

    async def cancel(self, operation_id: str) -> OperationView:
        return await operations.cancel_operation(self.gateway, operation_id)

    # -- webhooks ------------------------------------------------------------------------------------------

    async def webhooks(self) -> list[Webhook]:
        return await webhooks.list_webhooks(self.gateway)

    async def webhook(self, webhook_id: str) -> Webhook:
        return await webhooks.get_webhook(self.gateway, webhook_id)

    async def set_webhook(
        self,
        webhook_id: str,
        url: str,
        *,
        actions: Collection[str] = (),
        registries: Collection[str] = (),
        model: str | None = None,
        new_secret: bool = False,
    ) -> Webhook:
        return await webhooks.set_webhook(
            self.gateway,
            webhook_id,
            url,
            actor=self.actor,
            actions=actions,
            registries=registries,
            model=model,
            new_secret=new_secret,
        )

    async def delete_webhook(self, webhook_id: str) -> None:
        await webhooks.delete_webhook(self.gateway, webhook_id, actor=self.actor)

    async def test_webhook(self, webhook_id: str) -> Attempt:
        return await webhooks.test_webhook(self.gateway, webhook_id)

    async def deliveries(
        self, webhook_id: str, *, states: Collection[DeliveryState] = (), limit: int = 100
    ) -> list[Delivery]:
        return await webhooks.list_deliveries(self.gateway, webhook_id, states=tuple(states), limit=limit)

    async def redeliver(self, webhook_id: str, sequence: int) -> Delivery:
        return await webhooks.redeliver(self.gateway, webhook_id, sequence, actor=self.actor)

    # -- steps ---------------------------------------------------------------------------------------------

    async def _view(self, intent: Intent) -> OperationView:
        return await operations.view_operation(self.gateway, intent)

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


def _get_user_name() -> str:
    """The user's name; the number where it has none, as in a container that runs as an arbitrary user."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # Python 3.13 raises the second
        return str(os.getuid())
