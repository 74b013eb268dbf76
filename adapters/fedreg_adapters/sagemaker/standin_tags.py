"""Tags of groups, cards, lineage entities and deployments. Versioned packages carry none: their group does."""

from typing import Any

from .standin_errors import invalid
from .standin_search import reindex_group
from .standin_state import State, list_page
from .standin_validation import JSON

MAX_TAGS = 50


def read_tags(tags: list[JSON], existing: dict[str, str] | None = None) -> dict[str, str]:
    """Return `existing` with `tags` set over it; refuse duplicates, the reserved prefix and more than 50."""
    given = [tag["Key"] for tag in tags]
    for key in given:
        if key.lower().startswith("aws:"):
            raise invalid(f"Tag key '{key}' is invalid: the prefix 'aws:' is reserved for system use.")
    if len(set(given)) < len(given):
        raise invalid("Duplicate tag keys found. Tag keys must be unique per resource.")
    merged = (existing or {}) | {tag["Key"]: tag["Value"] for tag in tags}
    if len(merged) > MAX_TAGS:
        raise invalid(f"The number of tags on a resource can not exceed {MAX_TAGS}: this would make {len(merged)}.")
    return merged


def show_tags(tags: dict[str, str]) -> list[JSON]:
    """Tags in the shape the service returns."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def add_tags(state: State, request: JSON) -> JSON:
    arn = _find_taggable(state, request["ResourceArn"])
    state.tags[arn] = read_tags(request["Tags"], state.tags[arn])
    _reindex(state, arn)
    return {"Tags": show_tags(state.tags[arn])}


def list_tags(state: State, request: JSON) -> JSON:
    arn = request["ResourceArn"]
    if arn in state.packages and arn not in state.tags:
        return {"Tags": []}
    tags = show_tags(state.tags[_find_taggable(state, arn)])
    entries = [(tag["Key"], tag["Key"], tag) for tag in tags]
    page, token = list_page(state, "ListTags", request, entries, descending=False, default_size=MAX_TAGS)
    return {"Tags": page} | token


def delete_tags(state: State, request: JSON) -> JSON:
    arn = _find_taggable(state, request["ResourceArn"])
    state.tags[arn] = {key: value for key, value in state.tags[arn].items() if key not in request["TagKeys"]}
    _reindex(state, arn)
    return {}


def _find_taggable(state: State, arn: str) -> str:
    if arn in state.tags:
        return arn
    if arn in state.packages:
        raise invalid(f"Tagging is not supported for versioned model packages: tag the group instead of {arn}")
    raise invalid(f"Resource {arn} does not exist.")


def _reindex(state: State, arn: str) -> None:
    for group in state.groups.values():
        if group.document["ModelPackageGroupArn"] == arn:
            reindex_group(state, group)


OPERATIONS: dict[str, Any] = {"AddTags": add_tags, "ListTags": list_tags, "DeleteTags": delete_tags}
