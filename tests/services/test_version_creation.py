"""Versions of bytes in place: one operation, one version, however often it is told."""

from __future__ import annotations

from typing import Any

import pytest

from fedreg.domain.capabilities import Operation
from fedreg.domain.errors import InvalidRequest, NotFound, RegistryUnavailable, Unsupported
from fedreg.domain.models import ModelDraft, Provenance, VersionDraft
from fedreg.domain.records import EffectState, Intent, InventoryQuery
from fedreg.domain.refs import Ref
from fedreg.domain.stages import Approval
from fedreg.registries.guard import GuardedAdapter
from fedreg.services import audit, catalog, edits
from fedreg.services.gateway import Gateway
from fedreg.store import effects
from fedreg_adapters.memory.mapping import UPLOADS
from fedreg_adapters.memory.standin import Vendor, open_space
from fedreg_adapters.memory.standin_faults import Mishap

from .conftest import ACTOR

CHURN = Ref("left", "churn")


@pytest.fixture
def vendor(request: pytest.FixtureRequest) -> Vendor:
    """The service behind registry `left`."""
    return open_space(f"{request.node.nodeid}-left")


@pytest.fixture
async def placed(gateway: Gateway, vendor: Vendor) -> str:
    """Bytes that registry `left` can read, and a model for them."""
    await (await gateway.registries.get("left")).create_model(ModelDraft(name="churn"))
    vendor.uploads["placed"] = {"model.bin": b"bytes"}
    return f"{UPLOADS}placed"


async def create(gateway: Gateway, uri: str, **fields: Any) -> Intent:
    draft = VersionDraft(model="churn", source_uri=uri, **fields)
    return await edits.create_version(gateway, CHURN, draft, actor=ACTOR, reason="retrained")


async def test_the_version_the_journal_and_the_index(gateway: Gateway, placed: str) -> None:
    made = await create(gateway, placed, description="one", tags={"team": "a"}, provenance=Provenance(run_id="run-7"))
    ref = edits.made_version(made)
    live = await catalog.get_version(gateway, ref)
    assert (live.description, dict(live.tags), live.approval) == ("one", {"team": "a"}, Approval.PENDING)
    assert live.provenance.run_id == "run-7"
    [entry] = await audit.list_history(gateway, ref)
    assert (entry.change.action, entry.change.version, entry.change.identity) == ("created", "1", live.identity)
    assert (entry.change.before, entry.change.after["source_uri"]) == (None, placed)
    assert (entry.change.reason, entry.change.intent_id) == ("retrained", made.id)
    [effect] = await gateway.store.read(lambda conn: effects.list_effects(conn, made.id))
    assert (effect.state, effect.version, effect.identity) == (EffectState.DONE, "1", live.identity)
    indexed = await catalog.get_indexed_version(gateway, ref)
    assert indexed.identity == live.identity
    page = await catalog.list_inventory(gateway, InventoryQuery(), versions=True, refresh=True)
    assert [row.version for row in page.items] == ["1"] and len(await audit.list_audit(gateway)) == 1


async def test_a_lost_answer_leaves_one_version(gateway: Gateway, placed: str, vendor: Vendor) -> None:
    vendor.mishaps.planned.append(Mishap("lost_reply", "release.publish"))
    ref = edits.made_version(await create(gateway, placed))
    assert ref.selector is not None and ref.selector.value == "1"
    adapter = await gateway.registries.get("left")
    with pytest.raises(NotFound):
        await adapter.get_version("churn", "2")


async def test_a_death_between_the_write_and_its_record_leaves_one_version(
    gateway: Gateway, placed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the next process finds it: the version is there, and neither effect nor journal knows."""
    died: list[str] = []
    set_state = effects.set_state

    def die_once(tx: Any, intent_id: str, sequence: int, state: EffectState, *, now: Any) -> Any:
        if not died:
            died.append(intent_id)
            raise RegistryUnavailable("the process is gone")
        return set_state(tx, intent_id, sequence, state, now=now)

    monkeypatch.setattr(effects, "set_state", die_once)
    made = await create(gateway, placed)
    assert died == [made.id] and edits.made_version(made) == CHURN.at_version("1")
    adapter = await gateway.registries.get("left")
    with pytest.raises(NotFound):
        await adapter.get_version("churn", "2")
    assert [entry.change.version for entry in await audit.list_audit(gateway)] == ["1"]


@pytest.mark.parametrize(
    ("fields", "error", "words"),
    [
        ({"uri": ""}, InvalidRequest, "artifact_uri"),
        ({"uri": "s3://elsewhere/model"}, InvalidRequest, "elsewhere"),
        ({"version": "7"}, Unsupported, "numbers versions itself"),
        ({"metrics": {"auc": float("nan")}}, InvalidRequest, "metrics.auc"),
    ],
)
async def test_what_is_refused(
    gateway: Gateway, placed: str, fields: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        await create(gateway, **{"uri": placed, **fields})


async def test_a_model_that_is_not_there(gateway: Gateway, placed: str) -> None:
    draft = VersionDraft(model="leavers", source_uri=placed)
    with pytest.raises(NotFound, match="leavers"):
        await edits.create_version(gateway, Ref("left", "leavers"), draft, actor=ACTOR, reason=None)


async def test_a_registry_that_does_not_declare_it(
    gateway: Gateway, placed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = await gateway.registries.get("left")
    poor = adapter.capabilities.without(Operation.CREATE_VERSION)
    monkeypatch.setattr(GuardedAdapter, "capabilities", property(lambda self: poor))
    with pytest.raises(Unsupported, match="create_version"):
        await create(gateway, placed)
    assert await audit.list_audit(gateway) == []
