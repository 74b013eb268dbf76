"""The Hub behind a whole gateway: copies, promotions, what the gateway holds instead, and drift."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from fedreg.bootstrap import open_gateway
from fedreg.domain.errors import FedregError
from fedreg.domain.models import ModelDraft, Provenance, Version, VersionDraft
from fedreg.domain.records import Actor, InventoryQuery
from fedreg.domain.refs import Ref
from fedreg.services import catalog, check, copy, edits, promotion, refresh
from fedreg.services.gateway import Gateway
from fedreg.settings import load_settings
from fedreg.testing import steps
from fedreg.testing.backend import Fault, FaultKind, Match

from .backend import NAMESPACE, TOKEN, HubBackend

ACTOR = Actor(subject="tester")
FILES = {"MLmodel": b"flavors: {}\n", "data/model.pkl": b"\x80\x05" + bytes(range(256)) * 64, "empty": b""}
SOURCE, TARGET = Ref.parse("left:team/churn@version:1"), Ref("hf", "team/churn")


@pytest.fixture
async def gateway(backend: HubBackend, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Gateway]:
    config = tmp_path / "fedreg.yaml"
    config.write_text(
        "store: {url: 'sqlite:///fedreg.db'}\n"
        "registries:\n"
        f"  left: {{kind: memory, space: '{request.node.nodeid}'}}\n"
        f"  hf: {{kind: huggingface, namespace: {NAMESPACE}, token: {TOKEN}, endpoint: '{backend.proxy.url}'}}\n"
    )
    async with open_gateway(load_settings(config, {})) as opened:
        yield opened


async def seed(gateway: Gateway, **fields: object) -> Version:
    adapter = await gateway.registries.get("left")
    if not [model async for model in every(gateway)]:
        await adapter.create_model(ModelDraft(name="team/churn"))
    sizes = {path: len(data) for path, data in FILES.items()}
    draft = VersionDraft(model="team/churn", files=sizes, provenance=Provenance(run_id="run-1"), metrics={"auc": 0.5})
    state = await adapter.begin_upload(replace(draft, **fields), steps.new_key())  # type: ignore[arg-type]
    await steps.put_all(adapter, state, FILES)
    return await steps.finish(adapter, state)


async def every(gateway: Gateway) -> AsyncIterator[str]:
    for model in await steps.all_models(await gateway.registries.get("left")):
        yield model.name


async def copied(gateway: Gateway) -> copy.CopyReport:
    return await copy.copy_version(gateway, SOURCE, TARGET, actor=ACTOR, allow_lossy=())


async def test_a_copy_and_back(gateway: Gateway, backend: HubBackend) -> None:
    await seed(gateway, description="second")
    report = await copied(gateway)
    arrived = await (await gateway.registries.get("hf")).get_version("team/churn", "v1")
    assert (arrived.description, dict(arrived.metrics)) == ("second", {"auc": 0.5})
    assert arrived.provenance.run_id == "run-1"
    assert arrived.provenance.extra["copied_from"] == "left:team/churn@version:1"
    compared = await check.check(gateway, SOURCE, Ref.parse("hf:team/churn@version:v1"), download=True)
    assert compared.same and compared.target_digest is not None and compared.target_digest.value == report.digest
    assert not (await copied(gateway)).moved
    back = await copy.copy_version(
        gateway, Ref.parse("hf:team/churn@version:v1"), Ref("left", "back"), actor=ACTOR, allow_lossy=()
    )
    assert back.digest == report.digest, "neither the card nor .gitattributes travels"
    listed = await backend.sdk(lambda: [model.private for model in backend.api.list_models(author=NAMESPACE)])
    assert listed == [True]


async def test_what_the_hub_can_not_hold_the_gateway_holds(gateway: Gateway) -> None:
    await seed(gateway, tags={"team": "growth"})
    report = await copied(gateway)
    assert {loss.field for loss in report.losses} >= {"tags.team"}
    shown = await catalog.get_version(gateway, Ref.parse(report.target))
    assert dict(shown.tags) == {"team": "growth"} and shown.held_by_gateway == ("tags.team",)
    for stage in ("archived", "shadow"):
        await promotion.promote(gateway, Ref.parse(report.target), stage, actor=ACTOR)
        shown = await catalog.get_version(gateway, Ref.parse(report.target))
        assert shown.stage == stage and "stage" in shown.held_by_gateway


async def test_a_deleted_copy_is_made_again(gateway: Gateway) -> None:
    await seed(gateway)
    await copied(gateway)
    await (await gateway.registries.get("hf")).delete_version("team/churn", "v1")
    again = await copied(gateway)
    assert again.moved and again.target == "hf:team/churn@version:v2"


async def test_corrupted_bytes_are_never_registered(gateway: Gateway, backend: HubBackend) -> None:
    await seed(gateway)
    downloads = Match(method="GET", path="^/(cdn/|.*/resolve/fedreg-upload)")
    backend.proxy.inject(Fault(kind=FaultKind.FLIP_DOWNLOAD, match=downloads, times=0, at=3))
    with pytest.raises(FedregError):
        await copied(gateway)
    backend.proxy.clear()
    [repo] = backend.hub.repositories.values()
    assert not repo.tags and set(repo.branches) == {"main"}, "the upload is gone, and nothing was committed"


async def test_promotions_and_drift(gateway: Gateway, backend: HubBackend) -> None:
    await seed(gateway)
    report = await copied(gateway)
    target = Ref.parse(report.target)
    await promotion.promote(gateway, target, "production", actor=ACTOR, reason="good")
    [repo] = backend.hub.repositories.values()
    assert repo.branches["production"] == repo.tags["v1"]
    await edits.set_alias(gateway, target, "champion", actor=ACTOR, reason=None)
    assert repo.branches["champion"] == repo.tags["v1"]
    repo.branches["production"] = await backend.push(repo.id.partition("/")[2], {"hotfix.txt": b"x"})
    await refresh.refresh(gateway, "hf")
    page = await catalog.list_inventory(gateway, InventoryQuery(registries=("hf",)), versions=True)
    rows = {row.version: row.stage for row in page.items}
    assert rows == {"v1": "none", repo.branches["production"]: "production"}
