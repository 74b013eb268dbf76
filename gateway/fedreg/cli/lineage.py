"""`fedreg lineage`."""

from __future__ import annotations

import click

from fedreg.cli.exit_codes import PARTIAL
from fedreg.cli.openlineage import to_openlineage
from fedreg.cli.output import note, print_json
from fedreg.cli.session import run_reading
from fedreg.domain.lineage import Edge, Node
from fedreg.domain.refs import Ref
from fedreg.domain.reports import LineageGraph

FORMATS = ("tree", "json", "mermaid", "dot", "openlineage")


@click.command()
@click.argument("ref")
@click.option("--up", is_flag=True, help="Only what led to it.")
@click.option("--down", is_flag=True, help="Only what came of it.")
@click.option("--depth", default=10, show_default=True, type=click.IntRange(1, 100))
@click.option("-o", "--output", "output", type=click.Choice(FORMATS), default="tree", show_default=True)
@click.option("--json", "output", flag_value="json", help="The same as -o json.")
@click.pass_context
def lineage(ctx: click.Context, ref: str, up: bool, down: bool, depth: int, output: str) -> int:
    """What led to a version and what came of it, across registries.

    `-o openlineage` prints OpenLineage events, one a line: a job for each step, without runs.
    """
    parsed = Ref.parse(ref)
    both = up == down
    graph = run_reading(
        ctx, lambda client: client.lineage(parsed, upstream=up or both, downstream=down or both, depth=depth)
    )
    if output == "json":
        print_json(graph)
    else:
        click.echo({"tree": _tree, "mermaid": _mermaid, "dot": _dot, "openlineage": to_openlineage}[output](graph))
    if graph.truncated:
        note(f"cut after {len(graph.nodes)} nodes")
    for missing in graph.partial:
        registry = missing.get("registry")
        note(f"partial: {registry} could not be asked" if registry else "partial: some of it is not yours to see")
    return PARTIAL if graph.partial else 0


def _tree(graph: LineageGraph) -> str:
    lines = [graph.root.label]
    for title, upstream in (("came from", True), ("led to", False)):
        below = _branches(graph, graph.root, upstream, "  ", {graph.root.key})
        lines += [title, *below] if below else []
    return "\n".join(lines)


def _branches(graph: LineageGraph, node: Node, upstream: bool, indent: str, seen: set[str]) -> list[str]:
    lines: list[str] = []
    for edge in _edges_at(graph, node, upstream):
        other = edge.source if upstream else edge.target
        again = " (see above)" if other.key in seen else ""
        kind = other.kind.value.replace("_", " ")
        name = other.label if other.label.startswith(kind) else f"{kind} {other.label}"
        lines.append(f"{indent}{edge.relation.value.replace('_', ' ')}: {name}{again}")
        if not again:
            seen.add(other.key)
            lines += _branches(graph, other, upstream, indent + "  ", seen)
    return lines


def _edges_at(graph: LineageGraph, node: Node, upstream: bool) -> list[Edge]:
    return [edge for edge in graph.edges if (edge.target if upstream else edge.source).key == node.key]


def _mermaid(graph: LineageGraph) -> str:
    numbers = {node.key: f"n{index}" for index, node in enumerate(graph.nodes)}
    lines = ["graph LR"]
    lines += [f'  {numbers[node.key]}["{node.kind.value}: {_quoted(node.label)}"]' for node in graph.nodes]
    lines += [f"  {numbers[e.source.key]} -->|{e.relation.value}| {numbers[e.target.key]}" for e in graph.edges]
    return "\n".join(lines)


def _dot(graph: LineageGraph) -> str:
    numbers = {node.key: f"n{index}" for index, node in enumerate(graph.nodes)}
    lines = ["digraph lineage {", "  rankdir=LR;"]
    lines += [f'  {numbers[node.key]} [label="{node.kind.value}: {_quoted(node.label)}"];' for node in graph.nodes]
    lines += [
        f'  {numbers[e.source.key]} -> {numbers[e.target.key]} [label="{e.relation.value}"];' for e in graph.edges
    ]
    return "\n".join([*lines, "}"])


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', "'")
