"""`fedreg store upgrade|check|backup`."""

from __future__ import annotations

from pathlib import Path

import click

from fedreg.cli.output import note
from fedreg.cli.session import run_local
from fedreg.client.local import LocalClient
from fedreg.store.upgrade import Upgrade

BROKEN = 1


@click.group()
def store() -> None:
    """Upgrade, check and back up the store."""


@store.command("upgrade")
@click.pass_context
def upgrade_store(ctx: click.Context) -> None:
    """Bring the store to this release's revision; the older one is kept beside it.

    Any command that writes does the same by itself; this one does nothing else, and says what it did.
    """
    done = run_local(ctx, _get_upgrade, read_only=False)
    if done.before is None:
        note(f"there was no store yet: made one of revision {done.after}")
    elif done.before == done.after:
        note(f"the store has revision {done.after} already: nothing to do")
    else:
        note(f"upgraded the store from revision {done.before} to {done.after}; as it was: {done.backup}")
    note("any command that writes upgrades an older store by itself, after the same backup")
    click.echo(done.after)


@store.command("check")
@click.pass_context
def check_store(ctx: click.Context) -> int:
    """Whether the store's file, its references and the journal's chain are whole."""
    faults = run_local(ctx, lambda client: client.gateway.store.check(), read_only=True)
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
    run_local(ctx, lambda client: client.gateway.store.backup(path), read_only=True)
    click.echo(str(path))


async def _get_upgrade(client: LocalClient) -> Upgrade:
    upgraded = client.gateway.store.upgraded
    assert upgraded is not None, "a writer has upgraded"
    return upgraded
