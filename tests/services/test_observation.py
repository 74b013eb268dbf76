"""Looks at one model: what others changed is journalled and told, what the gateway did itself is nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import msgspec
import pytest

from fedreg.domain.errors import Conflict
from fedreg.domain.models import FileSource, ModelDraft, VersionDraft
from fedreg.domain.records import Change, Effect, EffectState, Intent, IntentKind, IntentState, Origin
from fedreg.domain.refs import Ref
from fedreg.domain.stages import Approval
from fedreg.services import audit, copy, edits, observation, promotion
from fedreg.services.copy_plan import plan_copy
from fedreg.services.gateway import Gateway
from fedreg.services.observation import observe_model
from fedreg.services.refresh import refresh
from fedreg.store import effects, index, intents
from fedreg_adapters.memory.standin import open_space

from .conftest import ACTOR, FILES, make_version

CHURN = Ref.parse("left:churn@version:1")


async def test_what_others_change_is_journalled_with_its_interval_and_told(gateway: Gateway) -> None:
    await make_version(gateway, "left", "churn")
    await refresh(gateway, "left")
    told: list[Change] = []
    gateway.observers.append(lambda changes: _collect(told, changes))
    adapter = await gateway.registries.get("left")
    version = await adapter.get_version("churn", "1")
    before = gateway.now()
    await adapter.set_stage(version.id, "staging")
    await adapter.set_alias("churn", "champion", "1")
    await make_version(gateway, "left", "churn", description="second")
    changes = await observe_model(gateway, "left", "churn")
    assert sorted((one.action, one.version) for one in changes) == [
        ("alias_set", "1"),
        ("created", "2"),
        ("stage_set", "1"),
    ]
    assert told == changes
    [stage] = [entry for entry in await audit.list_audit(gateway) if entry.change.action == "stage_set"]
    assert stage.change.origin is Origin.OBSERVED
    assert stage.change.not_before is not None and stage.change.not_before < before <= stage.recorded_at
    indexed = await gateway.store.read(lambda conn: index.get_version(conn, "left", "churn", "1"))
    assert indexed is not None and (indexed.stage, indexed.aliases) == ("staging", ("champion",))
    assert await observe_model(gateway, "left", "churn") == []
    assert (await refresh(gateway, "left")).changes == 0


async def _collect(told: list[Change], changes: Sequence[Change]) -> None:
    told += changes


async def test_a_refresh_tells_the_observers_too_and_one_that_fails_stops_nothing(gateway: Gateway) -> None:
    await make_version(gateway, "left", "churn")
    told: list[Change] = []

    async def fail(changes: Sequence[Change]) -> None:
        raise RuntimeError("an observer's own mistake")

    gateway.observers += [fail, lambda changes: _collect(told, changes)]
    await refresh(gateway, "left")
    assert told == []  # the first scan compares with nothing
    adapter = await gateway.registries.get("left")
    await adapter.delete_version("churn", "1")
    assert (await refresh(gateway, "left")).error is None
    assert [(one.action, one.version) for one in told] == [("deleted", "1")]


async def test_deletions_and_models_that_are_gone(gateway: Gateway) -> None:
    for number in range(2):
        await make_version(gateway, "left", "churn", description=str(number))
    await refresh(gateway, "left")
    adapter = await gateway.registries.get("left")
    await adapter.delete_version("churn", "1")
    [gone] = await observe_model(gateway, "left", "churn")
    assert (gone.action, gone.version, gone.origin) == ("deleted", "1", Origin.OBSERVED)
    assert gone.not_before is not None
    await adapter.delete_version("churn", "2")
    await adapter.delete_model("churn")
    assert [(one.action, one.version) for one in await observe_model(gateway, "left", "churn")] == [
        ("deleted", "2"),
        ("deleted", None),
    ]
    assert await observe_model(gateway, "left", "churn") == []


async def test_before_the_first_scan_nothing_is_told(gateway: Gateway) -> None:
    await make_version(gateway, "left", "churn")
    assert await observe_model(gateway, "left", "churn") == []
    assert await audit.list_audit(gateway) == []


async def test_our_own_changes_are_no_news(gateway: Gateway) -> None:
    """Neither to a look nor to a scan, whatever it was."""
    open_space(await _space(gateway)).uploads["placed"] = {"model.bin": b"bytes"}
    await make_version(gateway, "right", "other")
    await refresh(gateway, "left")
    await refresh(gateway, "right")
    left = Ref.parse("left:churn")
    steps = [
        lambda: edits.create_model(gateway, left, ModelDraft(name="churn", tags={"a": "1"}), actor=ACTOR, reason=None),
        lambda: edits.create_version(
            gateway, left, VersionDraft(model="churn", source_uri="memory:upload/placed"), actor=ACTOR, reason=None
        ),
        lambda: edits.set_tags(gateway, left, {"b": "2"}, ["a"], actor=ACTOR, reason=None),
        lambda: edits.set_tags(gateway, CHURN, {"k": "v"}, [], actor=ACTOR, reason=None),
        lambda: edits.set_description(gateway, left, "who leaves", actor=ACTOR, reason=None),
        lambda: edits.set_alias(gateway, CHURN, "champion", actor=ACTOR, reason=None),
        lambda: promotion.promote(gateway, CHURN, "production", actor=ACTOR),
        lambda: edits.set_approval(gateway, CHURN, Approval.APPROVED, actor=ACTOR, reason=None),
        lambda: copy.copy_version(gateway, CHURN, Ref.parse("right:copied"), actor=ACTOR, allow_lossy=()),
        lambda: copy.copy_version(gateway, Ref.parse("right:other@1"), left, actor=ACTOR, allow_lossy=()),
        lambda: edits.delete_alias(gateway, left, "champion", actor=ACTOR, reason=None),
        lambda: edits.delete_version(gateway, Ref.parse("left:churn@version:2"), actor=ACTOR, reason=None),
    ]
    for step in steps:
        await step()
        assert await observe_model(gateway, "left", "churn") == []
        assert await observe_model(gateway, "right", "copied") == []
    for registry in ("left", "right"):
        assert (await refresh(gateway, registry)).changes == 0
    assert {entry.change.origin for entry in await audit.list_audit(gateway)} == {Origin.OURS}


async def _space(gateway: Gateway) -> str:
    adapter = await gateway.registries.get("left")
    return str(adapter.inner._options.space)  # type: ignore[attr-defined]


async def test_a_version_that_a_copy_is_just_making_is_left_to_it(gateway: Gateway) -> None:
    source = await make_version(gateway, "left", "churn")
    await refresh(gateway, "right")
    plan = await plan_copy(gateway, source.ref, Ref.parse("right:churn"), allow_lossy=())
    now = gateway.now()
    intent = Intent(
        id=f"copy-{plan.key}-1",
        kind=IntentKind.COPY,
        state=IntentState.RUNNING,
        actor=ACTOR,
        plan=msgspec.to_builtins(plan),
        created_at=now,
        updated_at=now,
    )
    await gateway.store.write(lambda tx: intents.create(tx, intent))
    adapter = await gateway.registries.get("right")
    await adapter.create_model(ModelDraft(name="churn"))
    await observe_model(gateway, "right", "churn")
    state = await adapter.begin_upload(plan.draft, plan.key)
    for path, content in FILES.items():
        await adapter.put_file(state, FileSource(path=path, size=len(content), open_at=_opener(content)))
    await adapter.finish(state)
    assert await observe_model(gateway, "right", "churn") == []
    indexed = await gateway.store.read(lambda conn: index.get_versions(conn, "right", "churn"))
    assert indexed == []
    await gateway.store.write(lambda tx: intents.set_state(tx, intent.id, IntentState.CANCELLED, now=now))
    assert [one.action for one in await observe_model(gateway, "right", "churn")] == ["created"]


def _opener(content: bytes):  # type: ignore[no-untyped-def]
    async def open_at(offset: int):  # type: ignore[no-untyped-def]
        yield content[offset:]

    return open_at


async def test_a_look_waits_for_a_change_of_ours(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the write at the registry and its record there is a moment: the planned effect tells of it."""
    version = await make_version(gateway, "left", "churn")
    await refresh(gateway, "left")
    effect = await _plan_effect(gateway, version.identity)
    adapter = await gateway.registries.get("left")
    await adapter.set_stage(version.id, "staging")
    monkeypatch.setattr(observation, "BUSY_SECONDS", 0)
    monkeypatch.setattr(observation, "BUSY_TRIES", 3)
    with pytest.raises(Conflict, match="do not come to an end"):
        await observe_model(gateway, "left", "churn")
    monkeypatch.setattr(observation, "BUSY_TRIES", 1_000_000)
    looking = asyncio.create_task(observe_model(gateway, "left", "churn"))
    live = replace(version, stage="staging", stages=("staging",))

    def record(tx):  # type: ignore[no-untyped-def]
        index.upsert_versions(tx, [live], gateway.now())
        effects.set_state(tx, effect.intent_id, effect.sequence, EffectState.DONE, now=gateway.now())

    await gateway.store.write(record)
    assert [one.action for one in await looking] == []


async def _plan_effect(gateway: Gateway, identity: str) -> Effect:
    now = gateway.now()
    intent = Intent(
        id="change-1",
        kind=IntentKind.CHANGE,
        state=IntentState.RUNNING,
        actor=ACTOR,
        plan={"effects": []},
        created_at=now,
        updated_at=now,
    )
    effect = Effect(
        intent_id=intent.id,
        sequence=0,
        registry="left",
        model="churn",
        version="1",
        identity=identity,
        field="stage",
        before="none",
        after="staging",
    )

    def store(tx):  # type: ignore[no-untyped-def]
        intents.create(tx, intent)
        return effects.plan(tx, effect)

    stored: Effect = await gateway.store.write(store)
    return stored
