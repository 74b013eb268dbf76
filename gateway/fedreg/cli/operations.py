"""`fedreg operations list|show|cancel`."""

from __future__ import annotations

import click

from fedreg.cli.output import Column, format_option, print_item, print_rows
from fedreg.cli.session import run_reading, run_writing
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


@click.group()
def operations() -> None:
    """List, show and cancel operations."""


@operations.command("list")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 1000))
@format_option
@click.pass_context
def list_operations(ctx: click.Context, limit: int, output: str) -> None:
    """Operations, newest first."""
    views = run_reading(ctx, lambda client: client.operations(limit=limit))
    print_rows(views, COLUMNS, output, name=lambda view: view.id)


@operations.command("show")
@click.argument("operation_id", metavar="ID")
@format_option
@click.pass_context
def show_operation(ctx: click.Context, operation_id: str, output: str) -> None:
    """One operation."""
    _print(run_reading(ctx, lambda client: client.operation(operation_id)), output)


@operations.command("cancel")
@click.argument("operation_id", metavar="ID")
@format_option
@click.pass_context
def cancel_operation(ctx: click.Context, operation_id: str, output: str) -> None:
    """Stop an operation at its next step, and remove what a copy has left at its target."""
    _print(run_writing(ctx, lambda client: client.cancel(operation_id)), output)


def _print(view: OperationView, output: str) -> None:
    fields = {column.title: column.value(view) for column in COLUMNS}
    fields |= {"reason": view.reason, "progress": view.progress, "result": view.result}
    print_item(view, fields, output, name=view.id)
