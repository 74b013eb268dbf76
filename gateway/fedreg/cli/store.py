"""`fedreg store upgrade|check|backup|move`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from fedreg.cli.output import note
from fedreg.cli.session import run_local
from fedreg.client.local import LocalClient
from fedreg.services.store_move import StoreMove
from fedreg.services.store_move import move_store as move_to
from fedreg.settings.document import Document
from fedreg.settings.interpolation import interpolate
from fedreg.store.upgrade import Upgrade

BROKEN = 1


@click.group()
def store() -> None:
    """Upgrade, check, back up and move the store."""


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
        kept = "" if done.backup is None else f"; as it was: {done.backup}"
        note(f"upgraded the store from revision {done.before} to {done.after}{kept}")
    note("any command that writes upgrades an older store by itself, after the same backup of a file")
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


@store.command("move")
@click.option("--to", "target", metavar="URL", required=True, help="Where to; ${VAR} and ${file:PATH} are filled in.")
@click.pass_context
def move_store(ctx: click.Context, target: str) -> None:
    """Carry the store over to an empty database, row by row, and compare both.

    The configured store is read and stays as it is; stop its gateway first. `postgresql://USER:PASSWORD@HOST/DATABASE`
    is for several gateways, `sqlite:///FILE` for one. Unfinished operations go on when a gateway serves the new store:
    set store.url to it.
    """
    given = Document(Path("--to"), {"url": target})
    interpolate(given, os.environ)

    async def work(client: LocalClient) -> StoreMove:
        return await move_to(client.gateway.store, given.data["url"], client.gateway.lease.length, _tell)

    done = run_local(ctx, work, read_only=False)
    if done.unfinished:
        note(f"{done.unfinished} operations are unfinished: they go on when a gateway serves the new store")
    note("both were compared, row by row; set store.url to the new one")
    click.echo(f"{done.target}: {sum(done.rows.values())} rows")


def _tell(table: str, rows: int) -> None:
    note(f"{table}: {rows}")


async def _get_upgrade(client: LocalClient) -> Upgrade:
    upgraded = client.gateway.store.upgraded
    assert upgraded is not None, "a writer has upgraded"
    return upgraded
