"""The SageMaker stand-in: model packages and tags."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .standin_server import IMAGE, URI, Server, describe, make_group, make_version, refused, walk


def test_version_numbers_are_never_reused(sm: Any) -> None:
    make_group(sm)
    first, second = make_version(sm), make_version(sm)
    assert second == "arn:aws:sagemaker:eu-west-1:123456789012:model-package/churn/2"
    sm.delete_model_package(ModelPackageName=second)
    assert make_version(sm).endswith("/3")
    code, message = refused(sm.describe_model_package, ModelPackageName=second)
    assert (code, message) == ("ValidationException", f"ModelPackage {second} does not exist.")
    listed = sm.list_model_packages(ModelPackageGroupName="churn", SortOrder="Descending")["ModelPackageSummaryList"]
    assert [entry["ModelPackageVersion"] for entry in listed] == [3, 1]
    sm.delete_model_package(ModelPackageName="churn/1")
    assert refused(sm.delete_model_package, ModelPackageName=first)[0] == "ValidationException"


def test_package_echoes_what_it_was_given(sm: Any) -> None:
    make_group(sm)
    given: dict[str, Any] = {
        "ModelPackageDescription": "first",
        "MetadataProperties": {"CommitId": "abc", "GeneratedBy": "run-1"},
        "CustomerMetadataProperties": {"fed:desc": "a b", "metric:auc": "0.9"},
        "ModelMetrics": {"ModelQuality": {"Statistics": {"ContentType": "application/json", "S3Uri": "s3://m/q.json"}}},
        "ModelLifeCycle": {"Stage": "Development", "StageStatus": "Approved"},
        "ModelCard": {"ModelCardContent": '{"a": 1}', "ModelCardStatus": "Draft"},
        "SourceUri": "arn:aws:sagemaker:eu-west-1:123456789012:model/m",
        "ModelPackageRegistrationType": "Logged",
        "SkipModelValidation": "All",
    }
    arn = make_version(sm, **given)
    shown = describe(sm, arn)
    assert {key: shown[key] for key in given} == given
    assert shown["ModelApprovalStatus"] == "PendingManualApproval"
    assert shown["ModelPackageStatus"] == "Completed"
    assert "LastModifiedTime" not in shown
    source = shown["InferenceSpecification"]["Containers"][0]["ModelDataSource"]["S3DataSource"]
    assert source == {"S3Uri": URI, "S3DataType": "S3Prefix", "CompressionType": "None"}
    card = describe(sm, arn, IncludedData="MetadataOnly")["ModelCard"]
    assert card == {"ModelCardContent": "", "ModelCardStatus": "Draft"}


@pytest.mark.parametrize(
    "given",
    [
        {"Tags": [{"Key": "k", "Value": "v"}]},
        {"ModelPackageName": "both"},
        {"ModelApprovalStatus": "approved"},
        {"ModelLifeCycle": {"Stage": "Production"}},
        {"ModelLifeCycle": {"Stage": "pre_production", "StageStatus": "Approved"}},
        {"CustomerMetadataProperties": {}},
        {"CustomerMetadataProperties": {f"k{n}": "v" for n in range(51)}},
        {"CustomerMetadataProperties": {"k" * 129: "v"}},
        {"CustomerMetadataProperties": {"k": "v" * 257}},
        {"CustomerMetadataProperties": {"k": ""}},
        {"CustomerMetadataProperties": {"k": "comma,"}},
        {"ClientToken": "t" * 37},
        {"ClientToken": "under_score"},
        {"SourceUri": "s" * 1025},
        {"InferenceSpecification": {}},
        {"InferenceSpecification": {"Containers": []}},
        {"InferenceSpecification": {"Containers": [{"Image": IMAGE, "ModelDataUrl": "gs://bucket/x"}]}},
        {
            "InferenceSpecification": {
                "Containers": [
                    {
                        "ModelDataSource": {
                            "S3DataSource": {"S3Uri": "s3://b/k", "S3DataType": "S3Prefix", "CompressionType": "None"}
                        }
                    }
                ]
            }
        },
        {"ModelCard": {"ModelCardContent": "not json"}},
        {"ModelCard": {"ModelCardContent": json.dumps({"a": "x" * 100_000})}},
    ],
)
def test_create_refuses(server: Server, sm: Any, given: dict[str, Any]) -> None:
    make_group(sm)
    with pytest.raises(ClientError, match="ValidationException"):
        make_version(sm, **given)
    assert server.control("state")["packages"] == 0


def test_create_accepts_the_edges(sm: Any) -> None:
    make_group(sm)
    properties = {f"{n:02d}" + "k" * 126: "v" * 256 for n in range(50)}
    arn = make_version(sm, CustomerMetadataProperties=properties, ClientToken="t" * 36)
    assert describe(sm, arn)["CustomerMetadataProperties"] == properties
    bare = sm.create_model_package(ModelPackageGroupName="churn")["ModelPackageArn"]
    assert "InferenceSpecification" not in describe(sm, bare)
    assert refused(sm.create_model_package, ModelPackageGroupName="nowhere")[1].endswith("does not exist.")
    assert refused(sm.create_model_package)[1] == "Missing ARN."


def test_client_token_makes_create_idempotent(server: Server, sm: Any) -> None:
    make_group(sm)
    first = make_version(sm, ClientToken="token-1")
    assert make_version(sm, ClientToken="token-1") == first
    assert server.control("state")["packages"] == 1
    with pytest.raises(sm.exceptions.ConflictException):
        make_version(sm, ClientToken="token-1", ModelPackageDescription="other")
    assert make_version(sm, ClientToken="token-2").endswith("/2")
    server.control("clock", {"advance": 8 * 3600 + 1})
    assert make_version(sm, ClientToken="token-1").endswith("/3")


def test_update_patches(server: Server, sm: Any) -> None:
    make_group(sm)
    arn = make_version(sm, CustomerMetadataProperties={"a": "1", "b": "2"})
    server.control("clock", {"advance": 5})
    sm.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved", ApprovalDescription="fine")
    sm.update_model_package(
        ModelPackageArn=arn, CustomerMetadataProperties={"b": "3", "c": "4"}, CustomerMetadataPropertiesToRemove=["a"]
    )
    sm.update_model_package(ModelPackageArn=arn, ModelLifeCycle={"Stage": "Production", "StageStatus": "Approved"})
    sm.update_model_package(ModelPackageArn=arn, ModelPackageRegistrationType="Registered", SourceUri="s3://x/y")
    shown = describe(sm, arn)
    assert (shown["ModelApprovalStatus"], shown["ApprovalDescription"]) == ("Approved", "fine")
    assert shown["CustomerMetadataProperties"] == {"b": "3", "c": "4"}
    assert shown["ModelLifeCycle"] == {"Stage": "Production", "StageStatus": "Approved"}
    assert (shown["ModelPackageRegistrationType"], shown["SourceUri"]) == ("Registered", "s3://x/y")
    assert shown["InferenceSpecification"]["Containers"][0]["Image"] == IMAGE
    assert shown["LastModifiedTime"] > shown["CreationTime"]
    sm.update_model_package(ModelPackageArn=arn, CustomerMetadataPropertiesToRemove=["b", "c", "absent"])
    assert "CustomerMetadataProperties" not in describe(sm, arn)


def test_update_refuses_and_leaves_the_package_alone(sm: Any) -> None:
    make_group(sm)
    arn = make_version(sm, CustomerMetadataProperties={f"k{n}": "v" for n in range(50)})
    before = describe(sm, arn)
    cases: tuple[dict[str, Any], ...] = (
        {"CustomerMetadataProperties": {"one-more": "v"}, "ModelApprovalStatus": "Approved"},
        {"CustomerMetadataProperties": {"k1": "w"}, "CustomerMetadataPropertiesToRemove": ["k1"]},
        {"ModelLifeCycle": {"Stage": "Production"}},
        {"ModelLifeCycle": {}},
        {"ApprovalDescription": "x" * 1025},
        {"ApprovalDescription": "two\nlines"},
        {"AdditionalInferenceSpecificationsToAdd": [{"Name": "s", "Containers": [{}]}] * 2},
    )
    for given in cases:
        assert refused(sm.update_model_package, ModelPackageArn=arn, **given)[0] == "ValidationException", given
    after = describe(sm, arn)
    assert {**before, "ResponseMetadata": 0} == {**after, "ResponseMetadata": 0}
    sm.update_model_package(
        ModelPackageArn=arn, CustomerMetadataProperties={"one-more": "v"}, CustomerMetadataPropertiesToRemove=["k1"]
    )
    assert len(describe(sm, arn)["CustomerMetadataProperties"]) == 50


def test_additional_specifications_are_appended_up_to_fifteen(sm: Any) -> None:
    make_group(sm)
    arn = make_version(sm)
    specifications = [{"Name": f"s{n}", "Containers": [{"Image": IMAGE}]} for n in range(16)]
    for batch in (specifications[:8], specifications[8:15]):
        sm.update_model_package(ModelPackageArn=arn, AdditionalInferenceSpecificationsToAdd=batch)
    assert describe(sm, arn)["AdditionalInferenceSpecifications"] == specifications[:15]
    code, _ = refused(
        sm.update_model_package, ModelPackageArn=arn, AdditionalInferenceSpecificationsToAdd=specifications[15:]
    )
    assert code == "ValidationException"


def test_status_goes_through_pending_when_asked_to(start: Callable[..., Server]) -> None:
    server = start(pending_describes=2)
    sm = server.client()
    make_group(sm)
    arn = make_version(sm)
    seen = [describe(sm, arn)["ModelPackageStatus"] for _ in range(4)]
    assert seen == ["Pending", "InProgress", "Completed", "Completed"]
    emitted = [event["detail"]["ModelPackageStatus"] for event in server.control("events")["events"]]
    assert emitted == ["Pending", "InProgress", "Completed"]
    server.control("package", {"arn": arn, "status": "Failed", "reason": "no data"})
    shown = describe(sm, arn)
    assert shown["ModelPackageStatus"] == "Failed"
    assert shown["ModelPackageStatusDetails"]["ValidationStatuses"][0]["FailureReason"] == "no data"


def test_batch_describe_reports_the_missing_apart(sm: Any) -> None:
    make_group(sm)
    arn = make_version(sm)
    gone = arn.replace("/1", "/9")
    answer = sm.batch_describe_model_package(ModelPackageArnList=[arn, gone])
    assert list(answer["ModelPackageSummaries"]) == [arn]
    assert answer["BatchDescribeModelPackageErrorMap"][gone]["ErrorCode"] == "ValidationException"
    for size in (0, 101):
        assert refused(sm.batch_describe_model_package, ModelPackageArnList=[arn] * size)[0] == "ValidationException"


def test_list_packages_filters_on_approval_and_type(sm: Any) -> None:
    make_group(sm)
    versions = [make_version(sm) for _ in range(11)]
    sm.update_model_package(ModelPackageArn=versions[4], ModelApprovalStatus="Approved")
    specification = {"Containers": [{"Image": IMAGE}]}
    alone = sm.create_model_package(ModelPackageName="alone", InferenceSpecification=specification)["ModelPackageArn"]

    def arns(**given: Any) -> list[str]:
        return [e["ModelPackageArn"] for e in walk(sm.list_model_packages, "ModelPackageSummaryList", **given)]

    assert arns(ModelPackageGroupName="churn", MaxResults=4) == versions
    assert arns(ModelPackageGroupName="churn", ModelApprovalStatus="Approved") == [versions[4]]
    assert arns() == [alone]
    assert sorted(arns(ModelPackageType="Both")) == sorted([alone, *versions])
    assert refused(sm.list_model_packages, ModelPackageGroupName="nowhere")[0] == "ValidationException"
    assert refused(sm.update_model_package, ModelPackageArn=alone, SourceUri="s3://x/y")[0] == "ValidationException"


def test_events_name_the_fields_that_changed(server: Server, sm: Any) -> None:
    make_group(sm)
    arn = make_version(sm)
    sm.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved", SourceUri="s3://x/y")
    created, updated = server.control("events")["events"]
    assert created["detail-type"] == "SageMaker Model Package State Change"
    assert created["source"] == "aws.sagemaker"
    assert "UpdatedModelPackageFields" not in created["detail"]
    assert updated["detail"]["UpdatedModelPackageFields"] == ["ModelApprovalStatus", "sourceUri"]
    assert updated["detail"]["ModelPackageArn"] == arn
    assert updated["detail"]["ModelPackageGroupName"] == "churn"
    assert updated["detail"]["ModelPackageVersion"] == 1


def test_tags_are_upserted_paged_and_limited(sm: Any) -> None:
    arn = make_group(sm, Tags=[{"Key": "a", "Value": "1"}])
    sm.add_tags(ResourceArn=arn, Tags=[{"Key": "a", "Value": "2"}, {"Key": "fed:alias:best", "Value": "1"}])
    assert sm.list_tags(ResourceArn=arn)["Tags"] == [
        {"Key": "a", "Value": "2"},
        {"Key": "fed:alias:best", "Value": "1"},
    ]
    sm.add_tags(ResourceArn=arn, Tags=[{"Key": f"k{n}", "Value": ""} for n in range(48)])
    assert len(sm.list_tags(ResourceArn=arn)["Tags"]) == 50
    sm.add_tags(ResourceArn=arn, Tags=[{"Key": "a", "Value": "3"}])
    for tags in (
        [{"Key": "one-more", "Value": ""}],
        [{"Key": "a", "Value": ""}, {"Key": "a", "Value": "x"}],
        [{"Key": "aws:x", "Value": ""}],
    ):
        assert refused(sm.add_tags, ResourceArn=arn, Tags=tags)[0] == "ValidationException"
    sm.delete_tags(ResourceArn=arn, TagKeys=[f"k{n}" for n in range(48)] + ["absent"])
    assert [tag["Key"] for tag in sm.list_tags(ResourceArn=arn)["Tags"]] == ["a", "fed:alias:best"]
    assert refused(sm.list_tags, ResourceArn=arn, MaxResults=49)[0] == "ValidationException"
    assert refused(sm.list_tags, ResourceArn=f"{arn}-x")[0] == "ValidationException"


def test_versioned_packages_carry_no_tags(sm: Any) -> None:
    make_group(sm)
    arn = make_version(sm)
    assert refused(sm.add_tags, ResourceArn=arn, Tags=[{"Key": "k", "Value": "v"}])[0] == "ValidationException"
    assert sm.list_tags(ResourceArn=arn)["Tags"] == []
