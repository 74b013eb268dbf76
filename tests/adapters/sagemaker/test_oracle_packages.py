"""boto3 and the adapter read from each other what either wrote."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fedreg.domain.errors import NotFound
from fedreg.domain.models import ModelDraft, Provenance
from fedreg.domain.stages import Approval
from fedreg.testing import steps
from fedreg_adapters.sagemaker.adapter import SageMakerAdapter

from .backend import IMAGE, SageMakerBackend
from .fixtures import adapter as adapter
from .fixtures import backend as backend
from .fixtures import s3 as s3
from .fixtures import start as start


async def tags(backend: SageMakerBackend, group: str) -> dict[str, str]:
    found = await backend.sagemaker("describe_model_package_group", ModelPackageGroupName=group)
    listed = await backend.sagemaker("list_tags", ResourceArn=found["ModelPackageGroupArn"])
    return {tag["Key"]: tag["Value"] for tag in listed["Tags"]}


@pytest.mark.oracle(
    "create_model", "upload", "set_stage", "set_alias", "set_model_tags", "set_version_tags", "set_approval"
)
async def test_boto3_reads_what_the_adapter_wrote(adapter: SageMakerAdapter, backend: SageMakerBackend) -> None:
    model = await adapter.create_model(ModelDraft(name="team/churn", description="who leaves", tags={"team": "growth"}))
    version = await steps.new_version(
        adapter,
        backend,
        model.name,
        key="key-1",
        description="first",
        tags={"tier": "1"},
        metrics={"auc": 0.5},
        params={"depth": "3"},
        provenance=Provenance(run_id="run-1", git_commit="abc", git_repository="https://git.example.com/r"),
        approval=Approval.APPROVED,
    )
    await adapter.set_stage(version.id, "staging")
    await adapter.set_alias(model.name, "champion", version.version)
    await adapter.set_approval(version.id, Approval.REJECTED, "too slow")
    await adapter.set_model_tags(model.name, {"cost": "7"}, remove=["team"])
    await adapter.set_version_tags(model.name, version.version, {"tier": "2"})

    group = await backend.sagemaker("describe_model_package_group", ModelPackageGroupName=model.native_name)
    assert group["ModelPackageGroupDescription"] == "who leaves"
    assert await tags(backend, model.native_name) == {
        "cost": "7",
        "fed:name": "team/churn",
        "fed:alias:champion": version.version,
    }
    package = await backend.sagemaker("describe_model_package", ModelPackageName=backend.arn(version))
    place = f"{backend.root}/{model.native_name}/key-1"
    assert package["CustomerMetadataProperties"] == {"tier": "2", "fed:key": "key-1", "fed:metric:auc": "0.5"}
    assert package["ModelPackageDescription"] == "first"
    assert package["ModelLifeCycle"] == {"Stage": "PreProduction", "StageStatus": "Approved"}
    assert (package["ModelApprovalStatus"], package["ApprovalDescription"]) == ("Rejected", "too slow")
    assert package["MetadataProperties"] == {
        "GeneratedBy": "run-1",
        "CommitId": "abc",
        "Repository": "https://git.example.com/r",
    }
    assert package["InferenceSpecification"]["Containers"] == [
        {
            "Image": IMAGE,
            "ModelDataSource": {
                "S3DataSource": {"S3Uri": f"{place}/files/", "S3DataType": "S3Prefix", "CompressionType": "None"}
            },
        }
    ]
    statistics = package["ModelMetrics"]["ModelQuality"]["Statistics"]
    record = json.loads(await backend.get_object(statistics["S3Uri"]))
    assert (record["metrics"], record["params"]) == ({"auc": 0.5}, {"depth": "3"})
    card = json.loads(package["ModelCard"]["ModelCardContent"])
    assert card["training_details"]["training_job_details"] == {
        "user_provided_training_metrics": [{"name": "auc", "value": 0.5}],
        "user_provided_hyper_parameters": [{"name": "depth", "value": "3"}],
    }
    assert sorted(await backend.objects(f"{place}/files/")) == sorted(steps.FILES)
    assert await backend.get_object(f"{place}/files/model.bin") == steps.FILES["model.bin"]


@pytest.mark.oracle("list_files", "open_file")
async def test_the_adapter_reads_what_boto3_wrote(adapter: SageMakerAdapter, backend: SageMakerBackend) -> None:
    root = await backend.place({"m/model.bin": b"weights", "m/sub/x": b""})
    report = f"{root}/evaluation.json"
    await backend.put_object(report, json.dumps({"regression_metrics": {"mse": {"value": 4.5}}}).encode())
    await backend.sagemaker(
        "create_model_package_group",
        ModelPackageGroupName="Churn-Native",
        ModelPackageGroupDescription="theirs",
        Tags=[{"Key": "team", "Value": "growth"}],
    )
    source = {"S3DataSource": {"S3Uri": f"{root}/m/", "S3DataType": "S3Prefix", "CompressionType": "None"}}
    number = await backend.register(
        "Churn-Native",
        {"ModelDataSource": source},
        ModelPackageDescription="one",
        ModelApprovalStatus="Approved",
        ModelLifeCycle={"Stage": "Production", "StageStatus": "OnHold"},
        CustomerMetadataProperties={"tier": "1"},
        MetadataProperties={"GeneratedBy": "pipeline-7"},
        ModelMetrics={"ModelQuality": {"Statistics": {"ContentType": "application/json", "S3Uri": report}}},
    )
    model = await adapter.get_model("Churn-Native")
    assert (model.name, model.description, dict(model.tags)) == ("Churn-Native", "theirs", {"team": "growth"})
    version = await adapter.get_version("Churn-Native", number)
    assert (version.description, version.stage, version.approval) == ("one", "production", Approval.APPROVED)
    assert (dict(version.tags), dict(version.metrics)) == ({"tier": "1"}, {"mse": 4.5})
    assert version.provenance.run_id == "pipeline-7"
    assert await steps.read_all(adapter, version) == {"model.bin": b"weights", "sub/x": b""}

    await backend.sagemaker(
        "update_model_package",
        ModelPackageArn=backend.arn(version),
        ModelLifeCycle={"Stage": "Archived", "StageStatus": "Retired"},
        ModelApprovalStatus="Rejected",
        ApprovalDescription="old",
    )
    changed = await adapter.get_version("Churn-Native", number)
    assert (changed.stage, changed.approval, changed.approval_comment) == ("archived", Approval.REJECTED, "old")
    assert changed.identity == version.identity


async def test_a_report_out_of_reach_does_not_hide_the_version(
    adapter: SageMakerAdapter, backend: SageMakerBackend
) -> None:
    model = await steps.new_model(adapter, backend)
    metrics: dict[str, Any] = {"ContentType": "application/json", "S3Uri": "s3://not-our-bucket/report.json"}
    number = await backend.register(model, {}, ModelMetrics={"ModelQuality": {"Statistics": metrics}})
    assert dict((await adapter.get_version(model, number)).metrics) == {}


async def test_spellings_nobody_encodes_to_are_reachable(adapter: SageMakerAdapter, backend: SageMakerBackend) -> None:
    for native in ("x--zz", "a--b", "x--61z"):
        await backend.sagemaker("create_model_package_group", ModelPackageGroupName=native)
    names = {model.native_name: model.name for model in await steps.all_models(adapter)}
    assert names["a--b"] == "a--b"
    for native, name in names.items():
        assert (await adapter.get_model(name)).native_name == native
        await adapter.delete_model(name)
    assert await steps.all_models(adapter) == []


async def test_events_of_the_service_are_understood(adapter: SageMakerAdapter, backend: SageMakerBackend) -> None:
    long_name = "team/" + "churn" * 20
    version = await steps.new_version(adapter, backend, await steps.new_model(adapter, backend, long_name))
    await adapter.set_stage(version.id, "production")
    await adapter.set_approval(version.id, Approval.APPROVED)
    sent = (await backend.control("events"))["events"]
    headers = {"x-fedreg-event-secret": backend.options().event_secret or ""}
    events = [event for body in sent for event in await adapter.parse_event(headers, json.dumps(body).encode())]
    assert [(event.model, event.version, event.kind) for event in events] == [
        (long_name, "1", "updated"),
        (long_name, "1", "stage"),
        (long_name, "1", "approval"),
    ]
    assert len({event.id for event in events}) == 3


async def test_deleted_by_boto3_is_not_found(adapter: SageMakerAdapter, backend: SageMakerBackend) -> None:
    version = await steps.new_version(adapter, backend)
    await backend.sagemaker("delete_model_package", ModelPackageName=backend.arn(version))
    for ask in (adapter.get_version, adapter.list_files, adapter.lineage, adapter.deployments):
        try:
            await ask(version.model, version.version)
        except NotFound:
            continue
        raise AssertionError(f"{ask.__name__} found a deleted version")
    await backend.sagemaker("delete_model_package_group", ModelPackageGroupName=version.model)
    for call in (adapter.get_model(version.model), steps.all_versions(adapter, version.model)):
        try:
            await call
        except NotFound:
            continue
        raise AssertionError("a deleted group was found")
