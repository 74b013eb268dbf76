"""Names, deletions, deployments, lineage and records, each as Vertex has its own rules for them."""

from __future__ import annotations

import pytest

from fedreg.domain.errors import Conflict, InvalidRequest, NotFound
from fedreg.domain.lineage import Relation
from fedreg.domain.models import VersionDraft
from fedreg.domain.stages import Approval
from fedreg.testing import steps
from fedreg.testing.conformance.names import ODD
from fedreg_adapters.vertex.adapter import VertexAdapter
from fedreg_adapters.vertex.mapping import name_of, native_of
from fedreg_adapters.vertex.standin_state import ALIAS, MODEL_ID

from .backend import PARENT, VertexBackend
from .fixtures import Start


@pytest.mark.parametrize("pattern", [*ODD, "9{}", "_{}", "-{}", "{}" + "x" * 100])
async def test_odd_names(backend: VertexBackend, adapter: VertexAdapter, pattern: str) -> None:
    """The suite tries them where models can be created; here a version makes the model."""
    name = pattern.format(backend.unique_name("n"))
    version = await steps.new_version(adapter, backend, name)
    model = await adapter.get_model(name)
    assert (model.name, version.model) == (name, name)
    assert MODEL_ID.fullmatch(model.native_name)
    assert [found.name for found in await steps.all_models(adapter)] == [name]
    [batch] = await steps.scan_all(adapter)
    assert ([m.name for m in batch.models], [v.id for v in batch.versions]) == ([name], [version.id])


def test_names_alike_have_other_spellings() -> None:
    names = ["a/b", "a-b", "a_b", "a.b", "a b", "A-b", "a%2Fb", "x--2fz", "ax--2fzb", "1a", "x--31za"]
    assert len({native_of(name) for name in names}) == len(names)
    assert [name_of(native_of(name)) for name in names] == names


async def test_too_long_a_name(adapter: VertexAdapter) -> None:
    with pytest.raises(InvalidRequest, match="128"):
        await adapter.begin_upload(VersionDraft(model="x" * 129), "key")


async def test_a_model_whose_id_is_a_number(backend: VertexBackend, adapter: VertexAdapter) -> None:
    """Vertex makes such ids where none is given; a new model can't have one."""
    model = {"display_name": "Churn", "artifact_uri": "gs://models/theirs"}
    made = await backend.sdk("upload_model", {"parent": PARENT, "model": model})
    number = made.model.rpartition("/")[2]
    assert [found.name for found in await steps.all_models(adapter)] == [number]
    assert (await steps.new_version(adapter, backend, number)).version == "2"
    with pytest.raises(InvalidRequest, match="is a number"):
        await adapter.begin_upload(VersionDraft(model="2024"), "key")


async def test_an_alias_too_long_as_spelt(backend: VertexBackend, adapter: VertexAdapter) -> None:
    await steps.new_version(adapter, backend, "churn")
    await adapter.set_alias("churn", "a_" * 12, "1")
    assert dict((await adapter.get_model("churn")).aliases) == {"a_" * 12: "1"}
    assert all(
        ALIAS.fullmatch(alias) for alias in backend.standin.state.model(f"{PARENT}/models/churn").default.aliases
    )
    with pytest.raises(InvalidRequest, match="too long"):
        await adapter.set_alias("churn", "a_" * 60, "1")


async def test_default_can_not_be_removed(backend: VertexBackend, adapter: VertexAdapter) -> None:
    await steps.new_version(adapter, backend, "churn")
    with pytest.raises(Conflict, match="default"):
        await adapter.delete_alias("churn", "default")


@pytest.mark.parametrize("default_delete", ["refuse", "move"])
async def test_deleting_the_default_version(start: Start, default_delete: str) -> None:
    backend = await start(default_delete=default_delete)
    adapter = await backend.open_adapter()
    for _ in range(3):
        await steps.new_version(adapter, backend, "churn")
    await adapter.delete_version("churn", "1")
    model = backend.standin.state.model(f"{PARENT}/models/churn")
    assert (sorted(model.versions), model.default.number) == ([2, 3], 3)
    await adapter.aclose()


async def test_the_only_version_goes_with_its_model(backend: VertexBackend, adapter: VertexAdapter) -> None:
    first = await steps.new_version(adapter, backend, "churn")
    await adapter.delete_version("churn", "1")
    with pytest.raises(NotFound):
        await adapter.get_model("churn")
    again = await steps.new_version(adapter, backend, "churn")
    assert again.version == first.version and again.identity != first.identity


async def test_what_is_deployed_stays(backend: VertexBackend, adapter: VertexAdapter) -> None:
    versions = [await steps.new_version(adapter, backend, "churn") for _ in range(2)]
    await backend.seed_deployment(versions[1])
    with pytest.raises(Conflict, match="deployed"):
        await adapter.delete_version("churn", "2")
    with pytest.raises(Conflict, match="deployed"):
        await adapter.delete_model("churn")


async def test_a_graph_too_large(backend: VertexBackend, adapter: VertexAdapter) -> None:
    version = await steps.new_version(adapter, backend, "churn")
    await backend.seed_lineage(version)
    metadata = backend.standin.metadata
    metadata.events += [metadata.events[0]] * 1000
    with pytest.raises(Conflict, match="more than 1000"):
        await adapter.lineage("churn", "1")


async def test_lineage_of_a_copy(backend: VertexBackend, adapter: VertexAdapter) -> None:
    source = await steps.new_version(adapter, backend, "churn")
    copy = await adapter.copy_native(source.id, "other", "key")
    [edge] = await adapter.lineage("other", copy.version)
    assert (edge.relation, edge.source.label) == (Relation.COPIED_FROM, "vertex:churn")


async def test_a_record_that_somebody_removed(backend: VertexBackend, adapter: VertexAdapter) -> None:
    version = await steps.new_version(adapter, backend, "churn", params={"a": "1"}, tags={"t": "1"})
    name = f"{PARENT}/metadataStores/default/artifacts/{backend.row(version).labels['fed-record']}"
    await backend.sdk("delete_artifact", {"name": name}, metadata=True)
    found = await adapter.get_version("churn", "1")
    assert (dict(found.params), dict(found.tags)) == ({}, {"t": "1"})
    commented = await adapter.set_approval(found.id, Approval.REJECTED, "no params")
    assert commented.approval_comment == "no params"


async def test_a_comment_goes_with_the_next_decision(backend: VertexBackend, adapter: VertexAdapter) -> None:
    version = await steps.new_version(adapter, backend, "churn", params={"a": "1"})
    await adapter.set_approval(version.id, Approval.APPROVED, "by the board")
    changed = await adapter.set_approval(version.id, Approval.REJECTED)
    assert (changed.approval_comment, dict(changed.params)) == (None, {"a": "1"})
    again = await adapter.set_approval(version.id, Approval.APPROVED)
    assert again.approval_comment is None


async def test_a_record_too_large(backend: VertexBackend, adapter: VertexAdapter) -> None:
    state = await steps.uploaded(adapter, backend, "churn", params={"a": "x" * 200_001})
    with pytest.raises(InvalidRequest, match="200000"):
        await adapter.finish(state)


async def test_values_of_enums_that_came_with_a_later_api(backend: VertexBackend, adapter: VertexAdapter) -> None:
    """protobuf hands them over as numbers; what is known of the version is shown all the same."""
    version = await steps.new_version(adapter, backend, "churn", tags={"team": "growth"})
    message = backend.row(version).message
    raw = type(message).pb(message)
    raw.supported_deployment_resources_types.append(99)
    raw.model_source_info.source_type = 77
    raw.supported_export_formats.add().exportable_contents.append(55)
    sent = await backend.sdk("get_model", {"name": backend.resource(version)})
    assert [int(kind) for kind in sent.supported_deployment_resources_types] == [99]
    found = await adapter.get_version("churn", version.version)
    assert (dict(found.tags), found.status) == ({"team": "growth"}, version.status)
    assert await steps.all_versions(adapter, "churn") == [found]
