"""Model package groups and their resource policies. A group has no update: only its tags change."""

import json

from .standin_errors import conflict, invalid
from .standin_search import drop_record, reindex_group
from .standin_state import Group, State, group_key, list_documents, name_of
from .standin_tags import read_tags
from .standin_validation import JSON, project


def find_group(state: State, name_or_arn: str) -> Group:
    """Return the group, or raise the ValidationException the service uses for a missing one."""
    name = name_of(state, "model-package-group", name_or_arn)
    group = state.groups.get(group_key(state, name)) if name else None
    if group is None:
        arn = name_or_arn if name_or_arn.startswith("arn:") else state.arn("model-package-group", name_or_arn)
        raise invalid(f"ModelPackageGroup {arn} does not exist.")
    return group


def create_group(state: State, request: JSON) -> JSON:
    name = request["ModelPackageGroupName"]
    arn = state.arn("model-package-group", name)
    if group_key(state, name) in state.groups:
        raise invalid(f"Model Package Group already exists: {arn}")
    tags = read_tags(request.get("Tags", []))
    document = {key: value for key, value in request.items() if key != "Tags"} | {
        "ModelPackageGroupArn": arn,
        "CreationTime": state.now(),
        "CreatedBy": state.user_context(),
        "ModelPackageGroupStatus": "Completed",
    }
    state.groups[group_key(state, name)] = Group(document)
    state.tags[arn] = tags
    reindex_group(state, state.groups[group_key(state, name)])
    return {"ModelPackageGroupArn": arn}


def describe_group(state: State, request: JSON) -> JSON:
    return project("DescribeModelPackageGroupOutput", find_group(state, request["ModelPackageGroupName"]).document)


def list_groups(state: State, request: JSON) -> JSON:
    own_only = request.get("CrossAccountFilterOption", "SameAccount") == "SameAccount"
    documents = [group.document for group in state.groups.values()] if own_only else []
    entries = [(d["ModelPackageGroupArn"], d["ModelPackageGroupName"], d) for d in documents]
    page, token = list_documents(state, "ListModelPackageGroups", request, entries)
    return {"ModelPackageGroupSummaryList": [project("ModelPackageGroupSummary", d) for d in page]} | token


def delete_group(state: State, request: JSON) -> None:
    group = find_group(state, request["ModelPackageGroupName"])
    arn = group.document["ModelPackageGroupArn"]
    if group.versions:
        raise conflict(f"Model Package Group cannot be deleted because it contains model packages: {arn}")
    del state.groups[group_key(state, group.document["ModelPackageGroupName"])]
    del state.tags[arn]
    drop_record(state, "ModelPackageGroup", arn)


def put_policy(state: State, request: JSON) -> JSON:
    group = find_group(state, request["ModelPackageGroupName"])
    try:
        policy = json.loads(request["ResourcePolicy"])
    except ValueError:
        policy = None
    if not isinstance(policy, dict) or "Statement" not in policy:
        raise invalid("The resource policy is not a valid JSON policy document with a Statement.")
    group.policy = request["ResourcePolicy"]
    return {"ModelPackageGroupArn": group.document["ModelPackageGroupArn"]}


def get_policy(state: State, request: JSON) -> JSON:
    group = find_group(state, request["ModelPackageGroupName"])
    if group.policy is None:
        raise invalid(f"Cannot find resource policy for: {group.document['ModelPackageGroupArn']}")
    return {"ResourcePolicy": group.policy}


def delete_policy(state: State, request: JSON) -> None:
    group = find_group(state, request["ModelPackageGroupName"])
    if group.policy is None:
        raise invalid(f"Cannot find resource policy for: {group.document['ModelPackageGroupArn']}")
    group.policy = None


OPERATIONS = {
    "CreateModelPackageGroup": create_group,
    "DescribeModelPackageGroup": describe_group,
    "ListModelPackageGroups": list_groups,
    "DeleteModelPackageGroup": delete_group,
    "PutModelPackageGroupPolicy": put_policy,
    "GetModelPackageGroupPolicy": get_policy,
    "DeleteModelPackageGroupPolicy": delete_policy,
}
