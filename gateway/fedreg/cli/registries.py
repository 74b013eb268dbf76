"""`fedreg registries`, `fedreg refresh` and `fedreg capabilities`."""

from __future__ import annotations

import asyncio
from functools import partial
from operator import itemgetter

import click

from fedreg.cli.exit_codes import PARTIAL
from fedreg.cli.output import Column, format_option, note, print_rows
from fedreg.cli.session import run_reading, run_writing
from fedreg.client.interface import Client
from fedreg.domain.capability_table import capability_rows
from fedreg.domain.proofs import LEGEND, mark_cell, spell_proofs
from fedreg.domain.reports import CapabilityView, RegistryView

REGISTRY_COLUMNS = (
    Column("registry", lambda view: view.name),
    Column("kind", lambda view: view.kind),
    Column("title", lambda view: view.title),
    Column("reachable", lambda view: view.reachable),
    Column("last scan", lambda view: view.last_scan),
    Column("covered since", lambda view: view.covered_since, wide=True),
    Column("error", lambda view: (view.error or {}).get("message")),
)

REFRESH_COLUMNS = (
    Column("registry", lambda report: report.registry),
    Column("models", lambda report: report.models),
    Column("versions", lambda report: report.versions),
    Column("changes", lambda report: report.changes),
    Column("deleted", lambda report: report.deleted),
    Column("deletions withheld", lambda report: report.deletions_withheld or None),
    Column("error", lambda report: (report.error or {}).get("message")),
)


@click.command()
@click.argument("names", nargs=-1, metavar="[REGISTRY]...")
@click.option("--no-ping", is_flag=True, help="List all of them without asking whether they answer.")
@format_option
@click.pass_context
def registries(ctx: click.Context, names: tuple[str, ...], no_ping: bool, output: str) -> int:
    """The configured registries (all of them where none is named), and whether each answers."""

    async def ask(client: Client) -> list[RegistryView]:
        if names:
            return list(await asyncio.gather(*(client.registry(name) for name in names)))
        return await client.registries(ping=not no_ping)

    views = run_reading(ctx, ask)
    print_rows(views, REGISTRY_COLUMNS, output, name=lambda view: view.name)
    return PARTIAL if any(view.reachable is False for view in views) else 0


@click.command()
@click.argument("names", nargs=-1, metavar="[REGISTRY]...")
@format_option
@click.pass_context
def refresh(ctx: click.Context, names: tuple[str, ...], output: str) -> int:
    """Scan registries (all of them where none is named) into the index that `inventory` answers from."""
    reports = run_writing(ctx, lambda client: client.refresh(names))
    print_rows(reports, REFRESH_COLUMNS, output, name=lambda report: report.registry)
    return PARTIAL if any(report.error for report in reports) else 0


@click.command()
@format_option
@click.pass_context
def capabilities(ctx: click.Context, output: str) -> int:
    """What each registry can do: one line a capability, one column a registry, each cell marked with its proofs.

    -o wide spells the proofs out; -o json also says why a line is unproven, and why what is not done is not done.
    """
    views = run_reading(ctx, lambda client: client.capabilities())
    if output in ("json", "ndjson"):
        print_rows(views, (), output, name=lambda view: view.registry)
    else:
        _print_matrix(views, output)
    for view in views:
        if view.error:
            note(f"{view.registry}: could not be opened, its kind's ceiling is shown: {view.error['message']}")
    return PARTIAL if any(view.error for view in views) else 0


def _print_matrix(views: list[CapabilityView], output: str) -> None:
    """The matrix. In a table the marks stand in the cells; wide and csv have a column of proofs for each registry."""
    access = {view.registry: [line for line in view.proofs if line.startswith("access ")] for view in views}
    rows = capability_rows({view.registry: view.capabilities for view in views}, access)
    columns = [Column("capability", itemgetter("capability"))]
    for view in views:
        columns.append(Column(view.registry, partial(_cell, view, marked=output == "table")))
        columns.append(Column(f"{view.registry} proven by", partial(_proofs, view), wide=True))
    print_rows(rows, columns, output, name=itemgetter("capability"))
    if output == "table" and views:
        click.echo(LEGEND)


def _cell(view: CapabilityView, row: dict[str, str], *, marked: bool) -> str:
    text = row[view.registry]
    return mark_cell(text, view.proofs.get(row["capability"], ())) if marked else text


def _proofs(view: CapabilityView, row: dict[str, str]) -> str:
    return spell_proofs(view.proofs.get(row["capability"], ()))
