"""Scans: full, incremental, resumed; what was observed is journalled, and deletions are confirmed."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from fedreg.domain.errors import RegistryUnavailable
from fedreg.domain.models import Batch, ModelDraft, Version
from fedreg.domain.records import InventoryQuery, Origin
from fedreg.domain.refs import Ref
from fedreg.domain.reports import Inventory
from fedreg.services import audit, catalog, copy, promotion
from fedreg.services.deletions import MAX_DELETES
from fedreg.services.gateway import Gateway
from fedreg.services.refresh import RETRY_AFTER, refresh

from .conftest import ACTOR, make_version


async def listed(gateway: Gateway) -> list[tuple[str, str | None]]:
    page = await catalog.list_inventory(gateway, InventoryQuery(registries=("left",)), versions=True)
    return [(row.model, row.version) for row in page.items]


async def test_the_first_scan_is_a_baseline_and_later_changes_are_observed(gateway: Gateway) -> None:
    await make_version(gateway, "left", "churn")
    first = await refresh(gateway, "left")
    assert (first.models, first.versions, first.error) == (1, 1, None)
    assert await audit.list_audit(gateway) == []
    adapter = await gateway.registries.get("left")
    version = await adapter.get_version("churn", "1")
    await adapter.set_stage(version.id, "staging")  # past the gateway
    await refresh(gateway, "left")
    entries = await audit.list_audit(gateway)
    assert [(e.change.action, e.change.before, e.change.after) for e in entries] == [("stage_set", "none", "staging")]
    assert entries[0].change.origin is Origin.OBSERVED and entries[0].change.not_before is not None


async def test_our_own_changes_are_not_observed_again(gateway: Gateway) -> None:
    await make_version(gateway, "left", "churn")
    await refresh(gateway, "left")
    await promotion.promote(gateway, Ref.parse("left:churn@1"), "staging", actor=ACTOR)
    await refresh(gateway, "left")
    await refresh(gateway, "left")
    assert [e.change.origin for e in await audit.list_audit(gateway)] == [Origin.OURS]


async def test_a_deletion_is_believed_after_a_whole_sweep_and_a_get(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make_version(gateway, "left", "churn")
    await make_version(gateway, "left", "other")
    await refresh(gateway, "left")
    adapter = await gateway.registries.get("left")
    await adapter.delete_version("churn", "1")
    incremental = await refresh(gateway, "left", full=False)
    assert (incremental.deleted, await listed(gateway)) == (0, [("churn", "1"), ("other", "1")])
    report = await refresh(gateway, "left")
    assert (report.deleted, await listed(gateway)) == (1, [("other", "1")])
    assert [e.change.action for e in await audit.list_audit(gateway)] == ["deleted"]


async def test_what_a_sweep_missed_but_a_get_finds_stays(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    await make_version(gateway, "left", "churn")
    await refresh(gateway, "left")
    await show_nothing(gateway, monkeypatch)
    report = await refresh(gateway, "left")
    assert (report.deleted, await listed(gateway)) == (0, [("churn", "1")])


async def test_too_many_deletions_at_once_are_withheld(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(MAX_DELETES + 1):
        await make_version(gateway, "left", "churn", description=str(number))
    await refresh(gateway, "left")
    adapter = await gateway.registries.get("left")
    for number in range(MAX_DELETES + 1):
        await adapter.delete_version("churn", str(number + 1))
    report = await refresh(gateway, "left")
    assert (report.deleted, report.deletions_withheld) == (0, MAX_DELETES + 1)
    assert len(await listed(gateway)) == MAX_DELETES + 1


async def test_a_scan_that_broke_off_resumes_at_its_page(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    adapter = await gateway.registries.get("left")
    for name in ("a", "b", "c"):
        await make_version(gateway, "left", name)
    scan, asked = adapter.scan, []

    async def one_model_a_time(cursor: str | None) -> Batch:
        """The first page, then a registry that is down, once; then the rest."""
        asked.append(cursor)
        if len(asked) == 2:
            raise RegistryUnavailable("down")
        batch = await scan(None)
        if len(asked) == 1:
            return Batch(
                models=batch.models[:1], versions=batch.versions[:1], cursor="page 2", complete=False, full=True
            )
        return batch

    monkeypatch.setattr(adapter, "scan", one_model_a_time)
    broken = await refresh(gateway, "left")
    assert broken.error is not None and broken.error["code"] == "registry_unavailable"
    resumed = await refresh(gateway, "left")
    assert resumed.error is None and asked == [None, "page 2", "page 2"]
    assert [model for model, _ in await listed(gateway)] == ["a", "b", "c"]


async def test_what_the_target_cannot_hold_is_held_and_shown_by_the_gateway(gateway: Gateway) -> None:
    """The memory registry takes descriptions of 500 characters, here the source has a longer one of its own."""
    left, right = await gateway.registries.get("left"), await gateway.registries.get("right")
    await make_version(gateway, "left", "churn", description="short")
    long = "x" * 501
    await right.create_model(ModelDraft(name="churn"))
    get = left.get_version

    async def described(model: str, version: str) -> Version:
        return replace(await get(model, version), description=long, tags={"UPPER KEY" * 10: "v"})

    left.get_version = described  # type: ignore[method-assign]
    report = await copy.copy_version(gateway, Ref.parse("left:churn@1"), Ref("right", "churn"), actor=ACTOR)
    assert {(loss.field.split(".")[0], loss.kind.value) for loss in report.losses} == {
        ("description", "held_by_gateway"),
        ("tags", "held_by_gateway"),
    }
    native = await right.get_version("churn", "1")
    assert native.description is None and not native.tags
    shown = await catalog.get_version(gateway, Ref.parse(report.target))
    assert shown.description == long and shown.tags == {"UPPER KEY" * 10: "v"}
    assert {"description"} <= set(shown.held_by_gateway)


async def show_nothing(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    adapter = await gateway.registries.get("left")

    async def empty(cursor: str | None) -> Batch:
        return Batch(models=(), versions=(), cursor=None, complete=True, full=True)

    monkeypatch.setattr(adapter, "scan", empty)


class HeldScans:
    """A registry's scans, counted: each fails while `down`, else waits until `go`."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway, self.count, self.down = gateway, 0, False
        self.begun, self.go = asyncio.Event(), asyncio.Event()

    async def replace_scan(self, monkeypatch: pytest.MonkeyPatch) -> None:
        adapter = await self.gateway.registries.get("left")
        self.scan = adapter.scan
        monkeypatch.setattr(adapter, "scan", self)

    async def __call__(self, cursor: str | None) -> Batch:
        self.count += 1
        if self.down:
            raise RegistryUnavailable("down")
        self.begun.set()
        await self.go.wait()
        return await self.scan(cursor)


async def page_of_all(gateway: Gateway) -> Inventory:
    return await catalog.list_inventory(gateway, InventoryQuery(), versions=True)


@pytest.fixture
async def held(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> HeldScans:
    for registry in ("left", "right"):
        await make_version(gateway, registry, "churn")
    await refresh(gateway, "right")
    scans = HeldScans(gateway)
    await scans.replace_scan(monkeypatch)
    return scans


async def test_readers_of_a_registry_never_scanned_share_one_scan(gateway: Gateway, held: HeldScans) -> None:
    readers = [asyncio.create_task(page_of_all(gateway)) for _ in range(3)]
    await held.begun.wait()
    readers.pop().cancel()  # one that gives up does not take the scan from the others
    held.go.set()
    pages = await asyncio.gather(*readers)
    assert [[row.registry for row in page.items] for page in pages] == [["left", "right"]] * 2
    assert held.count == 1


async def test_a_registry_that_failed_is_tried_again_behind_the_readers(gateway: Gateway, held: HeldScans) -> None:
    held.down = True
    first = await page_of_all(gateway)
    assert [(part["registry"], part["error"]["code"]) for part in first.partial] == [("left", "registry_unavailable")]
    assert (await page_of_all(gateway)).partial == first.partial
    assert held.count == 1  # not again so soon

    held.down, now = False, gateway.now
    gateway.now = lambda: now() + RETRY_AFTER
    again = await page_of_all(gateway)  # answered while the scan is under way
    assert (again.partial, [row.registry for row in again.items]) == (first.partial, ["right"])
    await held.begun.wait()
    assert (await page_of_all(gateway)).partial == first.partial
    held.go.set()
    await refresh(gateway, "left")  # comes after the one under way
    whole = await page_of_all(gateway)
    assert (whole.partial, [row.registry for row in whole.items]) == ((), ["left", "right"])


async def test_a_refresh_that_is_asked_for_is_done_whatever_failed_before(gateway: Gateway, held: HeldScans) -> None:
    held.down = True
    await page_of_all(gateway)
    held.down = False
    held.go.set()
    page = await catalog.list_inventory(gateway, InventoryQuery(), versions=True, refresh=True)
    assert (page.partial, [row.registry for row in page.items]) == ((), ["left", "right"])
    again = await catalog.list_inventory(gateway, InventoryQuery(), versions=True, max_age=timedelta(hours=1))
    assert again.partial == ()
    assert held.count == 2


async def test_closing_ends_a_scan_behind_the_readers(gateway: Gateway, held: HeldScans) -> None:
    reader = asyncio.create_task(page_of_all(gateway))
    await held.begun.wait()
    await gateway.scans.aclose()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert (await audit.list_audit(gateway)) == []
