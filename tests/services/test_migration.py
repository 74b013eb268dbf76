"""Migrations between two registries: every version accounted for, none moved twice."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from fedreg.bootstrap import open_gateway
from fedreg.domain.errors import FedregError, IntegrityError, InvalidRequest, NotFound
from fedreg.domain.migrations import (
    Carried,
    MigratedVersion,
    MigrationOptions,
    MigrationReport,
    PlannedVersion,
    RowState,
)
from fedreg.domain.models import Version
from fedreg.domain.records import IntentState
from fedreg.domain.refs import Ref
from fedreg.domain.stages import Approval
from fedreg.services import audit, migration_copying, migration_moves, operations
from fedreg.services import intents as promises
from fedreg.services.copy import start_copy
from fedreg.services.edits import set_approval
from fedreg.services.gateway import Gateway
from fedreg.services.migration import start_migration
from fedreg.services.migration_counts import list_outcomes
from fedreg.services.migration_plan import plan_migration
from fedreg.services.pages import walk_versions
from fedreg.services.promotion import promote
from fedreg.settings import Settings

from .conftest import ACTOR, make_version

ALL = ("stages", "aliases", "approval")


async def fill(gateway: Gateway, models: Mapping[str, int] | None = None, registry: str = "left") -> None:
    """Models with so many versions each."""
    for model, versions in (models or {"churn": 3, "fraud": 2}).items():
        for number in range(1, versions + 1):
            files = {"model.bin": f"{model} {number}".encode(), "ünïcode/empty": b""}
            await make_version(gateway, registry, model, files, description=f"{model} {number}")


async def migrate(
    gateway: Gateway, *, plan: tuple[PlannedVersion, ...] | None = None, **options: Any
) -> tuple[MigrationReport, list[MigratedVersion]]:
    """Run a migration to its end; its report and its rows."""
    given = MigrationOptions(**options)
    intent = await start_migration(gateway, "left", "right", given, actor=ACTOR, plan=plan, reason="moving house")
    intent = await promises.wait(gateway, intent.id)
    report = msgspec.convert(intent.result, MigrationReport)
    rows = await list_outcomes(gateway, intent.id, 0, 10_000)
    assert (intent.state is IntentState.SUCCEEDED) is report.complete
    return report, rows


async def versions_of(gateway: Gateway, model: str, registry: str = "right") -> dict[str, Version]:
    adapter = await gateway.registries.get(registry)
    return {version.version: version async for version in walk_versions(adapter, model)}


def states(rows: list[MigratedVersion]) -> list[str]:
    return [row.state.value for row in rows]


# -- the whole ------------------------------------------------------------------------------------------


async def test_every_version_arrives_unapproved_without_stage_and_alias(gateway: Gateway) -> None:
    await fill(gateway)
    adapter = await gateway.registries.get("left")
    await adapter.set_alias("churn", "best", "2")
    await promote(gateway, Ref.parse("left:churn@3"), "production", actor=ACTOR)
    report, rows = await migrate(gateway)
    assert (report.source_versions, report.moved, report.missing, report.complete) == (5, 5, 0, True)
    assert states(rows) == ["moved"] * 5
    assert [row.source for row in rows][:2] == ["left:churn@version:1", "left:churn@version:2"]
    arrived = await versions_of(gateway, "churn")
    assert [version.description for version in arrived.values()] == ["churn 1", "churn 2", "churn 3"]
    for version in arrived.values():
        assert (version.approval, version.stage, version.aliases) == (Approval.PENDING, "none", ())
        assert version.provenance.run_id == "run-1"
    assert set(report.seconds) == {"list", "copy", "count"}


async def test_the_second_run_moves_nothing(gateway: Gateway) -> None:
    await fill(gateway)
    first, rows = await migrate(gateway)
    again, second = await migrate(gateway)
    assert (again.moved, again.already_there, again.complete) == (0, 5, True)
    assert again.operation != first.operation
    assert [(row.target, row.digest, row.files, row.bytes) for row in second] == [
        (row.target, row.digest, row.files, row.bytes) for row in rows
    ]


async def test_filters_and_names(gateway: Gateway) -> None:
    await fill(gateway, {"churn": 3, "fraud": 2, "other": 1})
    await promote(gateway, Ref.parse("left:churn@1"), "staging", actor=ACTOR)
    report, rows = await migrate(
        gateway, models=("ch*", "fraud"), last=1, names={"fraud": "cheats", "c*": "team-{model}"}
    )
    assert [(row.source, row.target) for row in rows] == [
        ("left:churn@version:3", "right:team-churn@version:1"),
        ("left:fraud@version:2", "right:cheats@version:1"),
    ]
    staged, rows = await migrate(gateway, stage="staging")
    assert [row.source for row in rows] == ["left:churn@version:1"]
    assert report.complete and staged.complete


async def test_the_newest_are_counted_among_those_that_have_the_stage(gateway: Gateway) -> None:
    await fill(gateway, {"churn": 5})
    for version in ("1", "2", "4"):
        await promote(gateway, Ref.parse(f"left:churn@{version}"), "archived", actor=ACTOR)
    report, rows = await migrate(gateway, stage="archived", last=2)
    assert [row.source for row in rows] == ["left:churn@version:2", "left:churn@version:4"]
    assert report.complete and report.source_versions == 2


async def test_a_target_model_that_has_versions_keeps_them(gateway: Gateway) -> None:
    await fill(gateway, {"churn": 2})
    await make_version(gateway, "right", "churn", description="theirs")
    report, rows = await migrate(gateway)
    assert report.complete
    assert [row.target for row in rows] == ["right:churn@version:2", "right:churn@version:3"]
    arrived = await versions_of(gateway, "churn")
    assert [version.description for version in arrived.values()] == ["theirs", "churn 1", "churn 2"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"names": {"churn": "x", "fraud": "x"}}, "'churn' and 'fraud' would both become 'x'"),
        ({"names": {"chrun": "x"}}, "no model 'chrun'"),
        ({"names": {"churn": "{modle}"}}, "field 'modle'"),
        ({"names": {"churn": "a{"}}, "map: 'churn'"),
        ({"names": {"churn": "{model!r}"}}, "field 'model'"),
        ({"names": {"chrun-*": "x"}}, r"no model 'chrun-\*'"),
        ({"models": ("ch*", "chrun-*")}, r"matches 'chrun-\*'"),
        ({"last": 0}, "last: 0"),
        ({"jobs": 0}, "jobs: 0"),
        ({"stage": "Prod"}, "'Prod'"),
    ],
    ids=[
        "collision",
        "unknown-model",
        "unknown-field",
        "open-brace",
        "conversion",
        "unknown-names",
        "unknown-models",
        "last",
        "jobs",
        "stage",
    ],
)
async def test_bad_options_are_named_and_change_nothing(gateway: Gateway, options: Any, words: str) -> None:
    await fill(gateway)
    with pytest.raises(InvalidRequest, match=words):
        await migrate(gateway, **options)
    with pytest.raises(NotFound):
        await (await gateway.registries.get("right")).get_model("churn")


async def test_unknown_and_equal_registries_are_refused(gateway: Gateway) -> None:
    with pytest.raises(NotFound, match="middle"):
        await start_migration(gateway, "left", "middle", MigrationOptions(), actor=ACTOR)
    with pytest.raises(InvalidRequest, match="same registry"):
        await start_migration(gateway, "left", "left", MigrationOptions(), actor=ACTOR)


# -- what goes along ------------------------------------------------------------------------------------


async def test_stages_aliases_and_approval_go_along_when_asked_for(gateway: Gateway) -> None:
    await fill(gateway)
    adapter = await gateway.registries.get("left")
    await adapter.set_alias("churn", "best", "2")
    await promote(gateway, Ref.parse("left:churn@3"), "production", actor=ACTOR)
    await promote(gateway, Ref.parse("left:churn@1"), "archived", actor=ACTOR)
    await set_approval(gateway, Ref.parse("left:churn@3"), Approval.APPROVED, "fine", actor=ACTOR, reason=None)
    carry = tuple(Carried(name) for name in ALL)
    report, rows = await migrate(gateway, carry=carry)
    arrived = await versions_of(gateway, "churn")
    assert [version.stage for version in arrived.values()] == ["archived", "none", "production"]
    assert arrived["2"].aliases == ("best",)
    assert (arrived["3"].approval, arrived["3"].approval_comment) == (Approval.APPROVED, "fine")
    assert states(rows) == ["moved"] * 5 and report.complete
    actions = [entry.change.action for entry in await audit.list_history(gateway, Ref.parse("right:churn@3"))]
    assert actions == ["copied", "approval_set", "stage_set"]
    again, _ = await migrate(gateway, carry=carry)
    assert (again.already_there, again.complete) == (5, True)
    assert len(await audit.list_history(gateway, Ref.parse("right:churn@3"))) == 3


async def test_nothing_is_taken_from_another_version(gateway: Gateway) -> None:
    await fill(gateway, {"churn": 1})
    await fill(gateway, {"churn": 1}, registry="right")
    for registry in ("left", "right"):
        await (await gateway.registries.get(registry)).set_alias("churn", "best", "1")
    report, rows = await migrate(gateway, carry=(Carried.ALIASES,))
    assert (report.failed, report.complete) == (1, False)
    assert rows[0].error is not None and "alias 'best' is on version 1" in rows[0].error["message"]
    assert (await versions_of(gateway, "churn"))["1"].aliases == ("best",)


async def test_a_stage_that_one_version_can_have_is_a_loss_for_the_others(gateway: Gateway, settings: Settings) -> None:
    """`left` holds production as a pointer, so both versions get it as a stage that plans carry."""
    await fill(gateway, {"churn": 2})
    plan = (await plan_migration(gateway, "left", "right", MigrationOptions())).rows
    staged = tuple(replace(row, stage="production") for row in plan)
    report, rows = await migrate(gateway, plan=staged, keep_going=True)
    assert states(rows) == ["failed", "moved"] and not report.complete
    assert rows[0].error is not None and "stage" in rows[0].error["message"]
    report, rows = await migrate(gateway, plan=staged, allow_lossy=("stage",))
    assert states(rows) == ["lossy", "already_there"] and report.complete
    assert {v.version: v.stage for v in (await versions_of(gateway, "churn")).values()} == {
        "1": "production",
        "2": "none",
    }


async def test_further_stages_of_a_version_are_losses(gateway: Gateway) -> None:
    await fill(gateway, {"churn": 1})
    [row] = (await plan_migration(gateway, "left", "right", MigrationOptions())).rows
    several = (replace(row, stage="production", other_stages=("staging",)),)
    planned = await plan_migration(gateway, "left", "right", MigrationOptions(), plan=several)
    assert [loss.field for loss in planned.rows[0].losses] == ["stages.staging"]
    report, rows = await migrate(gateway, plan=several)
    assert states(rows) == ["failed"] and "stages.staging" in (rows[0].error or {})["message"]
    report, rows = await migrate(gateway, plan=several, allow_lossy=("stages.staging",))
    assert states(rows) == ["lossy"] and report.complete
    assert (await versions_of(gateway, "churn"))["1"].stage == "production"


async def test_what_the_target_cant_hold_is_lossy_and_listed(gateway: Gateway) -> None:
    await make_version(gateway, "left", "churn", description="x" * 400, tags={"k" * 64: "v"})
    adapter = await gateway.registries.get("left")
    await adapter.set_alias("churn", "best", "1")
    plan = (await plan_migration(gateway, "left", "right", MigrationOptions(carry=(Carried.ALIASES,)))).rows
    shouting = tuple(replace(row, aliases=("BEST",)) for row in plan)
    report, rows = await migrate(gateway, plan=shouting)
    assert states(rows) == ["failed"] and not report.complete
    report, rows = await migrate(gateway, plan=shouting, allow_lossy=("aliases.BEST",))
    assert states(rows) == ["lossy"] and report.complete
    assert [loss.field for loss in rows[0].losses] == ["aliases.BEST"]


# -- numbers --------------------------------------------------------------------------------------------


async def test_numbers_are_preserved_over_holes(gateway: Gateway) -> None:
    await fill(gateway, {"churn": 7, "fraud": 2})
    source = await gateway.registries.get("left")
    for hole in ("1", "3", "4", "6"):
        await source.delete_version("churn", hole)
    report, rows = await migrate(gateway, preserve_versions=True)
    assert report.complete and states(rows) == ["moved"] * 5
    arrived = await versions_of(gateway, "churn")
    assert {number: version.description for number, version in arrived.items()} == {
        "2": "churn 2",
        "5": "churn 5",
        "7": "churn 7",
    }
    again, _ = await migrate(gateway, preserve_versions=True)
    assert (again.moved, again.complete) == (0, True)
    assert list(await versions_of(gateway, "churn")) == ["2", "5", "7"]


async def test_a_number_that_is_gone_is_refused_by_name(gateway: Gateway) -> None:
    await fill(gateway, {"churn": 3})
    await fill(gateway, {"churn": 2}, registry="right")
    await (await gateway.registries.get("right")).delete_version("churn", "2")
    report, rows = await migrate(gateway, preserve_versions=True, keep_going=True)
    assert states(rows) == ["failed", "skipped", "skipped"] and report.missing == 3
    assert (
        rows[0].error is not None
        and "number 1 can't be preserved: another version has it" in (rows[0].error["message"])
    )
    assert list(await versions_of(gateway, "churn")) == ["1"]


async def test_a_registry_that_never_reuses_a_number_is_found_out(gateway: Gateway) -> None:
    """Memory counts on from the highest number it ever gave."""
    await fill(gateway, {"churn": 3})
    await fill(gateway, {"churn": 1}, registry="right")
    await (await gateway.registries.get("right")).delete_version("churn", "1")
    for hole in ("1", "2"):
        await (await gateway.registries.get("left")).delete_version("churn", hole)
    report, rows = await migrate(gateway, preserve_versions=True)
    assert states(rows) == ["failed"] and not report.complete
    assert rows[0].error is not None and "never gives a number twice" in rows[0].error["message"]
    assert list(await versions_of(gateway, "churn")) == []


# -- plans ----------------------------------------------------------------------------------------------


async def test_a_plan_counts_and_writes_nothing(gateway: Gateway) -> None:
    await fill(gateway)
    await start_copy(gateway, Ref.parse("left:fraud@1"), Ref.parse("right:fraud"), actor=ACTOR)
    await promises.wait(gateway, (await operations.list_operations(gateway))[0].id)
    plan = await plan_migration(gateway, "left", "right", MigrationOptions(jobs=2))
    assert (plan.models, plan.to_move, plan.already_there, plan.with_problems) == (2, 4, 1, 0)
    moving = sum(len(f"{row.source[5:10]} 1") for row in plan.rows if row.already_at is None)
    assert plan.bytes == moving == plan.leaving["left"] == plan.leaving["right"]
    assert (plan.files, len(plan.rows)) == (8, 5)
    with pytest.raises(NotFound):
        await (await gateway.registries.get("right")).get_model("churn")


async def test_an_edited_plan_is_obeyed(gateway: Gateway) -> None:
    await fill(gateway, {"churn": 3})
    first, second, third = (await plan_migration(gateway, "left", "right", MigrationOptions())).rows
    edited = (replace(third, target="right:late"), replace(second, skip=True), replace(first, aliases=("oldest",)))
    report, rows = await migrate(gateway, plan=edited)
    assert (report.source_versions, report.moved, report.skipped, report.complete) == (2, 2, 1, True)
    assert {row.source[-1]: row.state for row in rows} == {
        "1": RowState.MOVED,
        "2": RowState.SKIPPED,
        "3": RowState.MOVED,
    }
    assert (await versions_of(gateway, "churn"))["1"].aliases == ("oldest",)
    assert list(await versions_of(gateway, "late")) == ["1"]


async def test_a_plan_is_run_in_parts(gateway: Gateway) -> None:
    await fill(gateway)
    rows = (await plan_migration(gateway, "left", "right", MigrationOptions())).rows
    for part in (rows[:2], rows[2:]):
        report, _ = await migrate(gateway, plan=part)
        assert (report.source_versions, report.moved, report.complete) == (len(part), len(part), True)
    whole = await plan_migration(gateway, "left", "right", MigrationOptions())
    assert (whole.to_move, whole.already_there) == (0, 5)
    assert list(await versions_of(gateway, "churn")) == ["1", "2", "3"]


async def test_two_spellings_of_a_target_are_one_model(gateway: Gateway) -> None:
    await fill(gateway, {"churn": 2})
    first, second = (await plan_migration(gateway, "left", "right", MigrationOptions(preserve_versions=True))).rows
    report, rows = await migrate(gateway, plan=(replace(second, target="right:%63hurn"), first))
    assert report.complete and [row.target for row in rows] == ["right:churn@version:1", "right:churn@version:2"]


async def test_a_plan_without_rows_is_refused(gateway: Gateway) -> None:
    with pytest.raises(InvalidRequest, match="no rows"):
        await migrate(gateway, plan=())


async def test_a_plan_for_a_version_that_was_replaced_fails_there(gateway: Gateway) -> None:
    await fill(gateway, {"churn": 1})
    plan = (await plan_migration(gateway, "left", "right", MigrationOptions())).rows
    report, rows = await migrate(gateway, plan=tuple(replace(row, identity="another") for row in plan))
    assert not report.complete
    assert rows[0].error is not None and "another version than the one that was planned" in rows[0].error["message"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"source": "left:churn"}, "row 1: source"),
        ({"source": "right:churn@version:1"}, "row 1: source"),
        ({"target": "left:churn"}, "row 1: target"),
        ({"target": "right:churn@version:1"}, "row 1: target"),
        ({"target": "right"}, "row 1"),
        ({"target": "right:fraud"}, "would both become 'fraud'"),
        ({"stage": "Best"}, "row 1: stage 'Best'"),
        ({"approval": "yes"}, "row 1: approval: 'yes'"),
        ({"aliases": ("",)}, "row 1: aliases"),
        ({"source": "left:fraud@version:1"}, "comes twice"),
        ({"source": "left:churn@version:2"}, "would get '7' twice"),
    ],
    ids=[str(number) for number in range(11)],
)
async def test_bad_rows_are_named(gateway: Gateway, change: dict[str, Any], words: str) -> None:
    rows = (
        PlannedVersion(source="left:churn@version:1", target="right:churn", version="7"),
        PlannedVersion(source="left:fraud@version:1", target="right:fraud"),
    )
    with pytest.raises(InvalidRequest, match=words):
        await migrate(gateway, plan=(replace(rows[0], **change), rows[1], *([rows[0]] if "twice" in words else [])))


# -- failures -------------------------------------------------------------------------------------------


async def break_uploads(gateway: Gateway, monkeypatch: pytest.MonkeyPatch, *descriptions: str) -> None:
    """Versions of these descriptions can't be uploaded to `right` for the rest of the test."""
    adapter = await gateway.registries.get("right")
    begin = adapter.begin_upload

    async def begin_upload(draft: Any, key: str) -> Any:
        if draft.description in descriptions:
            raise IntegrityError(f"{draft.description} does not arrive", registry="right")
        return await begin(draft, key)

    monkeypatch.setattr(adapter, "begin_upload", begin_upload)


async def test_a_failure_stops_further_versions(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    await fill(gateway)
    await break_uploads(gateway, monkeypatch, "churn 2")
    report, rows = await migrate(gateway, jobs=1)
    assert states(rows) == ["moved", "failed", "skipped", "skipped", "skipped"]
    assert (report.missing, report.complete) == (4, False)
    assert rows[2].error is not None and "--keep-going" in rows[2].error["message"]


async def test_keep_going_and_a_run_again(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    await fill(gateway)
    with monkeypatch.context() as patch:
        await break_uploads(gateway, patch, "churn 2", "fraud 1")
        report, rows = await migrate(gateway, keep_going=True)
    assert states(rows) == ["moved", "failed", "moved", "failed", "moved"]
    assert (report.moved, report.failed, report.missing) == (3, 2, 2)
    assert rows[1].error is not None and rows[1].error["code"] == "integrity_error"
    operation = await operations.get_operation(gateway, report.operation)
    assert (operation.state, (operation.error or {})["code"]) == (IntentState.FAILED, "incomplete")
    again, rows = await migrate(gateway, keep_going=True)
    assert (again.moved, again.already_there, again.complete) == (2, 3, True)


async def test_a_numbered_version_that_fails_keeps_its_number_for_the_next_run(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(gateway, {"churn": 3, "fraud": 1})
    with monkeypatch.context() as patch:
        await break_uploads(gateway, patch, "churn 2")
        report, rows = await migrate(gateway, keep_going=True, preserve_versions=True)
    assert states(rows) == ["moved", "failed", "skipped", "moved"] and not report.complete
    again, rows = await migrate(gateway, keep_going=True, preserve_versions=True)
    assert states(rows) == ["already_there", "moved", "moved", "already_there"] and again.complete
    assert [v.description for v in (await versions_of(gateway, "churn")).values()] == ["churn 1", "churn 2", "churn 3"]


async def test_a_version_that_comes_meanwhile_is_a_shortfall(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    await fill(gateway, {"churn": 2})
    adapter = await gateway.registries.get("right")
    finish = adapter.finish

    async def register_another(state: Any) -> Any:
        if len(await versions_of(gateway, "churn", "left")) == 2:
            await make_version(gateway, "left", "churn", description="late")
        return await finish(state)

    monkeypatch.setattr(adapter, "finish", register_another)
    report, rows = await migrate(gateway)
    assert (report.source_versions, report.moved, report.missing, report.complete) == (3, 2, 1, False)
    assert states(rows) == ["moved", "moved", "failed"]
    assert (rows[2].source, rows[2].error is not None) == ("left:churn@version:3", True)
    again, _ = await migrate(gateway)
    assert (again.moved, again.already_there, again.complete) == (1, 2, True)


async def test_a_version_that_is_deleted_meanwhile_is_told_and_not_missing(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(gateway, {"churn": 3})
    source, target = await gateway.registries.get("left"), await gateway.registries.get("right")
    finish = target.finish

    async def delete_one(state: Any) -> Any:
        if "2" in await versions_of(gateway, "churn", "left"):
            await source.delete_version("churn", "2")
        return await finish(state)

    monkeypatch.setattr(target, "finish", delete_one)
    report, rows = await migrate(gateway, models=("churn",), keep_going=True)
    assert states(rows) == ["moved", "failed", "moved"]
    assert (report.source_versions, report.failed, report.missing, report.complete) == (2, 1, 0, True)
    assert (rows[1].error or {})["code"] == "not_found"


async def test_a_model_that_is_deleted_meanwhile_does_not_break_the_count(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(gateway, {"churn": 1})
    source, target = await gateway.registries.get("left"), await gateway.registries.get("right")
    finish = target.finish

    async def delete_model(state: Any) -> Any:
        made = await finish(state)
        await source.delete_version("churn", "1")
        await source.delete_model("churn")
        return made

    monkeypatch.setattr(target, "finish", delete_model)
    report, rows = await migrate(gateway, models=("churn",), names={"churn": "left"})
    assert states(rows) == ["moved"] and (report.source_versions, report.complete) == (0, True), rows


# -- interruptions --------------------------------------------------------------------------------------


class Held:
    """The first finished upload at `right` waits until it is let go; or, `forever`, until the engine closes."""

    def __init__(self, adapter: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self.release, self.finished = asyncio.Event(), asyncio.Event(), 0
        finish = adapter.finish

        async def held(state: Any) -> Any:
            self.finished += 1
            if self.finished == 3:
                self.reached.set()
                await self.release.wait()
            return await finish(state)

        monkeypatch.setattr(adapter, "finish", held)


async def test_interrupted_it_goes_on_where_it_was(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_gateway(settings) as gateway:
        await fill(gateway)
        with monkeypatch.context() as patch:
            held = Held(await gateway.registries.get("right"), patch)
            first = await start_migration(gateway, "left", "right", MigrationOptions(jobs=2), actor=ACTOR)
            await asyncio.wait_for(held.reached.wait(), 30)
            await gateway.close_engine()
    async with open_gateway(settings) as gateway:
        report, rows = await migrate(gateway, jobs=3)
        assert report.operation == first.id, "the same command joins what is under way"
        assert (report.moved, report.complete) == (5, True)
        assert states(rows) == ["moved"] * 5
        for model, count in (("churn", 3), ("fraud", 2)):
            assert len(await versions_of(gateway, model)) == count
        journal = [entry.change for entry in await audit.list_audit(gateway)]
        assert sorted(change.action for change in journal) == ["copied"] * 5 + ["created"] * 2


@pytest.mark.parametrize("found", ["at once", "while it is planned again"])
async def test_a_copy_that_ended_before_its_row_was_settled_counts_as_moved(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, found: str
) -> None:
    async with open_gateway(settings) as gateway:
        await fill(gateway, {"churn": 1})
        with monkeypatch.context() as patch:
            reached = asyncio.Event()

            async def never(*_: Any) -> None:
                reached.set()
                await asyncio.Event().wait()

            patch.setattr(migration_copying, "_settle", never)
            await start_migration(gateway, "left", "right", MigrationOptions(), actor=ACTOR)
            await asyncio.wait_for(reached.wait(), 30)
            await gateway.close_engine()
    async with open_gateway(settings) as gateway:
        if found != "at once":

            async def not_yet(*_: Any) -> None:
                return None

            monkeypatch.setattr(migration_moves, "find_arrived", not_yet)
        report, rows = await migrate(gateway)
        assert states(rows) == ["moved"] and (report.moved, report.bytes) == (1, len(b"churn 1"))


async def test_cancelled_it_stops_with_its_copies(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    await fill(gateway)
    held = Held(await gateway.registries.get("right"), monkeypatch)
    intent = await start_migration(gateway, "left", "right", MigrationOptions(jobs=1), actor=ACTOR)
    await asyncio.wait_for(held.reached.wait(), 30)
    view = await operations.cancel_operation(gateway, intent.id)
    held.release.set()
    with pytest.raises(FedregError, match="cancelled"):
        await promises.wait(gateway, intent.id)
    assert view.state is IntentState.CANCELLED
    assert [one.state for one in await operations.list_operations(gateway)].count(IntentState.CANCELLED) == 2
    report, _ = await migrate(gateway, jobs=1)
    assert report.complete and report.operation != intent.id
    assert {model: len(await versions_of(gateway, model)) for model in ("churn", "fraud")} == {"churn": 3, "fraud": 2}


async def test_two_at_once_move_each_version_once(gateway: Gateway) -> None:
    await fill(gateway)
    (one, _), (two, _) = await asyncio.gather(migrate(gateway), migrate(gateway, models=("*",)))
    assert one.operation != two.operation and one.complete and two.complete
    assert one.moved + two.moved == 5 == one.already_there + two.already_there
    assert {model: len(await versions_of(gateway, model)) for model in ("churn", "fraud")} == {"churn": 3, "fraud": 2}
