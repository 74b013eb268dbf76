"""`fedreg registries` and `fedreg capabilities`."""

from __future__ import annotations

from operator import itemgetter

import click

from fedreg.cli.output import Column, format_option, note, print_json, print_rows
from fedreg.cli.session import run_reading
from fedreg.services.capability_table import capability_rows

PARTIAL = 4

REGISTRY_COLUMNS = (
    Column("registry", lambda view: view.name),
    Column("kind", lambda view: view.kind),
    Column("title", lambda view: view.title),
    Column("reachable", lambda view: view.reachable),
    Column("last scan", lambda view: view.last_scan),
    Column("error", lambda view: (view.error or {}).get("message")),
)


@click.command()
@click.option("--no-ping", is_flag=True, help="List them without asking whether they answer.")
@format_option
@click.pass_context
def registries(ctx: click.Context, no_ping: bool, output: str) -> int:
    """The configured registries, and whether each answers."""
    views = run_reading(ctx, lambda client: client.registries(ping=not no_ping))
    print_rows(views, REGISTRY_COLUMNS, output, name=lambda view: view.name)
    return PARTIAL if any(view.reachable is False for view in views) else 0


@click.command()
@format_option
@click.pass_context
def capabilities(ctx: click.Context, output: str) -> int:
    """What each registry can do: one line a capability, one column a registry."""
    views = run_reading(ctx, lambda client: client.capabilities())
    if output in ("json", "ndjson"):
        print_json(views)
    else:
        rows = capability_rows({view.registry: view.capabilities for view in views})
        columns = [Column("capability", lambda row: row["capability"])]
        columns += [Column(view.registry, itemgetter(view.registry)) for view in views]
        print_rows(rows, columns, output, name=lambda row: row["capability"])
    for view in views:
        if view.error:
            note(f"{view.registry}: could not be opened, its kind's ceiling is shown: {view.error['message']}")
    return PARTIAL if any(view.error for view in views) else 0
