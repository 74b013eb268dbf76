"""Model cards: every update makes a version. Missing ones are ResourceNotFound, unlike packages."""

from typing import Any

from .standin_errors import conflict, invalid, not_found
from .standin_rules import check_card_content
from .standin_state import State, list_documents, list_page, name_of
from .standin_tags import read_tags
from .standin_validation import JSON, project


def find_card(state: State, name_or_arn: str) -> list[JSON]:
    """Return the card's versions, oldest first."""
    versions = state.cards.get(name_of(state, "model-card", name_or_arn) or "")
    if versions is None:
        raise not_found(f"Model card {name_or_arn} does not exist.")
    return versions


def create_card(state: State, request: JSON) -> JSON:
    name = request["ModelCardName"]
    arn = state.arn("model-card", name)
    if name in state.cards:
        raise conflict(f"Model card already exists: {arn}")
    check_card_content(request["Content"])
    tags = read_tags(request.get("Tags", []))
    made = {"ModelCardArn": arn, "ModelCardVersion": 1, "CreationTime": state.now(), "CreatedBy": state.user_context()}
    state.cards[name] = [{key: value for key, value in request.items() if key != "Tags"} | made]
    state.tags[arn] = tags
    return {"ModelCardArn": arn}


def describe_card(state: State, request: JSON) -> JSON:
    versions = find_card(state, request["ModelCardName"])
    number = request.get("ModelCardVersion", len(versions))
    if not 1 <= number <= len(versions):
        raise not_found(f"Model card {request['ModelCardName']} has no version {number}.")
    shown = project("DescribeModelCardResponse", versions[number - 1])
    return shown | ({"Content": ""} if request.get("IncludedData") == "MetadataOnly" else {})


def update_card(state: State, request: JSON) -> JSON:
    versions = find_card(state, request["ModelCardName"])
    changes = {key: request[key] for key in ("Content", "ModelCardStatus") if key in request}
    if len(changes) != 1:
        raise invalid("Update either the model card content or the model card status, and one of them per call.")
    check_card_content(changes.get("Content"))
    changed = {"LastModifiedTime": state.now(), "LastModifiedBy": state.user_context()}
    versions.append(versions[-1] | changes | changed | {"ModelCardVersion": len(versions) + 1})
    return {"ModelCardArn": versions[0]["ModelCardArn"]}


def list_cards(state: State, request: JSON) -> JSON:
    wanted = request.get("ModelCardStatus")
    latest = [versions[-1] for versions in state.cards.values()]
    entries = [(d["ModelCardArn"], d["ModelCardName"], d) for d in latest if wanted in {None, d["ModelCardStatus"]}]
    page, token = list_documents(state, "ListModelCards", request, entries)
    return {"ModelCardSummaries": [project("ModelCardSummary", d) for d in page]} | token


def list_card_versions(state: State, request: JSON) -> JSON:
    wanted = request.get("ModelCardStatus")
    entries = [
        (f"{d['ModelCardVersion']:09d}", f"{d['ModelCardVersion']:09d}", d)
        for d in find_card(state, request["ModelCardName"])
        if wanted in {None, d["ModelCardStatus"]}
        and request.get("CreationTimeAfter", 0) < d["CreationTime"] < request.get("CreationTimeBefore", float("inf"))
    ]
    descending = request.get("SortOrder") == "Descending"
    page, token = list_page(state, "ListModelCardVersions", request, entries, descending=descending)
    return {"ModelCardVersionSummaryList": [project("ModelCardVersionSummary", d) for d in page]} | token


def delete_card(state: State, request: JSON) -> None:
    arn = find_card(state, request["ModelCardName"])[0]["ModelCardArn"]
    del state.cards[request["ModelCardName"]]
    del state.tags[arn]


OPERATIONS: dict[str, Any] = {
    "CreateModelCard": create_card,
    "DescribeModelCard": describe_card,
    "UpdateModelCard": update_card,
    "DeleteModelCard": delete_card,
    "ListModelCards": list_cards,
    "ListModelCardVersions": list_card_versions,
}
