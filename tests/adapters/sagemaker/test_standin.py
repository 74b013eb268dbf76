"""The SageMaker stand-in: protocol, validation, groups, paging, callers, and running as a process."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .standin_server import PACKAGE_ARN, Server, describe, make_group, make_version, refused, walk


def test_unknown_operation_and_error_style(server: Server, sm: Any) -> None:
    request = urllib.request.Request(server.url, b"{}", {"X-Amz-Target": "SageMaker.UpdateModelPackageGroup"})
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    assert caught.value.code == 400
    assert caught.value.headers["x-amzn-RequestId"]
    assert json.load(caught.value)["__type"] == "UnknownOperationException"
    code, message = refused(sm.create_model_package_group, ModelPackageGroupName="a_b")
    assert code == "ValidationException"
    assert message == (
        "1 validation error detected: Value 'a_b' at 'modelPackageGroupName' failed to satisfy constraint: "
        "Member must satisfy regular expression pattern: [a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}"
    )


@pytest.mark.parametrize(
    ("given", "part"),
    [
        ({}, "Member must not be null"),
        ({"ModelPackageGroupName": ""}, "length greater than or equal to 1"),
        ({"ModelPackageGroupName": "a" * 64}, "length less than or equal to 63"),
        ({"ModelPackageGroupName": "a", "ModelPackageGroupDescription": "x" * 1025}, "less than or equal to 1024"),
        ({"ModelPackageGroupName": "a", "ModelPackageGroupDescription": "bell\a"}, r"\p{L}"),
        ({"ModelPackageGroupName": "a", "Tags": [{"Key": "k" * 129, "Value": ""}]}, "'tags.1.member.key'"),
        ({"ModelPackageGroupName": "a", "Tags": [{"Key": "k", "Value": "no,comma"}]}, "'tags.1.member.value'"),
        ({"ModelPackageGroupName": "a", "Tags": [{"Key": f"{n}", "Value": ""} for n in range(51)]}, "equal to 50"),
        ({"ModelPackageGroupName": "a_b", "ModelPackageGroupDescription": "x" * 1025}, "2 validation errors"),
    ],
)
def test_constraints_past_the_edge(sm: Any, given: dict[str, Any], part: str) -> None:
    code, message = refused(sm.create_model_package_group, **given)
    assert code == "ValidationException"
    assert part in message


def test_constraints_at_the_edge(sm: Any) -> None:
    tags = [{"Key": f"{n:02d}" + "ключ-" * 20, "Value": "é" * 256} for n in range(50)]
    arn = make_group(sm, "a" * 63, ModelPackageGroupDescription="ü€ " * 341, Tags=tags)
    assert sm.list_tags(ResourceArn=arn)["Tags"] == tags


def test_unknown_member_and_wrong_type_are_refused(server: Server) -> None:
    def post(body: Any, operation: str = "CreateModelPackageGroup") -> str:
        headers = {"X-Amz-Target": f"SageMaker.{operation}", "Content-Type": "application/x-amz-json-1.1"}
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(urllib.request.Request(server.url, json.dumps(body).encode(), headers))
        return str(json.load(caught.value)["__type"])

    assert post({"ModelPackageGroupName": "a", "Surprise": 1}) == "ValidationException"
    assert post({"ModelPackageGroupName": 7}) == "SerializationException"
    assert post([]) == "SerializationException"
    immutable = {"ModelPackageArn": PACKAGE_ARN, "ModelPackageDescription": "new"}
    assert post(immutable, "UpdateModelPackage") == "ValidationException"


def test_group_life(sm: Any) -> None:
    arn = make_group(sm, "Churn", ModelPackageGroupDescription="d")
    assert arn == "arn:aws:sagemaker:eu-west-1:123456789012:model-package-group/Churn"
    by_name = sm.describe_model_package_group(ModelPackageGroupName="Churn")
    by_arn = sm.describe_model_package_group(ModelPackageGroupName=arn)
    assert by_name["ModelPackageGroupArn"] == by_arn["ModelPackageGroupArn"] == arn
    assert (by_name["ModelPackageGroupName"], by_name["ModelPackageGroupDescription"]) == ("Churn", "d")
    code, message = refused(sm.create_model_package_group, ModelPackageGroupName="Churn")
    assert (code, message) == ("ValidationException", f"Model Package Group already exists: {arn}")
    make_version(sm, "Churn")
    assert refused(sm.delete_model_package_group, ModelPackageGroupName="Churn")[0] == "ConflictException"
    sm.delete_model_package(ModelPackageName=f"{arn.replace('package-group', 'package')}/1")
    sm.delete_model_package_group(ModelPackageGroupName="Churn")
    code, message = refused(sm.describe_model_package_group, ModelPackageGroupName="Churn")
    assert (code, message) == ("ValidationException", f"ModelPackageGroup {arn} does not exist.")


def test_lower_case_arns_make_names_collide(start: Callable[..., Server]) -> None:
    sm = start(lowercase_arns=True).client()
    arn = make_group(sm, "Churn")
    assert arn.endswith("model-package-group/churn")
    assert sm.describe_model_package_group(ModelPackageGroupName=arn)["ModelPackageGroupName"] == "Churn"
    assert describe(sm, make_version(sm, "Churn"))["ModelPackageGroupName"] == "Churn"
    assert refused(sm.create_model_package_group, ModelPackageGroupName="CHURN")[0] == "ValidationException"


def test_group_policy(sm: Any) -> None:
    make_group(sm)
    named = {"ModelPackageGroupName": "churn"}
    assert refused(sm.get_model_package_group_policy, **named)[0] == "ValidationException"
    policy = json.dumps({"Version": "2012-10-17", "Statement": []})
    sm.put_model_package_group_policy(ResourcePolicy=policy, **named)
    assert sm.get_model_package_group_policy(**named)["ResourcePolicy"] == policy
    assert refused(sm.put_model_package_group_policy, ResourcePolicy="{}", **named)[0] == "ValidationException"
    sm.delete_model_package_group_policy(**named)
    assert refused(sm.get_model_package_group_policy, **named)[0] == "ValidationException"


def test_list_groups_filters_sorts_and_pages(server: Server, sm: Any) -> None:
    for name in ("b-one", "a-two", "c-one"):
        make_group(sm, name)
        server.control("clock", {"advance": 1})

    def names(**given: Any) -> list[str]:
        found = walk(sm.list_model_package_groups, "ModelPackageGroupSummaryList", **given)
        return [entry["ModelPackageGroupName"] for entry in found]

    assert names() == ["b-one", "a-two", "c-one"]
    assert names(SortBy="Name", SortOrder="Descending", MaxResults=1) == ["c-one", "b-one", "a-two"]
    assert names(NameContains="one", MaxResults=1) == ["b-one", "c-one"]
    second = sm.describe_model_package_group(ModelPackageGroupName="a-two")["CreationTime"]
    assert names(CreationTimeAfter=second) == ["c-one"]
    assert names(CreationTimeBefore=second) == ["b-one"]
    for size in (0, 101):
        assert refused(sm.list_model_package_groups, MaxResults=size)[0] == "ValidationException"


def test_paging_survives_deletion_and_refuses_foreign_tokens(sm: Any) -> None:
    for number in range(12):
        make_group(sm, f"g{number:02d}")
    first = sm.list_model_package_groups(SortBy="Name")
    assert len(first["ModelPackageGroupSummaryList"]) == 10
    sm.delete_model_package_group(ModelPackageGroupName="g09")
    rest = sm.list_model_package_groups(SortBy="Name", NextToken=first["NextToken"])["ModelPackageGroupSummaryList"]
    assert [entry["ModelPackageGroupName"] for entry in rest] == ["g10", "g11"]
    for given in ({"NextToken": "junk"}, {"NextToken": first["NextToken"], "SortOrder": "Descending"}):
        assert refused(sm.list_model_package_groups, **given)[0] == "ValidationException"


def test_jitter_shuffles_ties_but_pages_once(start: Callable[..., Server]) -> None:
    sm = start(list_order_jitter=3, clock=lambda: 1_700_000_000.0).client()
    made = [make_group(sm, f"g{number}") for number in range(8)]
    found = walk(sm.list_model_package_groups, "ModelPackageGroupSummaryList", MaxResults=3)
    arns = [entry["ModelPackageGroupArn"] for entry in found]
    assert sorted(arns) == made
    assert arns != made


def test_assumed_role_expires(start: Callable[..., Server]) -> None:
    server = start(require_known_credentials={"AKIAKNOWN": "s3cret"})
    sts = server.client("sts", "AKIAKNOWN", "s3cret")
    assert sts.get_caller_identity()["Account"] == "123456789012"
    role = {"RoleArn": "arn:aws:iam::210987654321:role/registry", "RoleSessionName": "fedreg"}
    for seconds in (899, 43201):
        assert refused(sts.assume_role, DurationSeconds=seconds, **role)[0] == "ValidationError"
    issued = sts.assume_role(DurationSeconds=900, **role)["Credentials"]
    keys = {"key": issued["AccessKeyId"], "secret": issued["SecretAccessKey"], "token": issued["SessionToken"]}
    sm = server.client(**keys)
    make_group(sm)
    session = "arn:aws:sts::210987654321:assumed-role/registry/fedreg"
    assert server.client("sts", **keys).get_caller_identity()["Arn"] == session
    made_by = sm.describe_model_package_group(ModelPackageGroupName="churn")["CreatedBy"]
    assert made_by["IamIdentity"]["Arn"] == session
    server.control("clock", {"advance": 901})
    assert refused(sm.list_model_package_groups)[0] == "ExpiredTokenException"
    assert refused(server.client("sts", **keys).get_caller_identity)[0] == "ExpiredToken"


def test_unknown_keys_and_wrong_secrets_are_refused(start: Callable[..., Server]) -> None:
    server = start(require_known_credentials={"AKIAKNOWN": "s3cret"})
    server.client(key="AKIAKNOWN", secret="s3cret").list_model_package_groups()
    with pytest.raises(ClientError) as caught:
        server.client(key="AKIAOTHER", secret="s3cret").list_model_package_groups()
    assert caught.value.response["Error"]["Code"] == "UnrecognizedClientException"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    wrong = server.client(key="AKIAKNOWN", secret="other").list_model_package_groups
    assert refused(wrong)[0] == "InvalidSignatureException"
    assert refused(server.client("sts", "AKIAOTHER").get_caller_identity)[0] == "InvalidClientTokenId"


def test_runs_as_a_process_until_sigterm() -> None:
    command = [sys.executable, "-m", "fedreg_adapters.sagemaker.standin", "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    ) as process:
        try:
            assert process.stdout is not None
            word, url = process.stdout.readline().split()
            assert word == "listening"
            with urllib.request.urlopen(f"{url}/_standin/state") as answer:
                assert json.load(answer)["groups"] == 0
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
