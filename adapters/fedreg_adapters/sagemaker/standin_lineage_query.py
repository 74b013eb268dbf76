"""QueryLineage: walks the associations from one entity, breadth first."""

from typing import Any

from .standin_errors import invalid, not_found
from .standin_state import State, list_page
from .standin_validation import JSON

MAX_DEPTH = 10
DEFAULT_RESULTS = 10


def query_lineage(state: State, request: JSON) -> JSON:
    """Vertices within MaxDepth associations of the start, nearest first; the start only when edges are asked for.

    An edge is returned with the page that holds the later of its two ends, so that paging yields each edge once.
    """
    for name in ("MaxDepth", "MaxResults"):
        if request.get(name, 1) < 1:  # the shapes carry only the upper bounds
            raise invalid(f"Value '{request[name]}' at '{name}' must be greater than or equal to 1")
    with_edges = request.get("IncludeEdges", True)
    depths = _walk(state, request)
    starts = set(request.get("StartArns", []))
    chosen = {
        arn: depth
        for arn, depth in depths.items()
        if (arn in starts and with_edges) or (arn not in starts and _is_wanted(state.lineage[arn], request))
    }
    order = sorted(chosen, key=lambda arn: (chosen[arn], arn))
    entries: list[tuple[str, str | float, JSON]] = [(arn, f"{chosen[arn]:03d}", {"Arn": arn}) for arn in order]
    page, token = list_page(state, "QueryLineage", request, entries, descending=False, default_size=DEFAULT_RESULTS)
    shown = [_show_vertex(state.lineage[vertex["Arn"]]) for vertex in page]
    edges = _edges_of(state, order, {vertex["Arn"] for vertex in page}) if with_edges else []
    return {"Vertices": shown} | ({"Edges": edges} if with_edges else {}) | token


def _walk(state: State, request: JSON) -> dict[str, int]:
    starts = request.get("StartArns", [])
    for arn in starts:
        if arn not in state.lineage:
            raise not_found(f"Lineage entity {arn} does not exist.")
    if not starts:
        return dict.fromkeys(state.lineage, 0)
    direction = request.get("Direction", "Both")
    depths = dict.fromkeys(starts, 0)
    frontier = list(starts)
    for depth in range(1, request.get("MaxDepth", MAX_DEPTH) + 1):
        reached = []
        for arn in frontier:
            for neighbour in _neighbours(state, arn, direction):
                if neighbour not in depths:
                    depths[neighbour] = depth
                    reached.append(neighbour)
        frontier = reached
    return depths


def _neighbours(state: State, arn: str, direction: str) -> list[str]:
    found = []
    for source, destination in state.associations:
        if source == arn and direction in {"Both", "Descendants"}:
            found.append(destination)
        if destination == arn and direction in {"Both", "Ascendants"}:
            found.append(source)
    return found


def _is_wanted(entity: JSON, request: JSON) -> bool:
    filters: JSON = request.get("Filters", {})
    created, modified = entity["CreationTime"], entity["LastModifiedTime"]
    properties = entity.get("Properties", {})
    kind = entity["kind"]
    return bool(
        kind in filters.get("LineageTypes", [kind])
        and entity[f"{kind}Type"] in filters.get("Types", [entity[f"{kind}Type"]])
        and filters.get("CreatedAfter", created - 1) < created < filters.get("CreatedBefore", created + 1)
        and filters.get("ModifiedAfter", modified - 1) < modified < filters.get("ModifiedBefore", modified + 1)
        and all(properties.get(key) == value for key, value in filters.get("Properties", {}).items())
    )


def _show_vertex(entity: JSON) -> JSON:
    kind = entity["kind"]
    return {"Arn": entity[f"{kind}Arn"], "Type": entity[f"{kind}Type"][:40], "LineageType": kind}


def _edges_of(state: State, order: list[str], page: set[str]) -> list[JSON]:
    rank: dict[str, int] = {arn: number for number, arn in enumerate(order)}
    names: tuple[str, ...] = ("SourceArn", "DestinationArn", "AssociationType")
    found: list[dict[str, Any]] = []
    for ends, association in state.associations.items():
        if all(arn in rank for arn in ends) and max(ends, key=rank.__getitem__) in page:
            found.append({name: association[name] for name in names if name in association})
    return found
