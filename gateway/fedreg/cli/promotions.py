"""`fedreg promote` and `fedreg promotions list|show`."""

from __future__ import annotations

import click

from fedreg.cli.operations import COLUMNS, print_operation
from fedreg.cli.output import Column, format_option, note, print_item, print_rows
from fedreg.cli.session import run_reading, run_writing
from fedreg.domain.records import IntentState
from fedreg.domain.refs import Ref
from fedreg.domain.reports import PromotionReport

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
@format_option
@click.pass_context
def promote(
    ctx: click.Context, ref: str, stage: str, reason: str | None, expected: str | None, dry_run: bool, output: str
) -> None:
    """Give a version a stage, and wait until it holds at the registry."""
    parsed = Ref.parse(ref)
    run = run_reading if dry_run else run_writing
    report: PromotionReport = run(
        ctx, lambda client: client.promote(parsed, stage, reason=reason, expected=expected, dry_run=dry_run)
    )
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


@click.group()
def promotions() -> None:
    """List and show promotions."""


@promotions.command("list")
@click.option("--state", "states", multiple=True, type=click.Choice(list(IntentState)), help="May be repeated.")
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
