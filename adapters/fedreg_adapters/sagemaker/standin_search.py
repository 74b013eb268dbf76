"""Search over model packages and groups: an index of snapshots, so that it can lag behind the writes."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from botocore.model import Shape

from .standin_errors import invalid
from .standin_state import Group, State, list_page
from .standin_validation import JSON, NUMBERS, load_service_model, project

ORDERED = {"GreaterThan", "GreaterThanOrEqualTo", "LessThan", "LessThanOrEqualTo"}
PRESENCE = {"Exists", "NotExists"}
SEARCHED = {"ModelPackage", "ModelPackageGroup"}
MAX_FILTERS = 20


def reindex_group(state: State, group: Group) -> None:
    """Index a group and, since its versions show its tags, each of them."""
    arn = group.document["ModelPackageGroupArn"]
    record = group.document | {"Tags": _shown_tags(state, arn), "LastModifiedTime": state.now()}
    _index(state, "ModelPackageGroup", arn, record)
    for version in group.versions.values():
        reindex_package(state, version)


def reindex_package(state: State, arn: str) -> None:
    """Index a package as it stands now."""
    document = state.packages[arn].document
    name = document.get("ModelPackageGroupName")
    tagged = state.arn("model-package-group", name) if name else arn
    record = {"LastModifiedTime": document["CreationTime"]} | document | {"Tags": _shown_tags(state, tagged)}
    _index(state, "ModelPackage", arn, record)


def drop_record(state: State, resource: str, arn: str) -> None:
    """Take a deleted resource out of the index, after the lag."""
    _index(state, resource, arn, None)


def search(state: State, request: JSON) -> JSON:
    resource = request["Resource"]
    if resource not in SEARCHED:
        raise invalid(f"Search for {resource} is not served here: use one of {', '.join(sorted(SEARCHED))}.")
    shape = load_service_model().shape_for(resource)
    expression = request.get("SearchExpression", {})
    _check_expression(shape, expression)
    if "SortBy" in request:
        _leaf_of(shape, request["SortBy"])
    sort_by = request.get("SortBy", "LastModifiedTime")
    found = [
        (arn, _sort_value(record, sort_by), record)
        for arn, record in _visible(state, resource)
        if _matches(shape, record, expression)
    ]
    descending = request.get("SortOrder", "Descending") == "Descending"
    page, token = list_page(state, "Search", request, found, descending=descending)
    return {"Results": [{resource: project(resource, record)} for record in page]} | token


def _index(state: State, resource: str, arn: str, record: JSON | None) -> None:
    snapshots = state.search_index.setdefault(resource, {}).setdefault(arn, [])
    visible_before = state.now() - state.options.search_lag_seconds
    while len(snapshots) > 1 and snapshots[1][0] <= visible_before:
        snapshots.pop(0)
    snapshots.append((state.now(), dict(record) if record else None))


def _visible(state: State, resource: str) -> Iterator[tuple[str, JSON]]:
    horizon = state.now() - state.options.search_lag_seconds
    for arn, snapshots in state.search_index.get(resource, {}).items():
        record = next((record for at, record in reversed(snapshots) if at <= horizon), None)
        if record is not None:
            yield arn, record


def _shown_tags(state: State, arn: str) -> list[JSON]:
    return [{"Key": key, "Value": value} for key, value in state.tags.get(arn, {}).items()]


def _check_expression(shape: Shape, expression: JSON) -> None:
    filters = list(_all_filters(expression))
    if len(filters) > MAX_FILTERS:
        raise invalid(f"A search expression can contain at most {MAX_FILTERS} filters: this one has {len(filters)}.")
    if sum(entry.get("Operator") == "Contains" for entry in filters) > 1:
        raise invalid("'CONTAINS' operator usage limit of 1 exceeded.")
    for entry in filters:
        _check_filter(shape, entry)


def _all_filters(expression: JSON) -> Iterator[JSON]:
    yield from expression.get("Filters", [])
    for nested in expression.get("NestedFilters", []):
        raise invalid(f"NestedFilters on '{nested['NestedPropertyName']}' is not supported for this resource.")
    for sub in expression.get("SubExpressions", []):
        yield from _all_filters(sub)


def _check_filter(shape: Shape, entry: JSON) -> None:
    operator, is_text = entry.get("Operator", "Equals"), _leaf_of(shape, entry["Name"]) == "string"
    if operator in PRESENCE:
        if "Value" in entry:
            raise invalid(f"Filter on '{entry['Name']}': Value must not be given with operator {operator}.")
        return
    if "Value" not in entry:
        raise invalid(f"Filter on '{entry['Name']}': Value is required with operator {operator}.")
    if operator in ORDERED and is_text:
        raise invalid(f"Operator {operator} is not supported for text property '{entry['Name']}'.")
    if operator in {"Contains", "In"} and not is_text:
        raise invalid(f"Operator {operator} is only supported for text properties, not '{entry['Name']}'.")


def _leaf_of(shape: Shape, name: str) -> str:
    """The type name a dotted property ends at; ValidationException for a property the resource lacks."""
    rest = name
    while rest:
        if shape.name == "TagList" or shape.type_name == "map":
            return "string"
        if shape.type_name == "list":
            shape = shape.member
            continue
        head, _, rest = rest.partition(".")
        if shape.type_name != "structure" or head not in shape.members:
            raise invalid(f"Unknown property name: {name}")
        shape = shape.members[head]
    return str(shape.type_name)


def _matches(shape: Shape, record: JSON, expression: JSON) -> bool:
    results = [_matches_filter(shape, record, entry) for entry in expression.get("Filters", [])]
    results += [_matches(shape, record, sub) for sub in expression.get("SubExpressions", [])]
    if not results:
        return True
    return bool(any(results) if expression.get("Operator") == "Or" else all(results))


def _matches_filter(shape: Shape, record: JSON, entry: JSON) -> bool:
    values = list(_values_at(record, entry["Name"]))
    operator = entry.get("Operator", "Equals")
    if operator in PRESENCE:
        return (operator == "Exists") is bool(values)
    kind, wanted = _leaf_of(shape, entry["Name"]), entry["Value"]
    if operator == "NotEquals":
        return not any(_compare("Equals", kind, value, wanted) for value in values)
    return any(_compare(operator, kind, value, wanted) for value in values)


def _values_at(value: Any, name: str) -> Iterator[Any]:
    if isinstance(value, list):
        if name and all(isinstance(item, dict) and set(item) == {"Key", "Value"} for item in value):
            yield from (item["Value"] for item in value if item["Key"] == name)
            return
        for item in value:
            yield from _values_at(item, name)
    elif not name:
        yield value
    elif isinstance(value, dict):
        if name in value:  # the keys of a map may hold dots themselves
            yield from _values_at(value[name], "")
            return
        head, _, rest = name.partition(".")
        if head in value:
            yield from _values_at(value[head], rest)


def _compare(operator: str, kind: str, value: Any, wanted: str) -> bool:
    if operator == "Contains":
        return wanted in str(value)
    if operator == "In":
        return str(value) in [part.strip() for part in wanted.split(",")]
    left, right = _comparable(kind, value), _read_value(kind, wanted)
    if operator == "Equals":
        return bool(left == right)
    if operator == "GreaterThan":
        return bool(left > right)
    if operator == "GreaterThanOrEqualTo":
        return bool(left >= right)
    return bool(left < right) if operator == "LessThan" else bool(left <= right)


def _comparable(kind: str, value: Any) -> Any:
    if kind == "timestamp":
        return math.floor(value)  # filters carry whole seconds
    return value if kind in NUMBERS else str(value).lower() if kind == "boolean" else str(value)


def _read_value(kind: str, wanted: str) -> Any:
    try:
        if kind == "timestamp":
            moment = datetime.fromisoformat(wanted)
            return math.floor((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
        if kind in NUMBERS:
            return float(wanted)
    except ValueError:
        raise invalid(f"Value '{wanted}' is not a valid {kind}.") from None
    return wanted.lower() if kind == "boolean" else wanted


def _sort_value(record: JSON, name: str) -> str | float:
    value = next(_values_at(record, name), "")
    return value if isinstance(value, (int, float)) else str(value)


OPERATIONS: dict[str, Any] = {"Search": search}
