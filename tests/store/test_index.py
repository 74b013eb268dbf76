"""Filling the index: what changed, who is known to have done it, what is gone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection

from fedreg.domain.manifest import Basis, Digest
from fedreg.domain.models import Model, Provenance, Version, VersionStatus
from fedreg.domain.records import Actor, Change, InventoryRow, Origin
from fedreg.domain.stages import Approval
from fedreg.store import index, journal
from fedreg.store.connections import driver
from fedreg.store.database import Store

MakeVersion = Callable[..., Version]
MakeModel = Callable[..., Model]
HOUR = timedelta(hours=1)


async def _see(store: Store, versions: list[Version], at: datetime, sweep: datetime | None = None) -> list[Change]:
    return await store.write_index(lambda tx: index.upsert_versions(tx, versions, at, sweep))


async def _row(store: Store, version: str = "1") -> InventoryRow:
    row = await store.read(lambda c: index.get_row(c, "prod", "churn", version))
    assert row is not None
    return row


async def test_whole_items_come_back(
    store: Store, noon: datetime, make_version: MakeVersion, make_model: MakeModel
) -> None:
    version = make_version(
        "1",
        status=VersionStatus.FAILED,
        stage="production",
        stages=("production",),
        native_stages=("Production", "weird"),
        approval=Approval.APPROVED,
        aliases=("champion",),
        tags={"k": "é", "long": "x" * 5000},
        digest=Digest("sha256:" + "a" * 64, Basis.REGISTRY),
        metrics={"auc": 0.5},
        provenance=Provenance(run_id="r", created_at=noon, extra={"a": "b"}),
        created_at=noon,
    )
    model = make_model(tags={"team": "x"}, aliases={"champion": "1"}, created_at=noon)
    await store.write_index(lambda tx: index.upsert_models(tx, [model], noon))
    await _see(store, [version, make_version("10"), make_version("9")], noon)
    assert await store.read(lambda c: index.get_model(c, "prod", "churn")) == model
    assert await store.read(lambda c: index.get_version(c, "prod", "churn", "1")) == version
    found = await store.read(lambda c: index.get_versions(c, "prod", "churn"))
    assert [one.version for one in found] == ["10", "9", "1"]
    some = await store.read(lambda c: index.get_versions(c, "prod", "churn", ["9", "1", "7"], limit=1))
    assert [one.version for one in some] == ["9"]
    assert await store.read(lambda c: index.get_model(c, "prod", "other")) is None
    assert await store.read(lambda c: index.get_version(c, "dev", "churn", "1")) is None


async def test_observed_changes_of_versions(store: Store, noon: datetime, make_version: MakeVersion) -> None:
    first = make_version("1", tags={"a": "1", "b": "2"}, stage="staging")
    (created,) = await _see(store, [first], noon)
    assert (created.action, created.before, created.not_before) == ("created", None, None)
    assert created.after["stage"] == "staging"
    assert (created.origin, created.actor.authenticated) == (Origin.OBSERVED, False)
    assert await _see(store, [first], noon + HOUR) == []
    changed = replace(
        first, tags={"a": "1", "b": "3", "c": "4"}, stage="production", approval=Approval.APPROVED, description="x"
    )
    changes = await _see(store, [changed], noon + 3 * HOUR)
    assert {c.action: (c.before, c.after) for c in changes} == {
        "stage_set": ("staging", "production"),
        "approval_set": ("none", "approved"),
        "description_set": (None, "x"),
        "tags_set": ({"b": "2", "c": None}, {"b": "3", "c": "4"}),
    }
    assert {(c.not_before, c.identity) for c in changes} == {(noon + HOUR, first.identity)}
    assert await _see(store, [replace(changed, metrics={"auc": 1.0})], noon + 4 * HOUR) == []
    found = await store.read(lambda c: index.get_version(c, "prod", "churn", "1"))
    assert found is not None
    assert found.metrics == {"auc": 1.0}


async def test_a_version_made_again_under_its_name(store: Store, noon: datetime, make_version: MakeVersion) -> None:
    old = make_version("1", stage="production")
    await _see(store, [old], noon)
    mine = Change(
        action="stage_set", registry="prod", model="churn", version="1", identity=old.identity,
        actor=Actor(subject="ada"), after="production",
    )  # fmt: skip
    await store.write(lambda tx: journal.append(tx, mine, noon))
    assert (await _row(store)).set_by == "ada"
    changes = await _see(store, [replace(old, identity="another")], noon + HOUR)
    assert [(c.action, c.identity) for c in changes] == [("deleted", old.identity), ("created", "another")]
    row = await _row(store)
    assert (row.stage, row.set_by, row.stage_since_basis) == ("production", None, "observation")
    assert row.stage_since == noon + HOUR


async def test_observed_changes_of_models(store: Store, noon: datetime, make_model: MakeModel) -> None:
    first = make_model(aliases={"champion": "1", "old": "1"})

    async def see(model: Model, at: datetime) -> list[tuple[str, Any, Any, str | None]]:
        changes = await store.write_index(lambda tx: index.upsert_models(tx, [model], at))
        return [(c.action, c.before, c.after, c.version) for c in changes]

    assert [change[0] for change in await see(first, noon)] == ["created"]
    assert await see(first, noon) == []
    assert await see(replace(first, aliases={"champion": "2", "new": "2"}, description="d"), noon) == [
        ("description_set", None, "d", None),
        ("alias_set", {"alias": "champion", "version": "1"}, {"alias": "champion", "version": "2"}, "2"),
        ("alias_set", None, {"alias": "new", "version": "2"}, "2"),
        ("alias_deleted", {"alias": "old", "version": "1"}, None, "1"),
    ]


@pytest.mark.parametrize("journal_first", [True, False])
@pytest.mark.parametrize("words", [("production", "approved"), ({"stage": "production"}, {"approval": "approved"})])
async def test_our_changes_are_attributed_whichever_is_written_first(
    store: Store, noon: datetime, make_version: MakeVersion, journal_first: bool, words: tuple[Any, Any]
) -> None:
    before = make_version("1")
    after = replace(before, stage="production", approval=Approval.APPROVED)
    await _see(store, [before, make_version("2")], noon)
    assert (await _row(store)).stage_since is None
    changes = [
        Change(action=action, registry="prod", model="churn", version="1", actor=Actor(subject="ada"), after=word)
        for action, word in zip(("stage_set", "approval_set"), words, strict=True)
    ]
    steps: list[Callable[[Any], Any]] = [
        lambda tx: journal.append_all(tx, changes, noon + HOUR),
        lambda tx: index.upsert_versions(tx, [after], noon + 2 * HOUR),
    ]
    for step in steps if journal_first else reversed(steps):
        await store.write(step)
    row = await _row(store)
    assert (row.stage_since, row.stage_since_basis, row.set_by) == (noon + HOUR, "journal", "ada")
    assert (row.approved_at, row.approved_by) == (noon + HOUR, "ada")
    assert (await _row(store, "2")).set_by is None


async def test_others_changes_are_attributed_to_nobody(store: Store, noon: datetime, make_version: MakeVersion) -> None:
    version = make_version("1")
    ours = Change(action="stage_set", registry="prod", model="churn", version="1", actor=Actor(subject="ada"))
    await _see(store, [version], noon)
    await store.write(lambda tx: journal.append(tx, replace(ours, after="production"), noon + HOUR))
    production = replace(version, stage="production", approval=Approval.APPROVED)
    for hours, seen in ((2, production), (3, version), (4, production)):  # taken away and set again behind our back

        def step(tx: Any, hours: int = hours, seen: Version = seen) -> None:
            at = noon + hours * HOUR
            journal.append_all(tx, index.upsert_versions(tx, [seen], at), at)

        await store.write(step)
    row = await _row(store)
    assert (row.stage_since, row.stage_since_basis, row.set_by) == (noon + 4 * HOUR, "observation", None)
    assert (row.approved_at, row.approved_by) == (noon + 4 * HOUR, None)
    await _see(store, [replace(production, description="x")], noon + 9 * HOUR)
    assert (await _row(store)).stage_since == noon + 4 * HOUR


async def test_what_a_sweep_did_not_show(
    store: Store, noon: datetime, make_version: MakeVersion, make_model: MakeModel
) -> None:
    both = [make_version("1"), make_version("2", tags={"k": "v"}), make_version("1", model="gone")]
    await store.write_index(lambda tx: index.upsert_models(tx, [make_model(), make_model("gone")], noon))
    await _see(store, both, noon)
    sweep = noon + HOUR
    await store.write_index(lambda tx: index.upsert_models(tx, [make_model()], sweep, sweep))
    await _see(store, [both[0]], noon - HOUR, sweep)  # a clock set back does not hide what the sweep saw
    missing = await store.read(lambda c: index.missing_after_sweep(c, "prod", sweep))
    assert missing.models == ("gone",)
    assert set(missing.versions) == {both[1].id, both[2].id}

    stale = replace(both[1], identity="older").id
    assert await store.write_index(lambda tx: index.delete_versions(tx, "prod", [both[1].id, stale])) == 1
    assert await store.write_index(lambda tx: index.delete_models(tx, "prod", ["gone", "never"])) == 1
    assert await store.read(lambda c: index.missing_after_sweep(c, "prod", sweep)) == index.Missing(
        models=(), versions=()
    )
    assert (await store.read(index.facets)).registries == {"prod": 1}
    leftovers = await store.read(
        lambda c: [c.exec_driver_sql(f"SELECT count(*) FROM {t}").scalar_one() for t in
                   ("versions", "version_documents", "models", "labels", "model_text")]
    )  # fmt: skip
    assert leftovers == [1, 1, 1, 0, 1]


async def test_facets_follow_every_change(store: Store, noon: datetime, make_version: MakeVersion) -> None:
    versions = [make_version(str(n), stage="staging" if n % 2 else "none") for n in range(6)]
    other = make_version("1", registry="dev", approval=Approval.PENDING)
    await _see(store, [*versions, other], noon)
    await _see(store, [replace(versions[1], stage="production")], noon)
    await store.write_index(lambda tx: index.delete_versions(tx, "prod", [versions[3].id]))
    found = await store.read(index.facets)
    assert found.registries == {"dev": 1, "prod": 5}
    assert found.stages == {"none": 4, "production": 1, "staging": 1}
    assert found.approvals == {"none": 5, "pending": 1}
    assert (await store.read(lambda c: index.facets(c, ["dev"]))).stages == {"none": 1}
    assert await store.read(lambda c: index.count_versions(c, "prod")) == 5


@pytest.mark.sqlite("counts its steps")
async def test_one_version_costs_the_same_in_a_full_index(
    store: Store, noon: datetime, make_version: MakeVersion
) -> None:
    full = [make_version(str(n), model=f"m{n % 300}") for n in range(3000)]
    await _see(store, full, noon)

    def count_steps(tx: Connection) -> int:
        steps: list[None] = []
        driver(tx).set_progress_handler(lambda: steps.append(None), 100)
        index.upsert_versions(tx, [replace(full[7], stage="production")], noon)
        driver(tx).set_progress_handler(None, 100)
        return 100 * len(steps)

    assert await store.write_index(count_steps) < 10_000  # SQLite's own steps; reading all rows takes 100,000s
