"""Versions: what SageMaker's small fields hold, what goes beside them, and what is refused."""

from __future__ import annotations

import asyncio
import math
from datetime import UTC, datetime

import pytest

from fedreg.domain.errors import Conflict, InvalidRequest, NotFound, PreconditionFailed, Unsupported
from fedreg.domain.models import ModelDraft, Provenance, VersionDraft
from fedreg.domain.stages import Approval, StageOptions
from fedreg.testing import steps
from fedreg_adapters.sagemaker.adapter import SageMakerAdapter

from .backend import BUCKET, SageMakerBackend
from .fixtures import Start
from .fixtures import adapter as adapter
from .fixtures import backend as backend
from .fixtures import s3 as s3
from .fixtures import start as start


async def test_everything_of_a_draft_is_held(adapter: SageMakerAdapter, backend: SageMakerBackend) -> None:
    fields = {
        "metrics": {**{f"metric-{n}": n / 8 for n in range(70)}, "odd name, really": math.inf, "": -1.0},
        "params": {"long": "x" * 3000, "two\nlines": "ü\n空"},
        "provenance": Provenance(
            run_id="run-1",
            source_uri="mlflow-artifacts:/1/2?x=%20",
            git_commit="c" * 40,
            git_repository="https://git.example.com/r",
            created_by="ann@example.com",
            created_at=datetime(2024, 2, 29, 12, 30, tzinfo=UTC),
            extra={"project": "p, q"},
        ),
        "description": "first line\nsecond, with a comma",
        "tags": {"team": "growth"},
        "approval": Approval.APPROVED,
    }
    version = await steps.new_version(adapter, backend, **fields)
    for name, value in fields.items():
        assert getattr(version, name) == value, name
    fresh = await backend.open_adapter()
    try:
        assert await fresh.get_version(version.model, version.version) == version
        assert await steps.all_versions(fresh, version.model) == [version]
    finally:
        await fresh.aclose()


async def test_without_an_artifact_root_the_card_carries_the_record(backend: SageMakerBackend) -> None:
    adapter = await backend.open_adapter(artifact_root=None)
    try:
        assert adapter.capabilities.upload is None
        with pytest.raises(Unsupported, match="'upload'"):
            await adapter.begin_upload(VersionDraft(model="m"), "k")
        model = await steps.new_model(adapter, backend)
        draft = VersionDraft(
            model=model,
            source_uri=await backend.place({"a": b"1"}),
            metrics={f"m{n}": float(n) for n in range(99)},
            provenance=Provenance(created_by="ann", extra={"x": "y"}),
        )
        version = await adapter.create_version(draft, "key-1")
        assert (version.metrics, version.provenance) == (draft.metrics, draft.provenance)
        assert await adapter.get_version(model, version.version) == version
        assert await adapter.find_version(model, "key-1") == version
        huge = VersionDraft(model=model, source_uri=draft.source_uri, params={"p": "x" * 100_000})
        with pytest.raises(Unsupported) as caught:
            await adapter.create_version(huge, "key-2")
        assert caught.value.details["losses"]
    finally:
        await adapter.aclose()


async def test_a_lost_record_is_an_error_not_an_empty_answer(
    adapter: SageMakerAdapter, backend: SageMakerBackend
) -> None:
    version = await steps.new_version(adapter, backend, metrics={"auc": 0.5})
    [record] = [name for name in await backend.objects(f"{backend.root}/") if name.endswith("fedreg.json")]
    key = f"{backend.root}/{record}".removeprefix(f"s3://{BUCKET}/")
    await asyncio.to_thread(backend.s3.client.delete_object, Bucket=BUCKET, Key=key)
    fresh = await backend.open_adapter()
    try:
        with pytest.raises(NotFound, match=r"fedreg\.json"):
            await fresh.get_version(version.model, version.version)
    finally:
        await fresh.aclose()


async def test_descriptions_are_edited_beside_the_fixed_field(
    adapter: SageMakerAdapter, backend: SageMakerBackend
) -> None:
    version = await steps.new_version(adapter, backend, description="as made")
    for text in ("x" * 1024, "two\nlines, and more", "", "as made"):
        changed = await adapter.update_version(version.model, version.version, description=text)
        assert changed.description == (text or None)
        assert dict(changed.tags) == {}
    await adapter.create_model(ModelDraft(name="described", description="as\nmade", tags={"a": "b"}))
    for text in ("x" * 1024, "", "back, again"):
        model = await adapter.update_model("described", description=text)
        assert (model.description, dict(model.tags)) == (text or None, {"a": "b"})
    with pytest.raises(Unsupported, match="description"):
        await adapter.update_version(version.model, version.version, description="," * 1024)


async def test_own_tags_are_out_of_reach(adapter: SageMakerAdapter, backend: SageMakerBackend) -> None:
    version = await steps.new_version(adapter, backend)
    for key in ("fed:key", "aws:x"):
        with pytest.raises(InvalidRequest, match="reserved"):
            await adapter.set_version_tags(version.model, version.version, {key: "x"})
        with pytest.raises(InvalidRequest, match="reserved"):
            await adapter.set_model_tags(version.model, {}, remove=[key])
        with pytest.raises(InvalidRequest, match="reserved"):
            await adapter.create_model(ModelDraft(name="other", tags={key: "x"}))


async def test_aliases_and_tags_share_fifty(adapter: SageMakerAdapter, backend: SageMakerBackend) -> None:
    version = await steps.new_version(adapter, backend)
    await adapter.set_model_tags(version.model, {f"t{n}": "x" for n in range(40)})
    for number in range(10):
        await adapter.set_alias(version.model, f"a{number}", version.version)
    with pytest.raises(Conflict, match="50"):
        await adapter.set_alias(version.model, "one-more", version.version)
    await adapter.set_alias(version.model, "a0", version.version)
    assert len((await adapter.get_model(version.model)).aliases) == 10


async def test_stages_take_the_configured_words(backend: SageMakerBackend) -> None:
    adapter = await backend.open_adapter(
        stages=StageOptions(map={"staging": "QA", "development": "Development"}), stage_status="InProgress"
    )
    try:
        version = await steps.new_version(adapter, backend)
        for stage, word in (("staging", "QA"), ("development", "Development"), ("production", "Production")):
            changed = await adapter.set_stage(version.id, stage)
            assert (changed.stage, changed.native_stages) == (stage, (word,))
        described = await backend.sagemaker("describe_model_package", ModelPackageName=backend.arn(version))
        assert described["ModelLifeCycle"] == {"Stage": "Production", "StageStatus": "InProgress"}
        with pytest.raises(PreconditionFailed):
            await adapter.set_stage(version.id, "none", expected="staging")
        cleared = await adapter.set_stage(version.id, "none", expected="production")
        assert (cleared.stage, cleared.native_stages) == ("none", ())
        with pytest.raises(InvalidRequest, match="refuses"):
            await adapter.set_stage(version.id, "ends-with-")
    finally:
        await adapter.aclose()


async def test_a_comment_goes_with_its_decision(adapter: SageMakerAdapter, backend: SageMakerBackend) -> None:
    version = await steps.new_version(adapter, backend)
    assert version.approval is Approval.PENDING
    await adapter.set_approval(version.id, Approval.REJECTED, "too slow")
    approved = await adapter.set_approval(version.id, Approval.APPROVED)
    assert (approved.approval, approved.approval_comment) == (Approval.APPROVED, None)
    with pytest.raises(InvalidRequest):
        await adapter.set_approval(version.id, Approval.APPROVED, "two\nlines")


@pytest.mark.parametrize("options", [{"lowercase_arns": True}, {"list_order_jitter": 7}])
async def test_what_services_differ_in(start: Start, options: dict[str, object]) -> None:
    """Names are never read out of ARNs, whose case may differ; lists may come in any order."""
    backend = await start(**options)
    adapter = await backend.open_adapter()
    try:
        name = "Team/ChurnModel"
        await adapter.create_model(ModelDraft(name=name))
        made = [await steps.new_version(adapter, backend, name, {"n": bytes([n])}) for n in range(4)]
        await adapter.set_alias(name, "champion", made[2].version)
        listed = await steps.all_versions(adapter, name, limit=2)
        assert sorted(v.version for v in listed) == [v.version for v in made]
        assert [model.name for model in await steps.all_models(adapter)] == [name]
        assert (await adapter.get_version(name, made[2].version)).aliases == ("champion",)
        with pytest.raises(NotFound):
            await adapter.get_model(name.lower())
        with pytest.raises(NotFound):
            await adapter.get_version(name.lower(), "1")
    finally:
        await adapter.aclose()


async def test_a_draft_with_a_number_is_refused(adapter: SageMakerAdapter, backend: SageMakerBackend) -> None:
    model = await steps.new_model(adapter, backend)
    with pytest.raises(Unsupported) as caught:
        await adapter.begin_upload(VersionDraft(model=model, version="7"), "k")
    assert caught.value.details == {"losses": ["version"]}
    with pytest.raises(InvalidRequest, match="packaging"):
        await adapter.begin_upload(VersionDraft(model=model, packaging="zip"), "k")


@pytest.mark.parametrize("replace_properties", [False, True], ids=["added", "replaced"])
async def test_properties_of_an_update_whichever_way_the_service_takes_them(
    start: Start, replace_properties: bool
) -> None:
    """Whether they are added to those held or take their place is inferred, not documented."""
    backend = await start(replace_properties=replace_properties)
    adapter = await backend.open_adapter()
    try:
        version = await steps.new_version(
            adapter, backend, key="key-1", tags={"a": "1", "b": "2"}, metrics={"auc": 0.5}
        )
        await adapter.set_version_tags(version.model, version.version, {"c": "3"}, remove=["a"])
        await adapter.update_version(version.model, version.version, description="edited")
        await adapter.set_stage(version.id, "production")
        found = await adapter.find_version(version.model, "key-1")
        assert found is not None and (found.description, found.stage) == ("edited", "production")
        assert (dict(found.tags), dict(found.metrics)) == ({"b": "2", "c": "3"}, {"auc": 0.5})
        await adapter.set_version_tags(version.model, version.version, {}, remove=["b", "c"])
        found = await adapter.find_version(version.model, "key-1")
        assert found is not None and dict(found.tags) == {}
    finally:
        await adapter.aclose()
