"""Every method of the interface, in process and over HTTP."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from fedreg.client.interface import Client
from fedreg.domain.capability_table import describe_capabilities
from fedreg.domain.errors import (
    ERRORS,
    AlreadyExists,
    Cancelled,
    Conflict,
    FedregError,
    InvalidRequest,
    NotFound,
    Outcome,
    PreconditionFailed,
    Unsupported,
)
from fedreg.domain.evidence import Fault
from fedreg.domain.proofs import Proof
from fedreg.domain.records import Actor, Intent, IntentKind, IntentState, InventoryQuery
from fedreg.domain.refs import Ref
from fedreg.domain.reports import ModelView, VersionView
from fedreg.domain.stages import Approval
from fedreg.services.anchors import append_heads, sign_head
from fedreg.services.gateway import Gateway
from fedreg.store import heads, intents
from fedreg_adapters.memory.standin import Vendor
from fedreg_adapters.memory.standin_faults import Mishap, VendorError

from .conftest import FILES, Gate, Seed

ODD = "team/ü b%2Fc@d:e?f#g&h=i+j"


async def test_registries(client: Client) -> None:
    assert [(view.name, view.reachable) for view in await client.registries()] == [("left", True), ("right", True)]
    assert [view.reachable for view in await client.registries(ping=False)] == [None, None]
    assert (await client.registry("left")).reachable is True
    with pytest.raises(NotFound, match="middle"):
        await client.registry("middle")
    capabilities = {view.registry: view.capabilities for view in await client.capabilities()}
    assert capabilities.keys() == {"left", "right"} and capabilities["left"].operations
    assert [found.registry for found in await client.doctor(["right"])] == ["right"]
    assert [found.registry for found in await client.doctor()] == ["left", "right"]


async def test_capabilities_say_what_proves_them(client: Client) -> None:
    [left, _] = await client.capabilities()
    assert left.proofs["upload"] == left.proofs["stage production"] == (Proof.STANDIN,)
    assert left.proofs.keys() == {
        name for name, text in describe_capabilities(left.capabilities).items() if text != "-"
    }
    assert "oracle" in left.exempt and not left.unproven


async def test_scans(client: Client, seed: Seed, vendor: Vendor) -> None:
    await seed()
    await seed("other", "right")
    [left] = await client.refresh(["left"])
    assert (left.registry, left.models, left.versions, left.error) == ("left", 1, 1, None)
    assert [report.registry for report in await client.refresh()] == ["left", "right"]
    facets = await client.facets()
    assert (facets.registries, facets.stages) == ({"left": 1, "right": 1}, {"none": 2})
    assert (await client.facets(["right"])).registries == {"right": 1}
    assert (await client.facets(model="chu*", stage="none", search="churn")).registries == {"left": 1}
    assert (await client.facets(tag=("team", "a"))).registries == {}
    vendor.mishaps.planned.append(Mishap("refuse", "shelf.list", times=0, error=VendorError("down")))
    [failed] = await client.refresh(["left"])
    assert failed.error and failed.error["code"] == "registry_unavailable"
    page = await client.inventory(InventoryQuery(), refresh=True)
    assert [row.registry for row in page.items] == ["left", "right"]
    assert [missing["registry"] for missing in page.partial] == ["left"]
    with pytest.raises(FedregError) as caught:
        _ = [version async for version in client.versions(refresh=True)]
    assert caught.value.code == "registry_unavailable"
    for call in (client.refresh, client.facets, client.doctor):
        with pytest.raises(NotFound, match="middle"):
            await call(["middle"])


async def test_a_large_listing_is_read_to_its_end(client: Client, gateway: Gateway, seed: Seed) -> None:
    adapter = await gateway.registries.get("left")
    await seed("m0000")
    await asyncio.gather(*(seed(f"m{number:04}", files={"f": b"1"}) for number in range(1, 1105)))
    names = [f"m{number:04}" for number in range(1105)]
    assert [model.name async for model in client.models("left")] == names
    assert [model.name async for model in client.models("left", name="m110")] == names[1100:]
    found = [version.ref async for version in client.versions(registry="left", model="m1*")]
    assert found == [Ref("left", name).at_version("1") for name in names[1000:]]
    first = await client.inventory(InventoryQuery(limit=1000), versions=True)
    rest = await client.inventory(InventoryQuery(limit=1000, cursor=first.next_cursor), versions=True)
    assert [row.model for row in (*first.items, *rest.items)] == names and rest.next_cursor is None
    await adapter.delete_version("m1104", "1")
    assert len([version async for version in client.versions(model="m11*")]) == 4  # one is gone by now


async def test_inventory_filters(client: Client, seed: Seed) -> None:
    await seed("a")
    await seed("b", "right")
    await client.set_tags("left:a@version:1", {"team": "growth=1"})
    await client.set_alias("left:a@version:1", "champion")
    for query in (
        InventoryQuery(registries=("left",)),
        InventoryQuery(model="a*"),
        InventoryQuery(tag=("team", "growth=1")),
        InventoryQuery(alias="champion"),
        InventoryQuery(search="a", registries=("left", "right"), model="[a]"),
    ):
        page = await client.inventory(query, versions=True, max_age=timedelta(0))
        assert [row.model for row in page.items] == ["a"], query
    rows = (await client.inventory(InventoryQuery())).items
    assert [(row.model, row.versions) for row in rows] == [("a", 1), ("b", 1)]
    with pytest.raises(InvalidRequest, match="cursor"):
        await client.inventory(InventoryQuery(cursor="forged"))


async def test_names_travel(client: Client, seed: Seed) -> None:
    ref = Ref("left", ODD)
    await client.create_model(ref, description="odd", tags={"ü/=": "%&?"})
    await client.set_tags(ref, {"k": "v"}, remove=["ü/="])
    await seed_into(client, ref, seed)
    version = await client.version(ref.at_version("1"))
    assert version.ref == ref.at_version("1")
    assert (await client.version(str(version.ref))).identity == version.identity
    shown = await client.show(ref)
    assert isinstance(shown, ModelView) and shown.model.ref == ref and dict(shown.model.tags) == {"k": "v"}
    report = await client.copy(version.ref, Ref("right", ODD), allow_lossy=["*"])
    assert report.target == str(Ref("right", ODD).at_version("1"))


async def seed_into(client: Client, ref: Ref, seed: Seed) -> None:
    source = await seed("plain", "right")
    await client.copy(source.ref, ref, allow_lossy=["*"])


async def test_reading(client: Client, seed: Seed) -> None:
    await seed()
    await seed()
    await client.set_alias("left:churn@version:1", "champion")
    await client.promote("left:churn@version:1", "production", reason="Q3")
    shown = await client.show("left:churn")
    assert isinstance(shown, ModelView)
    assert [version.version for version in shown.versions] == ["2", "1"] and shown.model.aliases == {"champion": "1"}
    for selector in ("version:1", "1", "alias:champion", "champion", "stage:production"):
        view = await client.show(f"left:churn@{selector}")
        assert isinstance(view, VersionView) and view.ref == "left:churn@version:1"
        assert [entry.path for entry in view.files] == list(FILES)
        assert (await client.version(f"left:churn@{selector}")).stage == "production"
    history = await client.history("left:churn@version:1")
    assert [entry.change.action for entry in history] == ["alias_set", "stage_set"]
    assert len(await client.history("left:churn")) == 2
    audit = [entry async for entry in client.audit(model="churn", until=datetime(2100, 1, 1, tzinfo=UTC))]
    assert [entry.change.reason for entry in audit] == [None, "Q3"]
    assert [entry async for entry in client.audit(since=datetime(2100, 1, 1, tzinfo=UTC))] == []
    assert (await client.verify_audit()).ok
    with pytest.raises(InvalidRequest, match="names a model, not a version"):
        await client.version("left:churn")
    with pytest.raises(InvalidRequest, match="names a model, not a version"):
        await client.lineage("left:churn")


@pytest.mark.parametrize("auth", ["audit: {key: audit.pem}\n"])
async def test_the_journal_against_heads_from_outside(
    client: Client, gateway: Gateway, seed: Seed, tmp_path: Path
) -> None:
    await seed()
    await client.promote("left:churn@version:1", "staging")
    await sign_head(gateway)
    key = await client.audit_key()
    append_heads(tmp_path / "heads.jsonl", await gateway.store.read(heads.list_heads))
    lines = (tmp_path / "heads.jsonl").read_text()
    whole = await client.verify_audit(anchors=lines, public_key=key.public_key)
    assert (whole.ok, whole.heads, whole.vouched_until) == (True, 2, 1)
    forged = await client.verify_audit(anchors=lines.replace('"sequence":1', '"sequence":2'))
    assert (forged.ok, forged.fault) == (False, Fault.FORGED)
    assert [head.place for head in forged.bad_heads] == ["anchors:1"]
    with pytest.raises(InvalidRequest, match="public_key"):
        await client.verify_audit(public_key="none")


async def test_a_past_inventory(client: Client, gateway: Gateway, seed: Seed) -> None:
    early = gateway.now()
    await seed()
    await seed(registry="right")
    await client.refresh(["left"])
    before = gateway.now()
    await client.promote("left:churn@version:1", "production")
    after = gateway.now()
    for at, stage, model in ((before, "none", "churn"), (after, "production", "churn"), (early, "unknown", "unknown")):
        query = InventoryQuery(registries=("left",), as_of=at)
        for versions in (True, False):
            page = await client.inventory(query, versions=versions)
            assert [(row.model, row.stage) for row in page.items] == [(model, stage)]
            assert page.as_of == at and [one.registry for one in page.coverage] == ["left"]
            assert [part["error"]["code"] for part in page.partial] == (["not_covered"] if at is early else [])
    assert (await client.facets(as_of=before)).stages == {"none": 1}
    assert (await client.facets(["left"], as_of=after, stage="production")).registries == {"left": 1}
    history = await client.history("left:churn@version:1")
    assert history.covered_since is not None and early < history.covered_since < before
    assert history.covered_since == (await client.registry("left")).covered_since
    assert [entry.change.after for entry in history] == ["production"]
    assert (await client.history("right:churn@version:1")).covered_since is None
    for wrong in (replace(query, as_of=datetime(2100, 1, 1, tzinfo=UTC)), replace(query, sort="-stage_since")):
        with pytest.raises(InvalidRequest):
            await client.inventory(wrong)
    with pytest.raises(InvalidRequest, match="for now"):
        await client.inventory(InventoryQuery(as_of=before), refresh=True)


async def test_an_ambiguous_selector_names_its_candidates(client: Client, seed: Seed) -> None:
    await seed()
    await seed()
    await client.set_alias("left:churn@version:1", "2")
    with pytest.raises(InvalidRequest) as caught:
        await client.version("left:churn@2")
    assert caught.value.details["candidates"] == ["left:churn@version:1", "left:churn@version:2"]


async def test_copying(client: Client, seed: Seed, tmp_path: Path) -> None:
    await seed()
    await client.set_tags("left:churn@1", {"team": "growth"})
    plan = await client.plan_copy("left:churn@1", "right:churn")
    assert dict(plan.files) == {path: len(content) for path, content in FILES.items()}
    report = await client.copy("left:churn@1", Ref("right", "churn"), reason="move")
    assert (report.moved, report.files, report.target) == (True, 3, "right:churn@version:1")
    again = await client.copy("left:churn@1", "right:churn")
    assert (again.moved, again.target) == (False, report.target)
    checked = await client.check("left:churn@1", report.target, download=True)
    assert checked.same and checked.source_digest == checked.target_digest
    assert [row.symbol for row in (await client.check("left:churn", "right:churn", download=True)).rows] == ["="]
    graph = await client.lineage(report.target, downstream=False)
    assert [edge.source.label for edge in graph.edges] == ["left:churn@version:1"]
    saved = await client.download(report.target, tmp_path / "out")
    assert (saved.ref, saved.files, saved.digest) == (report.target, 3, report.digest)
    found = {str(p.relative_to(tmp_path / "out")): p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert found == FILES
    with pytest.raises(AlreadyExists, match="not empty"):
        await client.download(report.target, tmp_path / "out")
    with pytest.raises(InvalidRequest, match="packaging 'zip'"):
        await client.plan_copy("left:churn@1", "right:other", packaging="zip")
    with pytest.raises(NotFound):
        await client.check("left:churn@9", report.target)


async def test_progress_is_told(client: Client, seed: Seed, gate: Gate, tmp_path: Path) -> None:
    await seed()
    gate.path = "data/model ü.pkl"
    told: list[Any] = []
    first = asyncio.Event()

    def progress(state: Any) -> None:
        told.append(dict(state))
        first.set()

    copying = asyncio.create_task(client.copy("left:churn@1", "right:churn", progress=progress))
    await first.wait()
    gate.open.set()
    assert (await copying).moved
    assert told[0]["files"] == 3 and told[0]["bytes"] == sum(map(len, FILES.values()))
    told.clear()
    await client.download("left:churn@1", tmp_path / "out", progress=progress)
    whole = {"files": 3, "files_done": 3, "bytes": told[0]["bytes"], "bytes_done": told[0]["bytes"]}
    assert told[-1] == whole and told == sorted(told, key=lambda state: state["bytes_done"])


async def test_a_copy_is_cancelled(client: Client, seed: Seed, gate: Gate) -> None:
    await seed()
    copying = asyncio.create_task(client.copy("left:churn@1", "right:churn"))
    await gate.reached.wait()
    [running] = await client.operations(kinds=[IntentKind.COPY], states=[IntentState.RUNNING])
    cancelled = await client.cancel(running.id)
    assert cancelled.state is IntentState.CANCELLED
    with pytest.raises(Cancelled):
        await copying
    gate.open.set()
    with pytest.raises(Conflict, match="cancelled"):
        await client.cancel(running.id)
    with pytest.raises(NotFound):
        await client.version("right:churn@1")


async def test_a_failed_copy_raises_what_it_failed_with(client: Client, seed: Seed, vendor: Vendor) -> None:
    await seed()
    vendor.mishaps.planned.append(Mishap("refuse", "blob.get", times=0, error=VendorError("not-allowed")))
    with pytest.raises(FedregError) as caught:
        await client.copy("left:churn@1", "right:churn")
    assert caught.value.code == "registry_auth_error" and caught.value.registry == "left"
    [failed] = await client.operations(kinds=[IntentKind.COPY])
    assert failed.error and failed.error["code"] == caught.value.code


async def test_changing(client: Client, seed: Seed) -> None:
    made = await client.create_model("left:churn", description="who leaves", tags={"a": "1", "b": "2"})
    assert (made.kind, made.state) == (IntentKind.CHANGE, IntentState.SUCCEEDED)
    assert (await client.operation(made.id)).id == made.id
    await client.set_tags("left:churn", {"c": "3"}, remove=["a"])
    await client.set_description("left:churn", "who may leave", reason="clearer")
    shown = await client.show("left:churn")
    assert isinstance(shown, ModelView)
    assert (shown.model.description, dict(shown.model.tags)) == ("who may leave", {"b": "2", "c": "3"})
    with pytest.raises(AlreadyExists):
        await client.create_model("left:churn")
    with pytest.raises(InvalidRequest, match="names a version"):
        await client.create_model("left:churn@1")
    await client.delete("left:churn", reason="again")
    with pytest.raises(NotFound):
        await client.show("left:churn")


async def test_a_promotion_that_waits_can_be_cancelled(client: Client, gateway: Gateway) -> None:
    now = gateway.now()
    waiting = Intent(
        id="promotion-waiting",
        kind=IntentKind.PROMOTION,
        state=IntentState.WAITING,
        actor=Actor(subject="anonymous"),
        plan={"ref": "left:churn@version:1", "stage": "production"},
        created_at=now,
        updated_at=now,
    )
    for intent in (waiting, replace(waiting, id="change-waiting", kind=IntentKind.CHANGE)):
        await gateway.store.write(partial(intents.create, intent=intent))
    assert (await client.cancel_promotion(waiting.id)).state is IntentState.CANCELLED
    with pytest.raises(Conflict, match="cancelled"):
        await client.cancel_promotion(waiting.id)
    with pytest.raises(NotFound):
        await client.cancel_promotion("change-waiting")


async def test_the_order_of_versions(client: Client, seed: Seed) -> None:
    for _ in range(3):
        await seed()
    await client.refresh()
    for number in ("3", "1"):
        await client.promote(f"left:churn@{number}", "staging")
    found = [version.version async for version in client.versions(registry="left", sort="-stage_since")]
    assert found == ["1", "3", "2"]
    page = await client.inventory(InventoryQuery(sort="stage_since", limit=1), versions=True)
    assert [row.version for row in page.items] == ["3"] and page.next_cursor
    with pytest.raises(InvalidRequest, match="cursor"):
        await client.inventory(InventoryQuery(cursor=page.next_cursor), versions=True)
    with pytest.raises(InvalidRequest, match="sort"):
        await client.inventory(InventoryQuery(sort="size"))


async def test_registering_bytes_in_place(client: Client, vendor: Vendor) -> None:
    vendor.uploads["placed"] = {"model.bin": b"bytes"}
    await client.create_model("left:churn")
    fields = {"description": "one", "tags": {"a": "1"}, "metrics": {"auc": 0.9}, "params": {"depth": "3"}}
    made = await client.create_version("left:churn", "memory:upload/placed", **fields, run_id="run-7", reason="new")  # type: ignore[arg-type]
    assert made == await client.version("left:churn@version:1")
    assert (made.description, dict(made.metrics), dict(made.params)) == ("one", {"auc": 0.9}, {"depth": "3"})
    assert (made.provenance.run_id, made.approval) == ("run-7", Approval.PENDING)
    [entry] = await client.history(made.ref)
    assert (entry.change.action, entry.change.reason) == ("created", "new")
    with pytest.raises(InvalidRequest, match="names a version"):
        await client.create_version(made.ref, "memory:upload/placed")
    with pytest.raises(Unsupported, match="numbers versions itself"):
        await client.create_version("left:churn", "memory:upload/placed", version="9")
    with pytest.raises(NotFound):
        await client.create_version("left:leavers", "memory:upload/placed")


async def test_changing_versions(client: Client, seed: Seed) -> None:
    await seed()
    ref = "left:churn@version:1"
    await client.set_tags(ref, {"k": "v", "gone": "x"})
    await client.set_tags(ref, {}, remove=["gone"])
    await client.set_description(ref, "first")
    await client.set_alias(ref, "champion", reason="best")
    await client.set_approval("left:churn@alias:champion", "approved", comment="fine")
    version = await client.version(ref)
    assert (dict(version.tags), version.description, version.aliases) == ({"k": "v"}, "first", ("champion",))
    assert (version.approval, version.approval_comment) == (Approval.APPROVED, "fine")
    await client.delete_alias("left:churn", "champion")
    with pytest.raises(NotFound, match="champion"):
        await client.delete_alias("left:churn", "champion")
    with pytest.raises(InvalidRequest, match="perhaps"):
        await client.set_approval(ref, "perhaps")
    for refused in ("left:churn@latest", "left:churn@stage:none"):
        with pytest.raises(InvalidRequest):
            await client.delete(refused)
    await client.delete(ref)
    with pytest.raises(NotFound):
        await client.delete(ref)


async def test_promoting(client: Client, seed: Seed) -> None:
    await seed()
    await seed()
    planned = await client.promote("left:churn@1", "production", dry_run=True)
    assert (planned.changed, planned.operation) == (True, None)
    made = await client.promote("left:churn@1", "production", reason="Q3")
    same = await client.promote("left:churn@1", "production")
    assert (same.changed, same.operation) == (False, None)
    moved = await client.promote("left:churn@2", "production", expected="none")
    assert moved.holders_before == ("1",)
    assert [view.id for view in await client.promotions()] == [moved.operation, made.operation]
    assert [view.id for view in await client.promotions(limit=1)] == [moved.operation]
    assert await client.promotions(states=[IntentState.FAILED]) == []
    assert (await client.promotion(str(made.operation))).reason == "Q3"
    tagged = await client.set_tags("left:churn", {"a": "1"})
    for call, operation in ((client.promotion, tagged.id), (client.promotion, "none"), (client.operation, "none")):
        with pytest.raises(NotFound):
            await call(operation)
    with pytest.raises(PreconditionFailed):
        await client.promote("left:churn@2", "archived", expected="staging")
    with pytest.raises(InvalidRequest, match="Prod!"):
        await client.promote("left:churn@2", "Prod!")


@pytest.mark.parametrize("code", [code for code in ERRORS if code != "error"])
async def test_every_error_arrives_with_all_its_fields(
    client: Client, gateway: Gateway, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    raised = ERRORS[code](
        "it went 'wrong'",
        cure="mend it",
        registry="left",
        operation="get_version",
        outcome=Outcome.UNKNOWN,
        upstream_code="E42",
        request_id="r-1",
        retry_after=7.5,
        details={"candidates": ["a", "b"]},
    )

    async def fail(name: str) -> Any:
        raise raised

    monkeypatch.setattr(gateway.registries, "get", fail)
    with pytest.raises(FedregError) as caught:
        await client.version("left:churn@1")
    assert type(caught.value) is ERRORS[code]
    assert caught.value.to_dict() == raised.to_dict()
