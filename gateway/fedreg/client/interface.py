"""The Python interface: one contract, in process (`open`) and against a gateway (`connect`), async and blocking.

Longer than 350 lines because every use case is one method of it.

Every method raises the errors of `fedreg.domain.errors`, the same in process and over HTTP. References are `Ref`s or
as they are written (`prod:churn@version:3`); selectors are pinned to a version when work begins. Writes wait for
their end. Over HTTP the gateway's token decides who acts and what is allowed (Unauthenticated, Forbidden); in
process it is `local:user@host`, recorded as unauthenticated. An unreachable gateway is GatewayUnavailable.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from fedreg.domain.drift import DriftReport, RepairReport
from fedreg.domain.errors import FedregError, InvalidRequest, NotFound
from fedreg.domain.evidence import AuditKey
from fedreg.domain.links import Link
from fedreg.domain.migrations import MigratedVersion, MigrationOptions, MigrationPlan, MigrationReport, PlannedVersion
from fedreg.domain.models import Model, Version
from fedreg.domain.promotions import PromotionReport
from fedreg.domain.records import IntentKind, IntentState, InventoryQuery, InventoryRow, JournalEntry, Sort
from fedreg.domain.refs import Ref
from fedreg.domain.reports import (
    DELETIONS_WITHHELD,
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

# Called with `files`, `files_done`, `bytes` and `bytes_done` while work goes on; `migrate` says what it tells of.
Progress = Callable[[Mapping[str, Any]], None]
PAGE = 1000


def as_ref(ref: Ref | str) -> Ref:
    """A Ref, or one as it is written. Raises InvalidRequest."""
    return ref if isinstance(ref, Ref) else Ref.parse(ref)


def as_model(ref: Ref | str) -> Ref:
    """A reference to a model. Raises InvalidRequest for one that names a version."""
    parsed = as_ref(ref)
    if parsed.selector is not None:
        raise InvalidRequest(
            f"'{parsed}' names a version", cure=f"name the model only: {Ref(parsed.registry, parsed.model)}"
        )
    return parsed


class Client(ABC):
    """The async interface. `fedreg.client.blocking.Client` has the same methods, each blocking until done."""

    # -- what there is -------------------------------------------------------------------------------------

    @abstractmethod
    async def registries(self, *, ping: bool = True) -> list[RegistryView]:
        """All configured registries, by name; with `ping` each is asked whether it answers."""

    @abstractmethod
    async def registry(self, name: str) -> RegistryView:
        """One registry, asked whether it answers. Raises NotFound."""

    @abstractmethod
    async def capabilities(self) -> list[CapabilityView]:
        """What each registry can do; one that can't be opened shows its kind's ceiling and says why."""

    @abstractmethod
    async def doctor(self, registries: Collection[str] = (), *, deadline: float = 30.0) -> list[Diagnosis]:
        """Address, credentials and permissions of registries (all of them where none is named), with cures.

        They are asked at the same time; one that takes longer than `deadline` seconds is a finding. Raises NotFound.
        """

    @abstractmethod
    async def refresh(self, registries: Collection[str] = ()) -> list[RefreshReport]:
        """Scan registries (all of them where none is named) into the index, and wait. Raises NotFound.

        A registry that fails is reported (`error`), not raised.
        """

    @abstractmethod
    async def inventory(
        self, query: InventoryQuery, *, versions: bool = False, refresh: bool = False, max_age: timedelta | None = None
    ) -> Inventory:
        """One page of the inventory, from the index: a row a model, or a row a version.

        A registry never scanned is scanned first; with `refresh` all asked for are, with `max_age` those last
        scanned longer ago. A registry that is down never fails the answer: `partial` names it. Raises NotFound for
        an unknown registry, InvalidRequest for an unknown order and for a bad cursor.

        With `query.as_of` it is what was there then, told from the journal: values that it can't tell are `unknown`,
        and a registry that was not covered has one row that is, an entry in `partial`, and its `coverage`. A row that
        may match a filter is among the answers. Raises InvalidRequest for a time in the future, and together with
        `refresh`, `max_age` or another order than by name.
        """

    @abstractmethod
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
        """How many versions the index has that match all filters, by registry, stage and approval.

        With `as_of` of that time, in the registries that were covered then. Raises NotFound for an unknown registry,
        InvalidRequest for a time in the future or one at which none was covered.
        """

    @abstractmethod
    def models(self, registry: str, *, name: str | None = None) -> AsyncIterator[Model]:
        """A registry's models, live; `name` is part of the name. Raises NotFound."""

    async def versions(
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
    ) -> AsyncIterator[Version]:
        """Versions that match all filters (`model` is a glob), in the order of `sort`; each is read live.

        They are found in the index, `refresh` scans first. One that is gone by now is left out; a registry that
        can't be scanned raises its error, for the answer would not be whole.
        """
        names = (registry,) if isinstance(registry, str) else tuple(registry)
        query = InventoryQuery(
            registries=names,
            model=model,
            stage=stage,
            alias=alias,
            approval=approval,
            tag=tag,
            digest=digest,
            search=search,
            sort=sort,
            limit=PAGE,
        )
        async for row in self._rows(query, refresh):
            try:
                yield await self.version(Ref(row.registry, row.model).at_version(row.version or ""))
            except NotFound:
                continue

    async def _rows(self, query: InventoryQuery, refresh: bool) -> AsyncIterator[InventoryRow]:
        page = await self.inventory(query, versions=True, refresh=refresh)
        for missing in page.partial:
            if missing["error"]["code"] != DELETIONS_WITHHELD:
                raise FedregError.from_dict(missing["error"])
        while True:
            for row in page.items:
                yield row
            if page.next_cursor is None:
                return
            page = await self.inventory(replace(query, cursor=page.next_cursor), versions=True)

    @abstractmethod
    async def version(self, ref: Ref | str) -> Version:
        """One version, live. Raises NotFound, InvalidRequest (`details["candidates"]` where several match)."""

    @abstractmethod
    async def show(self, ref: Ref | str) -> ModelView | VersionView:
        """A version with its files where the reference has a selector, else the model with its versions; live."""

    @abstractmethod
    async def lineage(
        self, ref: Ref | str, *, upstream: bool = True, downstream: bool = True, depth: int = 10
    ) -> LineageGraph:
        """What led to a version and what came of it, across registries."""

    @abstractmethod
    async def history(self, ref: Ref | str) -> History:
        """What happened to a model or version, oldest first; `covered_since` says from when on that is all."""

    @abstractmethod
    def audit(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        actor: str | None = None,
        model: str | None = None,
    ) -> AsyncIterator[JournalEntry]:
        """The journal, oldest first. `since` is inclusive, `until` is not; both are aware datetimes."""

    @abstractmethod
    async def verify_audit(self, *, anchors: str | None = None, public_key: str | None = None) -> Verification:
        """Whether the journal is whole: by its chain, and by the signed heads in the store and outside of it.

        `anchors`: the lines of an anchor file, instead of the files that are configured. `public_key`: PEM, instead of
        the configured key's public half. Raises InvalidRequest for anchors without any key, and for what is no key.
        """

    @abstractmethod
    async def audit_key(self) -> AuditKey:
        """The public half of the key that signs the journal's heads. Raises NotFound where none is configured."""

    # -- moving --------------------------------------------------------------------------------------------

    @abstractmethod
    async def plan_copy(
        self,
        source: Ref | str,
        target: Ref | str,
        *,
        allow_lossy: Iterable[str] | None = None,
        packaging: str | None = None,
    ) -> CopyPlan:
        """What a copy would do; nothing is written. Raises what `copy` raises before the first byte."""

    @abstractmethod
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
        """Copy one version with its bytes to a model, verified by reading them back.

        A copy that is there already is reported (`moved` False), not made again; one under way is joined.
        `allow_lossy` names the fields that may be lost, `*` all of them. Raises NotFound, InvalidRequest,
        Unsupported, LossNotAccepted, Conflict, IntegrityError, Cancelled, and the registries' errors.
        """

    @abstractmethod
    async def plan_migration(
        self,
        source: str,
        target: str,
        options: MigrationOptions | None = None,
        *,
        plan: Sequence[PlannedVersion] | None = None,
    ) -> MigrationPlan:
        """What a migration from one registry to another would do, a row a version; nothing is written.

        Of the versions that `options` choose (default: all), or of the rows of a plan. A version that can't be moved
        is a row with its `problem`. Raises NotFound, InvalidRequest naming option or row, and field.
        """

    @abstractmethod
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
        """Copy the versions that `options` choose, or the rows of a plan, and count them against the source.

        What is at the target already is not moved again; the same migration under way is joined. A version that does
        not arrive raises nothing: look at `complete`, and at `migration_rows`. `progress` is called with `versions`,
        `versions_done`, `failed`, `bytes` (None: not known) and `bytes_done`. Raises what `plan_migration` raises,
        Cancelled, and the registries' errors where they can't be listed.
        """

    @abstractmethod
    def migration_rows(self, operation_id: str) -> AsyncIterator[MigratedVersion]:
        """What became of each version of a migration, in order. Raises NotFound."""

    @abstractmethod
    async def check(self, source: Ref | str, target: Ref | str, *, download: bool = False) -> CheckReport:
        """Compare two versions file by file, or two models version by version. With `download` bytes are read."""

    @abstractmethod
    async def download(
        self, ref: Ref | str, directory: Path | str, *, progress: Progress | None = None
    ) -> DownloadReport:
        """Write a version's files into a new or empty directory; a file appears whole or not at all.

        A directory that holds an unfinished download of the same version is finished. Raises AlreadyExists for any
        other that is not empty, IntegrityError for bytes that are not what the registry vouches for.
        """

    # -- changing ------------------------------------------------------------------------------------------

    @abstractmethod
    async def promote(
        self,
        ref: Ref | str,
        to: str,
        *,
        reason: str | None = None,
        expected: str | None = None,
        dry_run: bool = False,
    ) -> PromotionReport:
        """Give a version a stage and wait until it holds everywhere; with `dry_run` say what would happen.

        Where a link's gate asks for people, it waits for them by itself: the report's `state` is `waiting`. Raises
        NotFound, InvalidRequest, Conflict for a version that is not ready or a place that only follows a link,
        PreconditionFailed where its stage is not `expected`, GateClosed where a rule does not hold.
        """

    @abstractmethod
    async def set_approval(
        self, ref: Ref | str, decision: Approval | str, *, comment: str | None = None, reason: str | None = None
    ) -> OperationView:
        """Record a decision on a version. Raises InvalidRequest for a word that is none."""

    @abstractmethod
    async def create_model(
        self,
        ref: Ref | str,
        *,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
        reason: str | None = None,
    ) -> OperationView:
        """Create a model without versions. Raises AlreadyExists, Unsupported for a field that can't be held."""

    @abstractmethod
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
        """Register a version of a model whose bytes are where its registry can read them; none are moved.

        It arrives with approval pending, where the registry has such a thing. `version` asks for an id, where the
        registry takes one; `run_id` names what it came from. Raises NotFound for an unknown model, Unsupported where
        the registry registers no bytes in place or can't hold a field, InvalidRequest for a place it can't read.
        """

    @abstractmethod
    async def delete(self, ref: Ref | str, *, reason: str | None = None) -> OperationView:
        """Delete a version where the reference has a selector, else the model. Raises NotFound."""

    @abstractmethod
    async def set_alias(self, ref: Ref | str, alias: str, *, reason: str | None = None) -> OperationView:
        """Point an alias at a version, moving it where it is set."""

    @abstractmethod
    async def delete_alias(self, ref: Ref | str, alias: str, *, reason: str | None = None) -> OperationView:
        """Take an alias away from a model. Raises NotFound where it is not set."""

    @abstractmethod
    async def set_tags(
        self, ref: Ref | str, tags: Mapping[str, str], *, remove: Collection[str] = (), reason: str | None = None
    ) -> OperationView:
        """Set and remove tags of a version, or of a model where the reference has no selector. Others stay."""

    @abstractmethod
    async def set_description(self, ref: Ref | str, text: str, *, reason: str | None = None) -> OperationView:
        """Describe a version, or a model where the reference has no selector."""

    # -- operations ----------------------------------------------------------------------------------------

    @abstractmethod
    async def operations(
        self, *, kinds: Collection[IntentKind] = (), states: Collection[IntentState] = (), limit: int = 100
    ) -> list[OperationView]:
        """The newest operations, newest first; a token limited to some registries sees its own only."""

    @abstractmethod
    async def operation(self, operation_id: str) -> OperationView:
        """One operation. Raises NotFound."""

    @abstractmethod
    async def promotions(self, *, states: Collection[IntentState] = (), limit: int = 100) -> list[OperationView]:
        """The newest promotions, newest first."""

    @abstractmethod
    async def promotion(self, promotion_id: str) -> OperationView:
        """One promotion. Raises NotFound, also for an operation of another kind."""

    @abstractmethod
    async def cancel_promotion(self, promotion_id: str) -> OperationView:
        """Stop a promotion. Raises NotFound, also for an operation of another kind, Conflict for one that has ended."""

    @abstractmethod
    async def approve_promotion(self, promotion_id: str, *, comment: str | None = None) -> PromotionReport:
        """Approve a promotion that waits; the last approval that is needed starts it.

        Raises NotFound, Conflict where it does not wait, GateClosed where its time is over, Forbidden for who is not
        authenticated, has asked for it or has no role that counts: a gate takes no word of an in-process user.
        """

    @abstractmethod
    async def reject_promotion(self, promotion_id: str, *, comment: str | None = None) -> PromotionReport:
        """Reject a promotion that waits. Raises as `approve_promotion`."""

    @abstractmethod
    async def roll_back_promotion(self, promotion_id: str, *, reason: str | None = None) -> PromotionReport:
        """Take an ended promotion back in every member and wait; what can't be is in `outcomes[].left`.

        Raises NotFound, Conflict where it has not ended, has changed nothing, or was taken back already.
        """

    # -- links ---------------------------------------------------------------------------------------------

    @abstractmethod
    async def links(self) -> list[LinkView]:
        """All links, by name."""

    @abstractmethod
    async def link(self, name: str) -> LinkView:
        """One link. Raises NotFound."""

    @abstractmethod
    async def set_link(self, name: str, link: Link, *, reason: str | None = None) -> LinkView:
        """Make a link, or replace it.

        Raises InvalidRequest, Conflict for a link of the configuration, Unsupported where a member can't honour it.
        """

    @abstractmethod
    async def delete_link(self, name: str, *, reason: str | None = None) -> None:
        """Forget a link. Raises NotFound, Conflict for a link of the configuration."""

    @abstractmethod
    async def drift(self, links: Collection[str] = (), *, refresh: bool = False) -> DriftReport:
        """Where members of links (all of them where none is named) disagree with their rule, from the index.

        `refresh` scans their registries first. Raises NotFound.
        """

    @abstractmethod
    async def repair_drift(
        self,
        links: Collection[str] = (),
        *,
        reason: str | None = None,
        max_changes: int | None = None,
        dry_run: bool = False,
    ) -> RepairReport:
        """Scan, then bring members back to their rule, and wait.

        Raises NotFound; GateClosed, before anything is written, where a link would change more than its `max_changes`
        (or the given one); the first error of what failed.
        """

    @abstractmethod
    async def cancel(self, operation_id: str) -> OperationView:
        """Stop an operation at its next step, and remove what a copy has left at its target.

        Raises NotFound, Conflict for one that has ended.
        """

    # -- webhooks ------------------------------------------------------------------------------------------

    @abstractmethod
    async def webhooks(self) -> list[Webhook]:
        """Who is told of changes, by id."""

    @abstractmethod
    async def webhook(self, webhook_id: str) -> Webhook:
        """One webhook. Raises NotFound."""

    @abstractmethod
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
        """Have an address told of changes from now on, or change the webhook of this id. `model` is a glob.

        Where a secret was made, for a new webhook or with `new_secret`, the answer has it, and no later one will.
        Raises InvalidRequest for an address, action or registry that can't be one.
        """

    @abstractmethod
    async def delete_webhook(self, webhook_id: str) -> None:
        """Remove a webhook with its deliveries. Raises NotFound."""

    @abstractmethod
    async def test_webhook(self, webhook_id: str) -> Attempt:
        """Send a message that tells of nothing, once and now. Raises NotFound."""

    @abstractmethod
    async def deliveries(
        self, webhook_id: str, *, states: Collection[DeliveryState] = (), limit: int = 100
    ) -> list[Delivery]:
        """The newest messages to a webhook, newest first. Raises NotFound."""

    @abstractmethod
    async def redeliver(self, webhook_id: str, sequence: int) -> Delivery:
        """Have a message sent again, out of its order. Raises NotFound, Conflict for one that is on its way."""
