"""Lineage: artifacts, actions and contexts, and the associations between them."""

import functools
import uuid
from typing import Any

from .standin_errors import invalid, not_found
from .standin_lineage_query import query_lineage
from .standin_state import State, is_within, list_documents, list_page, name_of
from .standin_tags import read_tags
from .standin_validation import JSON, project

MAX_PROPERTIES = 30
KINDS = ("Artifact", "Action", "Context")
PATCHED = ("Description", "Status", "ArtifactName")


def find_entity(state: State, kind: str, request: JSON) -> JSON:
    """Return the entity that the request names by ARN or, for actions and contexts, by name."""
    name = name_of(state, kind.lower(), request.get(f"{kind}Arn") or request.get(f"{kind}Name", ""))
    entity = state.lineage.get(state.arn(kind.lower(), name)) if name else None
    if entity is None:
        given = request.get(f"{kind}Arn") or request.get(f"{kind}Name")
        raise not_found(f"{kind} {given} does not exist.")
    return entity


def create_entity(kind: str, state: State, request: JSON) -> JSON:
    name = uuid.uuid4().hex if kind == "Artifact" else request[f"{kind}Name"]
    arn = state.arn(kind.lower(), name)
    # An artifact is known by its source, the others by their name.
    twin = _artifact_from(state, request["Source"]) if kind == "Artifact" else state.lineage.get(arn)
    if twin:
        raise invalid(f"{kind} already exists: {twin[f'{kind}Arn']}")
    tags = read_tags(request.get("Tags", []))
    now, user = state.now(), state.user_context()
    made = {f"{kind}Arn": arn, "CreationTime": now, "CreatedBy": user, "LastModifiedTime": now, "LastModifiedBy": user}
    state.lineage[arn] = {key: value for key, value in request.items() if key != "Tags"} | made | {"kind": kind}
    state.tags[arn] = tags
    return {f"{kind}Arn": arn}


def describe_entity(kind: str, state: State, request: JSON) -> JSON:
    return project(f"Describe{kind}Response", find_entity(state, kind, request))


def update_entity(kind: str, state: State, request: JSON) -> JSON:
    """Patch: properties merge, and those to remove go."""
    entity = find_entity(state, kind, request)
    removed = request.get("PropertiesToRemove", [])
    merged = {k: v for k, v in entity.get("Properties", {}).items() if k not in removed}
    merged |= request.get("Properties", {})
    if len(merged) > MAX_PROPERTIES:
        raise invalid(f"Properties can not exceed {MAX_PROPERTIES} entries: this would make {len(merged)}.")
    entity |= {name: request[name] for name in PATCHED if name in request}
    entity |= {"Properties": merged, "LastModifiedTime": state.now(), "LastModifiedBy": state.user_context()}
    return {f"{kind}Arn": entity[f"{kind}Arn"]}


def delete_entity(kind: str, state: State, request: JSON) -> JSON:
    if kind == "Artifact" and ("ArtifactArn" in request) == ("Source" in request):
        raise invalid("Specify either ArtifactArn or Source to delete an artifact.")
    entity = _artifact_from(state, request["Source"]) if "Source" in request else find_entity(state, kind, request)
    if entity is None:
        raise not_found(f"Artifact with source {request['Source']['SourceUri']} does not exist.")
    arn = entity[f"{kind}Arn"]
    if any(arn in ends for ends in state.associations):
        raise invalid(f"{kind} {arn} can not be deleted: it has associations. Delete them first.")
    del state.lineage[arn]
    del state.tags[arn]
    return {f"{kind}Arn": arn}


def list_entities(kind: str, state: State, request: JSON) -> JSON:
    entries = [
        (arn, entity.get(f"{kind}Name", ""), entity)
        for arn, entity in state.lineage.items()
        if entity["kind"] == kind
        and request.get("SourceUri") in {None, entity["Source"]["SourceUri"]}
        and request.get(f"{kind}Type") in {None, entity[f"{kind}Type"]}
    ]
    page, token = list_documents(state, f"List{kind}s", request, entries, default_order="Descending")
    return {f"{kind}Summaries": [project(f"{kind}Summary", entity) for entity in page]} | token


def add_association(state: State, request: JSON) -> JSON:
    ends = (request["SourceArn"], request["DestinationArn"])
    for arn in ends:
        if arn not in state.lineage:
            raise not_found(f"Lineage entity {arn} does not exist.")
    if ends[0] == ends[1]:
        raise invalid(f"An entity can not be associated with itself: {ends[0]}")
    if ends in state.associations:
        raise invalid(f"Association from {ends[0]} to {ends[1]} already exists.")
    kept = {"AssociationType": request["AssociationType"]} if "AssociationType" in request else {}
    made = {"CreationTime": state.now(), "CreatedBy": state.user_context()}
    state.associations[ends] = {"SourceArn": ends[0], "DestinationArn": ends[1]} | kept | made
    return {"SourceArn": ends[0], "DestinationArn": ends[1]}


def delete_association(state: State, request: JSON) -> JSON:
    ends = (request["SourceArn"], request["DestinationArn"])
    if ends not in state.associations:
        raise not_found(f"Association from {ends[0]} to {ends[1]} does not exist.")
    del state.associations[ends]
    return {"SourceArn": ends[0], "DestinationArn": ends[1]}


def list_associations(state: State, request: JSON) -> JSON:
    filters = ("SourceArn", "DestinationArn", "SourceType", "DestinationType", "AssociationType")
    shown = [_show_association(state, association) for association in state.associations.values()]
    sort_by = request.get("SortBy", "CreationTime")
    entries = [
        (f"{edge['SourceArn']} {edge['DestinationArn']}", edge.get(sort_by, ""), edge)
        for edge in shown
        if all(request.get(name) in {None, edge.get(name)} for name in filters) and is_within(request, edge)
    ]
    descending = request.get("SortOrder", "Descending") == "Descending"
    page, token = list_page(state, "ListAssociations", request, entries, descending=descending)
    return {"AssociationSummaries": page} | token


def _show_association(state: State, association: JSON) -> JSON:
    shown = dict(association)
    for end in ("Source", "Destination"):
        entity = state.lineage[association[f"{end}Arn"]]
        shown[f"{end}Type"] = entity[f"{entity['kind']}Type"]
        if name := entity.get(f"{entity['kind']}Name"):
            shown[f"{end}Name"] = name
    return shown


def _artifact_from(state: State, source: JSON) -> JSON | None:
    return next((e for e in state.lineage.values() if e["kind"] == "Artifact" and e["Source"] == source), None)


OPERATIONS: dict[str, Any] = {
    "AddAssociation": add_association,
    "DeleteAssociation": delete_association,
    "ListAssociations": list_associations,
    "QueryLineage": query_lineage,
} | {
    name: functools.partial(function, kind)
    for kind in KINDS
    for name, function in {
        f"Create{kind}": create_entity,
        f"Describe{kind}": describe_entity,
        f"Update{kind}": update_entity,
        f"Delete{kind}": delete_entity,
        f"List{kind}s": list_entities,
    }.items()
}
