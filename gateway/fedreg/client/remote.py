"""The interface against a gateway, over HTTP. It imports neither store nor engine nor services.

Longer than 350 lines because every use case is one method of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import fields, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from fedreg.client.directory import write_directory
from fedreg.client.interface import Client, Progress, as_model, as_ref
from fedreg.client.reports import read_report
from fedreg.client.transport import PAGE, HistoryPage, Page, Transport, fill, open_transport
from fedreg.domain.drift import DriftReport, RepairReport
from fedreg.domain.errors import Cancelled, FedregError, Incomplete, NotFound, RegistryError, Unsupported
from fedreg.domain.evidence import AuditKey
from fedreg.domain.links import Link
from fedreg.domain.migrations import MigratedVersion, MigrationOptions, MigrationPlan, MigrationReport, PlannedVersion
from fedreg.domain.models import FileEntry, Model, Version
from fedreg.domain.promotions import PromotionReport
from fedreg.domain.records import ENDED, IntentKind, IntentState, InventoryQuery, JournalEntry
from fedreg.domain.refs import Ref, SelectorKind
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
    RefreshStatus,
    RegistryView,
    Verification,
    VersionView,
    newest_first,
)
from fedreg.domain.stages import Approval, parse_approval
from fedreg.domain.webhooks import Attempt, Delivery, DeliveryState, Webhook

Item = TypeVar("Item")
REGISTRY = "/v1/registries/{registry}"
MODEL = f"{REGISTRY}/models/{{model}}"
VERSION = f"{MODEL}/versions/{{version}}"
OPERATION = "/v1/operations/{id}"
WEBHOOK = "/v1/webhooks/{id}"
OPERATION_HEADER = "Fedreg-Operation"
LIVE_PAGE = 100  # of what a registry is asked for: many give no more at once
WAIT_SECONDS = 30
QUIET_SECONDS = 300.0


class RemoteClient(Client):
    """All use cases of one gateway, as whoever the token belongs to."""

    def __init__(self, transport: Transport) -> None:
        self._http = transport

    def __repr__(self) -> str:
        return f"RemoteClient({self._http.url!r})"

    # -- what there is -------------------------------------------------------------------------------------

    async def registries(self, *, ping: bool = True) -> list[RegistryView]:
        return [view async for view in self._http.pages("/v1/registries", RegistryView, query={"ping": ping})]

    async def registry(self, name: str) -> RegistryView:
        return await self._http.get(fill(REGISTRY, {"registry": name}), RegistryView)

    async def capabilities(self) -> list[CapabilityView]:
        return [view async for view in self._http.pages("/v1/capabilities", CapabilityView)]

    async def doctor(self, registries: Collection[str] = (), *, deadline: float = 30.0) -> list[Diagnosis]:
        query = {"registry": tuple(registries), "deadline": deadline}
        return list((await self._http.get("/v1/doctor", Page[Diagnosis], query=query)).items)

    async def refresh(self, registries: Collection[str] = ()) -> list[RefreshReport]:
        names = tuple(registries) or [view.name for view in await self.registries(ping=False)]
        return list(await asyncio.gather(*(self._refresh(name) for name in names)))

    async def _refresh(self, registry: str) -> RefreshReport:
        """Ask for a scan and wait; asked again where the gateway was restarted meanwhile."""
        while True:
            await self._http.post(fill(f"{REGISTRY}/refresh", {"registry": registry}), dict[str, Any])
            running = True
            while running:
                path = fill(f"{REGISTRY}/refresh", {"registry": registry})
                status = await self._http.get(path, RefreshStatus, query={"wait": WAIT_SECONDS})
                if status.report is not None:
                    return status.report
                running = status.running

    async def inventory(
        self, query: InventoryQuery, *, versions: bool = False, refresh: bool = False, max_age: timedelta | None = None
    ) -> Inventory:
        given: dict[str, Any] = {field.name: getattr(query, field.name) for field in fields(query)}
        given |= {"registry": given.pop("registries"), "tag": None if query.tag is None else "=".join(query.tag)}
        given["as_of"] = query.as_of and query.as_of.isoformat()
        given |= {"refresh": refresh, "max_age": None if max_age is None else max_age.total_seconds()}
        if versions:
            return await self._http.get("/v1/versions", Inventory, query=given)
        return await self._http.get("/v1/models", Inventory, query=given)

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
        given = {
            "registry": tuple(registries),
            "model": model,
            "stage": stage,
            "alias": alias,
            "approval": approval,
            "tag": None if tag is None else "=".join(tag),
            "digest": digest,
            "search": search,
            "as_of": as_of and as_of.isoformat(),
        }
        return await self._http.get("/v1/facets", Facets, query=given)

    async def models(self, registry: str, *, name: str | None = None) -> AsyncIterator[Model]:
        path = fill(f"{REGISTRY}/models", {"registry": registry})
        async for model in self._http.pages(path, Model, query={"name": name}, limit=LIVE_PAGE):
            yield model

    async def version(self, ref: Ref | str) -> Version:
        return await self._http.get(fill(VERSION, _version(as_ref(ref))), Version)

    async def show(self, ref: Ref | str) -> ModelView | VersionView:
        parsed = as_ref(ref)
        return await (self._show_model(parsed) if parsed.selector is None else self._show_version(parsed))

    async def _show_model(self, ref: Ref) -> ModelView:
        names = _model(ref)
        model = await self._http.get(fill(MODEL, names), Model)
        found = self._http.pages(fill(f"{MODEL}/versions", names), Version, limit=LIVE_PAGE)
        return ModelView(model=model, versions=newest_first([version async for version in found]))

    async def _show_version(self, ref: Ref) -> VersionView:
        version = await self.version(ref)
        pinned = str(version.ref)
        try:
            listed = self._http.pages(fill(f"{VERSION}/files", _version(version.ref)), FileEntry)
            files = tuple([entry async for entry in listed])
        except Unsupported:
            return VersionView(ref=pinned, version=version, files_error="the registry lists no files")
        except (NotFound, RegistryError) as error:
            return VersionView(ref=pinned, version=version, files_error=str(error))
        return VersionView(ref=pinned, version=version, files=files)

    async def lineage(
        self, ref: Ref | str, *, upstream: bool = True, downstream: bool = True, depth: int = 10
    ) -> LineageGraph:
        direction = "both" if upstream == downstream else "up" if upstream else "down"
        path = fill(f"{VERSION}/lineage", _version(as_ref(ref)))
        return await self._http.get(path, LineageGraph, query={"direction": direction, "depth": depth})

    async def history(self, ref: Ref | str) -> History:
        parsed = as_ref(ref)
        if parsed.selector is None:
            return await self._history(fill(f"{MODEL}/history", _model(parsed)))
        return await self._history(fill(f"{VERSION}/history", _version(parsed)))

    async def _history(self, path: str) -> History:
        found = History()
        query: dict[str, Any] = {"limit": PAGE}
        while True:
            page = await self._http.get(path, HistoryPage, query=query)
            found.covered_since = page.covered_since
            found.extend(page.items)
            if page.next_cursor is None:
                return found
            query["cursor"] = page.next_cursor

    async def audit(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        actor: str | None = None,
        model: str | None = None,
    ) -> AsyncIterator[JournalEntry]:
        times = {name: time and time.isoformat() for name, time in (("since", since), ("until", until))}
        query = {**times, "actor": actor, "model": model}
        async for entry in self._http.pages("/v1/audit", JournalEntry, query=query):
            yield entry

    async def verify_audit(self, *, anchors: str | None = None, public_key: str | None = None) -> Verification:
        body = {"anchors": anchors, "public_key": public_key}
        return (await self._http.post("/v1/audit/verify", Verification, body))[0]

    async def audit_key(self) -> AuditKey:
        return await self._http.get("/v1/audit/key", AuditKey)

    # -- moving --------------------------------------------------------------------------------------------

    async def plan_copy(
        self,
        source: Ref | str,
        target: Ref | str,
        *,
        allow_lossy: Iterable[str] | None = None,
        packaging: str | None = None,
    ) -> CopyPlan:
        body = {**_ends(source, target), "allow_lossy": list(allow_lossy or ()), "packaging": packaging}
        plan, _ = await self._http.post("/v1/copies", CopyPlan, {**body, "dry_run": True})
        return plan

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
        body = {**_ends(source, target), "allow_lossy": list(allow_lossy or ()), "packaging": packaging}
        started, _ = await self._http.post("/v1/copies", OperationView, {**body, "reason": reason})
        return msgspec.convert((await self._finish(started, progress)).result, CopyReport)

    async def plan_migration(
        self,
        source: str,
        target: str,
        options: MigrationOptions | None = None,
        *,
        plan: Sequence[PlannedVersion] | None = None,
    ) -> MigrationPlan:
        body = {**_migration(source, target, options, plan), "dry_run": True}
        return (await self._http.post("/v1/migrations", MigrationPlan, body))[0]

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
        body = {**_migration(source, target, options, plan), "reason": reason}
        started, _ = await self._http.post("/v1/migrations", OperationView, body)
        try:
            ended = await self._finish(started, progress)
        except Incomplete:  # it ran to its end: the report says so
            ended = await self.operation(started.id)
        return msgspec.convert(ended.result, MigrationReport)

    def migration_rows(self, operation_id: str) -> AsyncIterator[MigratedVersion]:
        return self._http.pages(fill("/v1/migrations/{id}/rows", {"id": operation_id}), MigratedVersion)

    async def check(self, source: Ref | str, target: Ref | str, *, download: bool = False) -> CheckReport:
        body = {**_ends(source, target), "download": download}
        started, _ = await self._http.post("/v1/checks", OperationView, body)
        return msgspec.convert((await self._finish(started, None)).result, CheckReport)

    async def download(
        self, ref: Ref | str, directory: Path | str, *, progress: Progress | None = None
    ) -> DownloadReport:
        version = await self.version(ref)
        names = _version(version.ref)
        listed = self._http.pages(fill(f"{VERSION}/files", names), FileEntry, query={"payload": True})
        entries = [entry async for entry in listed]

        def open_file(entry: FileEntry, offset: int) -> AsyncIterator[bytes]:
            path = fill(f"{VERSION}/files/{{path}}", {**names, "path": entry.path})
            return self._http.stream(path, entry.size, offset)

        return await write_directory(Path(directory), version, entries, open_file, progress)

    async def _finish(self, view: OperationView, progress: Progress | None) -> OperationView:
        """Wait for the end of an operation. Raises the error it failed with."""
        if view.state not in ENDED:
            path = fill(f"{OPERATION}/events", {"id": view.id})
            async for view in self._http.events(path, OperationView, ended=lambda seen: seen.state in ENDED):
                if progress is not None and view.progress:
                    progress(view.progress)
        if view.state is IntentState.FAILED:
            raise FedregError.from_dict(view.error or {})
        if view.state is IntentState.CANCELLED:
            raise Cancelled(f"operation {view.id!r} was cancelled", cure="start it again where it is still wanted")
        return view

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
        body = {"ref": str(as_ref(ref)), "to": to, "reason": reason, "expected": expected, "dry_run": dry_run}
        report, _ = await self._http.post("/v1/promotions", PromotionReport, body)
        return await self._settled(report)

    async def set_approval(
        self, ref: Ref | str, decision: Approval | str, *, comment: str | None = None, reason: str | None = None
    ) -> OperationView:
        body = {"decision": parse_approval(decision), "comment": comment, "reason": reason}
        headers = await self._http.send("PUT", fill(f"{VERSION}/approval", _version(as_ref(ref))), body=body)
        return await self._made(headers)

    async def create_model(
        self,
        ref: Ref | str,
        *,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
        reason: str | None = None,
    ) -> OperationView:
        parsed = as_model(ref)
        body = {"name": parsed.model, "description": description, "tags": tags or {}, "reason": reason}
        _, headers = await self._http.post(fill(f"{REGISTRY}/models", {"registry": parsed.registry}), Model, body)
        return await self._made(headers)

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
        body = {
            "artifact_uri": artifact_uri,
            "version": version,
            "description": description,
            "tags": tags or {},
            "metrics": metrics or {},
            "params": params or {},
            "run_id": run_id,
            "reason": reason,
        }
        return (await self._http.post(fill(f"{MODEL}/versions", _model(as_model(ref))), Version, body))[0]

    async def delete(self, ref: Ref | str, *, reason: str | None = None) -> OperationView:
        parsed, query = as_ref(ref), {"reason": reason}
        if parsed.selector is None:
            headers = await self._http.send("DELETE", fill(MODEL, _model(parsed)), query=query)
        else:
            headers = await self._http.send("DELETE", fill(VERSION, _version(parsed)), query=query)
        return await self._made(headers)

    async def set_alias(self, ref: Ref | str, alias: str, *, reason: str | None = None) -> OperationView:
        parsed = as_ref(ref)
        body = {"version": _segment(parsed), "reason": reason}
        names = {**_model(parsed), "alias": alias}
        headers = await self._http.send("PUT", fill(f"{MODEL}/aliases/{{alias}}", names), body=body)
        return await self._made(headers)

    async def delete_alias(self, ref: Ref | str, alias: str, *, reason: str | None = None) -> OperationView:
        names = {**_model(as_ref(ref)), "alias": alias}
        headers = await self._http.send("DELETE", fill(f"{MODEL}/aliases/{{alias}}", names), query={"reason": reason})
        return await self._made(headers)

    async def set_tags(
        self, ref: Ref | str, tags: Mapping[str, str], *, remove: Collection[str] = (), reason: str | None = None
    ) -> OperationView:
        return await self._edit(as_ref(ref), {"tags": {**tags, **dict.fromkeys(remove)}, "reason": reason})

    async def set_description(self, ref: Ref | str, text: str, *, reason: str | None = None) -> OperationView:
        return await self._edit(as_ref(ref), {"description": text, "reason": reason})

    async def _edit(self, ref: Ref, body: Mapping[str, Any]) -> OperationView:
        if ref.selector is None:
            headers = await self._http.send("PATCH", fill(MODEL, _model(ref)), body=body)
        else:
            headers = await self._http.send("PATCH", fill(VERSION, _version(ref)), body=body)
        return await self._made(headers)

    async def _made(self, headers: Mapping[str, str]) -> OperationView:
        """The operation that a change was."""
        return await self.operation(headers[OPERATION_HEADER])

    # -- operations ----------------------------------------------------------------------------------------

    async def operations(
        self, *, kinds: Collection[IntentKind] = (), states: Collection[IntentState] = (), limit: int = 100
    ) -> list[OperationView]:
        query = {"kind": tuple(kinds), "state": tuple(states)}
        return await self._newest("/v1/operations", query, limit, OperationView)

    async def operation(self, operation_id: str) -> OperationView:
        return await self._http.get(fill(OPERATION, {"id": operation_id}), OperationView)

    async def promotions(self, *, states: Collection[IntentState] = (), limit: int = 100) -> list[OperationView]:
        return await self._newest("/v1/promotions", {"state": tuple(states)}, limit, OperationView)

    async def promotion(self, promotion_id: str) -> OperationView:
        return await self._http.get(fill("/v1/promotions/{id}", {"id": promotion_id}), OperationView)

    async def cancel_promotion(self, promotion_id: str) -> OperationView:
        return await self._http.post_once(fill("/v1/promotions/{id}/cancel", {"id": promotion_id}), OperationView)

    async def approve_promotion(self, promotion_id: str, *, comment: str | None = None) -> PromotionReport:
        path = fill("/v1/promotions/{id}/approve", {"id": promotion_id})
        return await self._http.post_once(path, PromotionReport, {"comment": comment})

    async def reject_promotion(self, promotion_id: str, *, comment: str | None = None) -> PromotionReport:
        path = fill("/v1/promotions/{id}/reject", {"id": promotion_id})
        return await self._http.post_once(path, PromotionReport, {"comment": comment})

    async def roll_back_promotion(self, promotion_id: str, *, reason: str | None = None) -> PromotionReport:
        path = fill("/v1/promotions/{id}/rollback", {"id": promotion_id})
        return await self._settled(await self._http.post_once(path, PromotionReport, {"reason": reason}))

    async def _settled(self, report: PromotionReport) -> PromotionReport:
        """The report when the promotion has ended; at once where it waits for people."""
        if report.operation is None or report.state is None or report.state in (*ENDED, IntentState.WAITING):
            return report
        return read_report(await self._finish(await self.operation(report.operation), None)) or report

    # -- links ---------------------------------------------------------------------------------------------

    async def links(self) -> list[LinkView]:
        return [view async for view in self._http.pages("/v1/links", LinkView)]

    async def link(self, name: str) -> LinkView:
        return await self._http.get(fill("/v1/links/{link}", {"link": name}), LinkView)

    async def set_link(self, name: str, link: Link, *, reason: str | None = None) -> LinkView:
        body = {"link": link, "reason": reason}
        return await self._http.put(fill("/v1/links/{link}", {"link": name}), LinkView, body)

    async def delete_link(self, name: str, *, reason: str | None = None) -> None:
        await self._http.send("DELETE", fill("/v1/links/{link}", {"link": name}), query={"reason": reason})

    async def drift(self, links: Collection[str] = (), *, refresh: bool = False) -> DriftReport:
        return await self._http.get("/v1/drift", DriftReport, query={"link": tuple(links), "refresh": refresh})

    async def repair_drift(
        self,
        links: Collection[str] = (),
        *,
        reason: str | None = None,
        max_changes: int | None = None,
        dry_run: bool = False,
    ) -> RepairReport:
        body = {"links": list(links), "reason": reason, "max_changes": max_changes, "dry_run": dry_run}
        report = await self._http.post_once("/v1/drift/repair", RepairReport, body)
        for operation in report.operations:
            await self._finish(await self.operation(operation), None)
        return report

    async def cancel(self, operation_id: str) -> OperationView:
        return await self._http.post_once(fill(f"{OPERATION}/cancel", {"id": operation_id}), OperationView)

    # -- webhooks ------------------------------------------------------------------------------------------

    async def webhooks(self) -> list[Webhook]:
        return [webhook async for webhook in self._http.pages("/v1/webhooks", Webhook)]

    async def webhook(self, webhook_id: str) -> Webhook:
        return await self._http.get(fill(WEBHOOK, {"id": webhook_id}), Webhook)

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
        filters = {"actions": list(actions), "registries": list(registries), "model": model}
        body = {"id": webhook_id, "url": url, **filters, "new_secret": new_secret}
        return await self._http.post_once("/v1/webhooks", Webhook, body=body)

    async def delete_webhook(self, webhook_id: str) -> None:
        await self._http.send("DELETE", fill(WEBHOOK, {"id": webhook_id}))

    async def test_webhook(self, webhook_id: str) -> Attempt:
        return await self._http.post_once(fill(f"{WEBHOOK}/test", {"id": webhook_id}), Attempt)

    async def deliveries(
        self, webhook_id: str, *, states: Collection[DeliveryState] = (), limit: int = 100
    ) -> list[Delivery]:
        query = {"state": tuple(states)}
        return await self._newest(fill(f"{WEBHOOK}/deliveries", {"id": webhook_id}), query, limit, Delivery)

    async def redeliver(self, webhook_id: str, sequence: int) -> Delivery:
        names = {"id": webhook_id, "sequence": str(sequence)}
        return await self._http.post_once(fill(f"{WEBHOOK}/deliveries/{{sequence}}/redeliver", names), Delivery)

    # -- steps ---------------------------------------------------------------------------------------------

    async def _newest(self, path: str, query: Mapping[str, Any], limit: int, kind: type[Item]) -> list[Item]:
        found: list[Item] = []
        async for item in self._http.pages(path, kind, query=query, limit=min(limit, 1000)):
            found.append(item)
            if len(found) == limit:
                break
        return found


def _migration(
    source: str, target: str, options: MigrationOptions | None, plan: Sequence[PlannedVersion] | None
) -> dict[str, Any]:
    """The body of a migration. What of a plan's rows only informs stays here: a body has its limit."""
    chosen = msgspec.to_builtins(options or MigrationOptions())
    rows = None if plan is None else [msgspec.to_builtins(replace(row, losses=(), problem=None)) for row in plan]
    return {"source": source, "target": target, **chosen, "plan": rows}


def _ends(source: Ref | str, target: Ref | str) -> dict[str, str]:
    return {"source": str(as_ref(source)), "target": str(as_ref(target))}


def _model(ref: Ref) -> dict[str, str]:
    return {"registry": ref.registry, "model": ref.model}


def _version(ref: Ref) -> dict[str, str]:
    """The names of a path to a version. Raises InvalidRequest for a reference without selector."""
    return {**_model(ref), "version": _segment(ref)}


def _segment(ref: Ref) -> str:
    """A version as the API takes it: its id, or a selector after an `@`."""
    selector = ref.require_selector()
    if selector.kind is SelectorKind.VERSION and not selector.value.startswith("@"):
        return selector.value
    return f"@{selector}"


@asynccontextmanager
async def open_remote(
    url: str, token: str | None = None, *, timeout: float = QUIET_SECONDS
) -> AsyncIterator[RemoteClient]:
    """A client of the gateway at `url` (`http://gateway:8080`); nothing is sent before the first call.

    `timeout`: seconds without a byte, after which a request is given up (GatewayUnavailable). Raises
    InvalidRequest for an address or a token that can't be one.
    """
    async with open_transport(url, token, timeout=timeout) as transport:
        yield RemoteClient(transport)
