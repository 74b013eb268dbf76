"""Vertex AI behind a gateway: copies to a model that is not there yet, and back; promotion; inventory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fedreg import aio
from fedreg.client.local import LocalClient
from fedreg.domain.models import VersionDraft
from fedreg.domain.refs import Ref
from fedreg.testing import steps

from .backend import BUCKET, LOCATION, PROJECT, VertexBackend
from .fixtures import Start


@pytest.fixture
async def backend(start: Start) -> VertexBackend:
    """Vertex takes its time here."""
    return await start(pending_polls=1)


@pytest.fixture
async def client(backend: VertexBackend, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[LocalClient]:
    config = tmp_path / "fedreg.yaml"
    config.write_text(
        "store: {url: 'sqlite:///fedreg.db'}\n"
        "registries:\n"
        f"  lab: {{kind: memory, space: '{request.node.nodeid}'}}\n"
        f"  vx: {{kind: vertex, project: {PROJECT}, location: {LOCATION}, artifact_root: 'gs://{BUCKET}/fedreg',\n"
        f"    endpoint: '{backend.registry_proxy.address}', gcs_endpoint: '{backend.gcs_proxy.url}', insecure: true}}\n"
    )
    async with aio.open(config) as opened:
        yield opened


async def test_there_and_back(client: LocalClient, backend: VertexBackend) -> None:
    await client.create_model(Ref("lab", "team/churn"), description="Churn of teams", tags={"team": "growth"})
    lab = await client.gateway.registries.get("lab")
    draft = VersionDraft(
        model="team/churn",
        description="first",
        tags={"team": "growth", "odd.key": "Ü b"},
        metrics={"auc": 0.5},
        params={"depth": "3"},
        files={path: len(data) for path, data in steps.FILES.items()},
    )
    state = await lab.begin_upload(draft, "key")
    await steps.put_all(lab, state, steps.FILES)
    await lab.finish(state)
    there = await client.copy("lab:team/churn@version:1", "vx:team/churn")
    assert there.target == "vx:team/churn@version:1"
    vx = await client.gateway.registries.get("vx")
    arrived = await vx.get_version("team/churn", "1")
    assert (arrived.description, dict(arrived.tags)["team"]) == ("first", "growth")
    assert (dict(arrived.metrics), arrived.params["depth"]) == ({"auc": 0.5}, "3")
    model = await vx.get_model("team/churn")
    assert (model.description, dict(model.tags)) == ("Churn of teams", {"team": "growth"})
    assert {loss.field for loss in there.losses} == {"tags.odd.key", "model"}, (
        "held by the gateway, and spelled otherwise"
    )
    back = await client.copy("vx:team/churn@version:1", "lab:again")
    assert back.digest == there.digest
    returned = await lab.get_version("again", "1")
    assert (returned.description, dict(returned.metrics)) == ("first", {"auc": 0.5})
    assert backend.standin.calls.count("UploadModel") == 1


async def test_promotion_and_inventory(client: LocalClient, backend: VertexBackend) -> None:
    adapter = await client.gateway.registries.get("vx")
    version = await steps.new_version(adapter, backend, "churn")
    await client.promote("vx:churn@version:1", to="production", reason="ready")
    assert backend.row(version).labels["fed-stage"] == "production"
    await client.refresh(["vx"])
    assert [found.stage async for found in client.versions(registry="vx")] == ["production"]
