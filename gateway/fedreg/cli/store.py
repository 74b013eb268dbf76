"""`fedreg store check|backup`."""

from __future__ import annotations

from pathlib import Path

import click

from fedreg.cli.output import note
from fedreg.cli.session import run_reading

BROKEN = 1


@click.group()
def store() -> None:
    """Check and back up the store."""


@store.command("check")
@click.pass_context
def check_store(ctx: click.Context) -> int:
    """Whether the store's file, its references and the journal's chain are whole."""
    faults = run_reading(ctx, lambda client: client.gateway.store.check())
    for fault in faults:
        click.echo(fault)
    if not faults:
        note("the store is whole")
    return BROKEN if faults else 0


@store.command("backup")
@click.argument("path", type=click.Path(path_type=Path))
@click.pass_context
def backup_store(ctx: click.Context, path: Path) -> None:
    """Copy the store, as it is at one moment, to a new file."""
    run_reading(ctx, lambda client: client.gateway.store.backup(path))
    click.echo(str(path))
