"""The SageMaker stand-in: Search."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .standin_server import Server, make_group, make_version, walk


def search(sm: Any, *filters: tuple[str, ...], resource: str = "ModelPackage", **more: Any) -> list[Any]:
    made = [dict(zip(("Name", "Operator", "Value"), entry, strict=False)) for entry in filters]
    found = walk(sm.search, "Results", Resource=resource, SearchExpression={"Filters": made} if made else {}, **more)
    return [entry[resource] for entry in found]


def versions_found(sm: Any, *filters: tuple[str, ...], **more: Any) -> list[int]:
    return sorted(record["ModelPackageVersion"] for record in search(sm, *filters, **more))


@pytest.fixture
def searched(server: Server, sm: Any) -> Any:
    make_group(sm, Tags=[{"Key": "team", "Value": "risk"}])
    for number, stage in enumerate(["Development", "Production", "Archived"], 1):
        life = {"Stage": stage, "StageStatus": "Approved"}
        properties = {"fed:n": str(number), "dotted.key": "x"} if number > 1 else {"other": "y"}
        make_version(sm, ModelLifeCycle=life, CustomerMetadataProperties=properties)
        server.control("clock", {"advance": 10})
    return sm


@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        ([("ModelPackageGroupName", "Equals", "churn")], [1, 2, 3]),
        ([("ModelLifeCycle.Stage", "Equals", "Production")], [2]),
        ([("ModelLifeCycle.Stage", "NotEquals", "Production")], [1, 3]),
        ([("ModelLifeCycle.Stage", "In", "Production,Archived")], [2, 3]),
        ([("ModelLifeCycle.Stage", "Contains", "ev")], [1]),
        ([("ModelPackageVersion", "GreaterThan", "1"), ("ModelPackageVersion", "LessThan", "3")], [2]),
        ([("ModelPackageVersion", "GreaterThanOrEqualTo", "2")], [2, 3]),
        ([("ModelPackageVersion", "LessThanOrEqualTo", "2")], [1, 2]),
        ([("CustomerMetadataProperties.fed:n", "Exists")], [2, 3]),
        ([("CustomerMetadataProperties.fed:n", "NotExists")], [1]),
        ([("CustomerMetadataProperties.dotted.key", "Equals", "x")], [2, 3]),
        ([("Tags.team", "Equals", "risk"), ("ModelApprovalStatus", "Equals", "PendingManualApproval")], [1, 2, 3]),
        ([("CreationTime", "GreaterThan", "2020-01-01T00:00:00Z")], [1, 2, 3]),
        ([("CreationTime", "LessThan", "2020-01-01T00:00:00")], []),
    ],
)
def test_search_operators(searched: Any, filters: list[tuple[str, ...]], wanted: list[int]) -> None:
    assert versions_found(searched, *filters) == wanted


@pytest.mark.parametrize(
    "filters",
    [
        [("NoSuchProperty", "Equals", "x")],
        [("ModelLifeCycle.NoSuch", "Equals", "x")],
        [("ModelLifeCycle.Stage", "GreaterThan", "x")],
        [("ModelPackageVersion", "Contains", "1")],
        [("ModelPackageVersion", "Equals", "one")],
        [("CreationTime", "GreaterThan", "yesterday")],
        [("ModelLifeCycle.Stage", "Exists", "x")],
        [("ModelLifeCycle.Stage", "Equals")],
        [("ModelLifeCycle.Stage", "Like", "x")],
        [("ModelLifeCycle.Stage", "Contains", "x"), ("ModelApprovalStatus", "Contains", "x")],
        [("ModelPackageVersion", "Equals", "1")] * 21,
    ],
)
def test_search_refuses(searched: Any, filters: list[tuple[str, ...]]) -> None:
    with pytest.raises(ClientError, match="ValidationException"):
        search(searched, *filters)


def test_search_nests_sorts_pages_and_finds_groups(searched: Any) -> None:
    def stage(value: str) -> dict[str, Any]:
        return {"Filters": [{"Name": "ModelLifeCycle.Stage", "Operator": "Equals", "Value": value}]}

    either = {"Operator": "Or", "SubExpressions": [stage("Production"), stage("Archived")]}
    first_two = {"Filters": [{"Name": "ModelPackageVersion", "Operator": "LessThan", "Value": "3"}]}
    both = {"Operator": "And", "SubExpressions": [either, first_two]}
    found = searched.search(Resource="ModelPackage", SearchExpression=both)["Results"]
    assert [entry["ModelPackage"]["ModelPackageVersion"] for entry in found] == [2]
    newest_first = [record["ModelPackageVersion"] for record in search(searched, MaxResults=1)]
    assert newest_first == [3, 2, 1]
    by_version = search(searched, SortBy="ModelPackageVersion", SortOrder="Ascending", MaxResults=2)
    assert [record["ModelPackageVersion"] for record in by_version] == [1, 2, 3]
    (group,) = search(searched, ("Tags.team", "Equals", "risk"), resource="ModelPackageGroup")
    assert (group["ModelPackageGroupName"], group["Tags"]) == ("churn", [{"Key": "team", "Value": "risk"}])


def test_search_lags_behind_writes(start: Callable[..., Server]) -> None:
    server = start(search_lag_seconds=60)
    sm = server.client()
    make_group(sm)
    arn = make_version(sm)
    assert versions_found(sm) == []
    server.control("clock", {"advance": 61})
    assert versions_found(sm) == [1]
    sm.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")
    approved = ("ModelApprovalStatus", "Equals", "Approved")
    assert versions_found(sm, approved) == []
    server.control("clock", {"advance": 61})
    assert versions_found(sm, approved) == [1]
    sm.delete_model_package(ModelPackageName=arn)
    assert versions_found(sm) == [1]
    server.control("clock", {"advance": 61})
    assert versions_found(sm) == []
