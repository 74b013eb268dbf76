"""`fedreg link list|show|set|delete` and `fedreg drift`."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import msgspec

from fedreg.cli.exit_codes import DIFFERENCES
from fedreg.cli.output import Column, format_option, note, print_item, print_rows
from fedreg.cli.session import run_reading, run_writing
from fedreg.domain.errors import InvalidRequest
from fedreg.domain.links import Link
from fedreg.domain.reports import LinkView
from fedreg.settings.links import read_link

COLUMNS = (
    Column("link", lambda view: view.name),
    Column("members", lambda view: [member.ref for member in view.link.expanded]),
    Column("authority", lambda view: view.link.authority),
    Column("stages", lambda view: view.link.stages),
    Column("gate", lambda view: _gate(view.link)),
    Column("from", lambda view: view.origin),
    Column("problems", lambda view: view.problems, wide=True),
)
DRIFT_COLUMNS = (
    Column("link", lambda row: row.link),
    Column("field", lambda row: row.field),
    Column("problem", lambda row: row.problem.value),
    Column("at", lambda row: row.ref),
    Column("right is", lambda row: row.of),
    Column("since", lambda row: row.since),
    Column("by", lambda row: row.by),
)


@click.group()
def link() -> None:
    """List, show, set and delete links."""


@link.command("list")
@format_option
@click.pass_context
def list_links(ctx: click.Context, output: str) -> None:
    """All links, by name."""
    print_rows(run_reading(ctx, lambda client: client.links()), COLUMNS, output, name=lambda view: view.name)


@link.command("show")
@click.argument("name")
@format_option
@click.pass_context
def show_link(ctx: click.Context, name: str, output: str) -> None:
    """One link, and what its members can't honour."""
    _print(run_reading(ctx, lambda client: client.link(name)), output)


@link.command("set")
@click.argument("name")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option("--reason", metavar="T", help="Why; kept in the journal.")
@format_option
@click.pass_context
def set_link(ctx: click.Context, name: str, file: str, reason: str | None, output: str) -> None:
    """Make a link, or replace it, from a YAML FILE (`-` for stdin) as the configuration writes it."""
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise InvalidRequest(f"{file} can't be read: {why}", cure="name a readable file in UTF-8") from error
    given = read_link(text, Path(file))
    _print(run_writing(ctx, lambda client: client.set_link(name, given, reason=reason)), output)


@link.command("delete")
@click.argument("name")
@click.option("--reason", metavar="T", help="Why; kept in the journal.")
@click.pass_context
def delete_link(ctx: click.Context, name: str, reason: str | None) -> None:
    """Forget a link. What it has brought about stays."""
    run_writing(ctx, lambda client: client.delete_link(name, reason=reason))


@click.command()
@click.argument("links", metavar="[LINK]...", nargs=-1)
@click.option("--refresh", is_flag=True, help="Scan the members' registries first, as --repair does anyway.")
@click.option("--repair", is_flag=True, help="Bring members back to their link's rule.")
@click.option("--max-changes", type=click.IntRange(min=1), metavar="N", help="With --repair: within N changes a link.")
@click.option("--dry-run", is_flag=True, help="With --repair: say what it would do, and change nothing.")
@click.option("--reason", metavar="T", help="With --repair: why; kept in the journal.")
@format_option
@click.pass_context
def drift(
    ctx: click.Context,
    links: tuple[str, ...],
    refresh: bool,
    repair: bool,
    max_changes: int | None,
    dry_run: bool,
    reason: str | None,
    output: str,
) -> int:
    """Where members of links disagree with their rule. Exit code 4 where they do, and a repair leaves something."""
    if not repair:
        if max_changes is not None or dry_run or reason is not None:
            raise click.UsageError("--max-changes, --dry-run and --reason go with --repair")
        found = run_reading(ctx, lambda client: client.drift(links, refresh=refresh))
        print_rows(found.rows, DRIFT_COLUMNS, output, name=lambda row: row.ref)
        note(f"{len(found.rows)} disagreements in {found.links} links")
        for missing in found.partial:
            note(f"registry {missing['registry']!r} could not be asked: {missing['error']['message']}")
        return DIFFERENCES if found.rows or found.partial else 0
    report = run_writing(
        ctx,
        lambda client: client.repair_drift(links, reason=reason, max_changes=max_changes, dry_run=dry_run),
    )
    print_rows(report.rows, DRIFT_COLUMNS, output, name=lambda row: row.ref)
    note(f"{report.changes} changes {'would be' if dry_run else 'were'} made, {len(report.left)} left to people")
    for row in report.left:
        note(f"left: {row.link} {row.field} {row.problem.value} at {row.ref}")
    return DIFFERENCES if report.left or report.partial or (dry_run and report.rows) else 0


def _print(view: LinkView, output: str) -> None:
    fields = {"link": view.name, "from": view.origin, **msgspec.to_builtins(view.link), "problems": view.problems}
    print_item(view, fields, output, name=view.name)


def _gate(given: Link) -> str:
    gate = given.asked
    return "" if gate is None else f"{gate.approvals} of {', '.join(gate.roles)}, {len(gate.rules)} rules"
