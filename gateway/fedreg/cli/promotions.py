"""`fedreg promote` and `fedreg promotions list|show|cancel`."""

from __future__ import annotations

import asyncio

import click

from fedreg.cli.operations import COLUMNS, print_operation
from fedreg.cli.output import Column, format_option, note, print_item, print_rows
from fedreg.cli.session import run_reading, run_writing
from fedreg.client.interface import Client
from fedreg.domain.errors import Cancelled, FedregError
from fedreg.domain.promotions import PromotionReport
from fedreg.domain.records import ENDED, IntentState
from fedreg.domain.refs import Ref

POLL_SECONDS = 0.5
PROMOTION_COLUMNS = (
    COLUMNS[0],
    Column("version", lambda view: view.plan["ref"]),
    Column("stage", lambda view: view.plan["stage"]),
    *COLUMNS[2:],
    Column("reason", lambda view: view.reason, wide=True),
)


@click.command()
@click.argument("ref")
@click.option("--to", "stage", required=True, metavar="STAGE", help="none, staging, production, archived or custom.")
@click.option("--reason", metavar="T", help="Why; kept in the journal.")
@click.option("--expected", metavar="STAGE", help="Refuse where the version's stage is another one by now.")
@click.option("--dry-run", is_flag=True, help="Say what would happen, and change nothing.")
@click.option("--wait", is_flag=True, help="Wait for its end, as is done anyway where nothing holds it up.")
@format_option
@click.pass_context
def promote(
    ctx: click.Context,
    ref: str,
    stage: str,
    reason: str | None,
    expected: str | None,
    dry_run: bool,
    wait: bool,
    output: str,
) -> None:
    """Give a version a stage, and wait until it holds at the registry."""
    parsed = Ref.parse(ref)

    async def promote_it(client: Client) -> PromotionReport:
        made = await client.promote(parsed, stage, reason=reason, expected=expected, dry_run=dry_run)
        if wait and made.operation is not None:
            await wait_for_end(client, made.operation)
        return made

    report = (run_reading if dry_run else run_writing)(ctx, promote_it)
    fields = {
        "version": report.ref,
        "stage": f"{report.stage_before} -> {report.stage}",
        "held by": report.held_by,
        "changed": "not yet (dry run)" if dry_run else report.changed,
        "was held by": report.holders_before,
        "operation": report.operation,
    }
    print_item(report, fields, output, name=report.ref)
    if report.shared_with:
        note(f"{report.stage} is held by other versions too: {', '.join(report.shared_with)}")


async def wait_for_end(client: Client, operation_id: str) -> None:
    """Ask until an operation has ended. Raises the error it failed with, Cancelled where it was stopped."""
    view = await client.operation(operation_id)
    while view.state not in ENDED:
        await asyncio.sleep(POLL_SECONDS)
        view = await client.operation(operation_id)
    if view.state is IntentState.FAILED:
        raise FedregError.from_dict(view.error or {})
    if view.state is IntentState.CANCELLED:
        raise Cancelled(f"promotion {operation_id!r} was cancelled", cure="start it again where it is still wanted")


@click.group()
def promotions() -> None:
    """List, show and cancel promotions."""


@promotions.command("list")
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
def list_promotions(ctx: click.Context, states: tuple[str, ...], limit: int, output: str) -> None:
    """Promotions, newest first."""
    wanted = tuple(IntentState(state) for state in states)
    views = run_reading(ctx, lambda client: client.promotions(states=wanted, limit=limit))
    print_rows(views, PROMOTION_COLUMNS, output, name=lambda view: view.id)


@promotions.command("show")
@click.argument("promotion_id", metavar="ID")
@format_option
@click.pass_context
def show_promotion(ctx: click.Context, promotion_id: str, output: str) -> None:
    """One promotion."""
    print_operation(run_reading(ctx, lambda client: client.promotion(promotion_id)), output)


@promotions.command("cancel")
@click.argument("promotion_id", metavar="ID")
@format_option
@click.pass_context
def cancel_promotion(ctx: click.Context, promotion_id: str, output: str) -> None:
    """Stop a promotion at its next step."""
    print_operation(run_writing(ctx, lambda client: client.cancel_promotion(promotion_id)), output)
