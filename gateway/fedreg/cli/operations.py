"""`fedreg operations list|show|rows|cancel`."""

from __future__ import annotations

import click

from fedreg.cli.output import Column, format_option, print_item, print_rows
from fedreg.cli.session import run_reading, run_writing
from fedreg.client.interface import Client
from fedreg.domain.migrations import MigratedVersion
from fedreg.domain.records import IntentKind, IntentState
from fedreg.domain.reports import OperationView

COLUMNS = (
    Column("operation", lambda view: view.id),
    Column("kind", lambda view: view.kind.value),
    Column("state", lambda view: view.state.value),
    Column("by", lambda view: view.actor),
    Column("created", lambda view: view.created_at),
    Column("updated", lambda view: view.updated_at),
    Column("error", lambda view: (view.error or {}).get("message")),
)
ROW_COLUMNS = (
    Column("source", lambda row: row.source),
    Column("target", lambda row: row.target),
    Column("state", lambda row: row.state.value.replace("_", " ")),
    Column("digest", lambda row: row.digest, wide=True),
    Column("files", lambda row: row.files, wide=True),
    Column("bytes", lambda row: row.bytes, wide=True),
    Column("losses", lambda row: [loss.field for loss in row.losses], wide=True),
    Column("why", lambda row: (row.error or {}).get("message")),
    Column("cure", lambda row: (row.error or {}).get("cure")),
)


@click.group()
def operations() -> None:
    """List, show and cancel operations, and what became of each version of a migration."""


@operations.command("list")
@click.option(
    "--kind", "kinds", multiple=True, type=click.Choice([kind.value for kind in IntentKind]), help="May be repeated."
)
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([state.value for state in IntentState]),
    help="May be repeated.",
)
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 1000))
@format_option
@click.pass_context
def list_operations(
    ctx: click.Context, kinds: tuple[str, ...], states: tuple[str, ...], limit: int, output: str
) -> None:
    """Operations, newest first."""
    of_kinds, in_states = [IntentKind(kind) for kind in kinds], [IntentState(state) for state in states]
    views = run_reading(ctx, lambda client: client.operations(kinds=of_kinds, states=in_states, limit=limit))
    print_rows(views, COLUMNS, output, name=lambda view: view.id)


@operations.command("show")
@click.argument("operation_id", metavar="ID")
@format_option
@click.pass_context
def show_operation(ctx: click.Context, operation_id: str, output: str) -> None:
    """One operation."""
    print_operation(run_reading(ctx, lambda client: client.operation(operation_id)), output)


@operations.command("rows")
@click.argument("operation_id", metavar="ID")
@format_option
@click.pass_context
def list_rows(ctx: click.Context, operation_id: str, output: str) -> None:
    """What became of each version of a migration, in order."""

    async def read(client: Client) -> list[MigratedVersion]:
        return [row async for row in client.migration_rows(operation_id)]

    print_rows(run_reading(ctx, read), ROW_COLUMNS, output, name=lambda row: str(row.target))


@operations.command("cancel")
@click.argument("operation_id", metavar="ID")
@format_option
@click.pass_context
def cancel_operation(ctx: click.Context, operation_id: str, output: str) -> None:
    """Stop an operation at its next step, and remove what a copy has left at its target."""
    print_operation(run_writing(ctx, lambda client: client.cancel(operation_id)), output)


def print_operation(view: OperationView, output: str) -> None:
    """Print one operation as `field  value` lines, or in the format asked for."""
    fields = {column.title: column.value(view) for column in COLUMNS}
    fields |= {"reason": view.reason, "progress": view.progress, "result": view.result}
    print_item(view, fields, output, name=view.id)
