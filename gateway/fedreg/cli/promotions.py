"""`fedreg promote` and `fedreg promotions list|show|cancel`."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import click

from fedreg.cli.exit_codes import DIFFERENCES
from fedreg.cli.operations import COLUMNS, print_operation
from fedreg.cli.output import Column, format_option, note, print_item, print_rows
from fedreg.cli.session import run_reading, run_writing
from fedreg.client.interface import Client
from fedreg.client.reports import read_report
from fedreg.domain.errors import Cancelled, FedregError, WaitEnded
from fedreg.domain.promotions import MemberOutcome, MemberState, PromotionReport
from fedreg.domain.records import ENDED, IntentState
from fedreg.domain.refs import Ref
from fedreg.domain.reports import OperationView

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
@click.option("--wait", is_flag=True, help="Wait for its end even where it waits for approval.")
@click.option("--timeout", type=click.FloatRange(min=0), metavar="SECONDS", help="Wait so long at most, then exit 5.")
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
    timeout: float | None,
    output: str,
) -> None:
    """Give a version a stage, and wait until it holds: where links concern it, at every member."""
    parsed = Ref.parse(ref)

    async def promote_it(client: Client) -> PromotionReport:
        made = await client.promote(parsed, stage, reason=reason, expected=expected, dry_run=dry_run)
        if wait and made.operation is not None:
            await wait_for_end(client, made.operation, timeout)
            made = replace(made, state=IntentState.SUCCEEDED)
        return made

    report = (run_reading if dry_run else run_writing)(ctx, promote_it)
    fields: dict[str, object] = {
        "version": report.ref,
        "stage": f"{report.stage_before} -> {report.stage}",
        "held by": report.held_by,
        "changed": "not yet (dry run)" if dry_run else report.changed,
        "was held by": report.holders_before,
        "operation": report.operation,
    }
    print_report(report, fields, output)
    if report.shared_with:
        note(f"{report.stage} is held by other versions too: {', '.join(report.shared_with)}")


def _is_done(outcome: MemberOutcome | None) -> bool:
    return outcome is not None and outcome.state is MemberState.DONE


def print_report(report: PromotionReport, fields: dict[str, object], output: str) -> None:
    """A promotion as `field  value` lines, a line for each place and gate, or in the format asked for."""
    outcomes = {(one.registry, one.model): one for one in report.outcomes}
    for member in report.members:
        outcome = outcomes.get(member.place)
        told = [f"{effect.version or 'its copy'}: {effect.before} -> {effect.after}" for effect in member.effects]
        told += [f"loses {loss.field}" for loss in member.losses if loss.is_loss]
        state = outcome.state.value if outcome else member.action.value
        why = [member.why] if member.why and not _is_done(outcome) else []
        fields[f"{member.registry}:{member.model}"] = ", ".join([state, *told, *why])
    for gate in report.gates:
        fields[f"gate of {gate.link}"] = f"{len(gate.approvers)} of {gate.approvals} approvals"
    if report.state is not None:
        fields["state"] = report.state.value
    print_item(report, fields, output, name=report.ref)
    if report.state is IntentState.WAITING:
        note(f"it waits for approval: fedreg promotions approve {report.operation}")
    for outcome in report.outcomes:
        for left in outcome.left:
            note(f"{outcome.registry}:{outcome.model}: could not be taken back: {left}")


async def wait_for_end(client: Client, operation_id: str, timeout: float | None = None) -> None:
    """Ask until an operation has ended.

    Raises the error it failed with, Cancelled where it was stopped, WaitEnded after `timeout` seconds.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    view = await client.operation(operation_id)
    while view.state not in ENDED:
        if deadline is not None and time.monotonic() >= deadline:
            raise WaitEnded(
                f"promotion {operation_id!r} is still {view.state.value} after {timeout:g} s",
                cure=f"it goes on by itself: fedreg promotions show {operation_id}",
            )
        await asyncio.sleep(POLL_SECONDS)
        view = await client.operation(operation_id)
    if view.state is IntentState.FAILED:
        raise FedregError.from_dict(view.error or {})
    if view.state is IntentState.CANCELLED:
        raise Cancelled(f"promotion {operation_id!r} was cancelled", cure="start it again where it is still wanted")


@click.group()
def promotions() -> None:
    """List, show, approve, reject, roll back and cancel promotions."""


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
@click.option("--wait", is_flag=True, help="Wait for its end first.")
@click.option("--timeout", type=click.FloatRange(min=0), metavar="SECONDS", help="Wait so long at most, then exit 5.")
@format_option
@click.pass_context
def show_promotion(ctx: click.Context, promotion_id: str, wait: bool, timeout: float | None, output: str) -> None:
    """One promotion, and what has become of it at each place."""

    async def look(client: Client) -> OperationView:
        if wait:
            await client.promotion(promotion_id)
            await wait_for_end(client, promotion_id, timeout)
        return await client.promotion(promotion_id)

    view = run_reading(ctx, look)
    report = read_report(view)
    if output == "table" and report is not None:
        print_report(report, _fields(report) | {"by": view.actor, "reason": view.reason, "error": view.error}, output)
    else:
        print_operation(view, output)


@promotions.command("approve")
@click.argument("promotion_id", metavar="ID")
@click.option("--comment", metavar="T", help="Kept in the journal.")
@format_option
@click.pass_context
def approve_promotion(ctx: click.Context, promotion_id: str, comment: str | None, output: str) -> None:
    """Approve a promotion that waits, through a gateway with a token of your own."""
    report = run_writing(ctx, lambda client: client.approve_promotion(promotion_id, comment=comment))
    print_report(report, _fields(report), output)


@promotions.command("reject")
@click.argument("promotion_id", metavar="ID")
@click.option("--comment", metavar="T", help="Kept in the journal.")
@format_option
@click.pass_context
def reject_promotion(ctx: click.Context, promotion_id: str, comment: str | None, output: str) -> None:
    """Reject a promotion that waits."""
    report = run_writing(ctx, lambda client: client.reject_promotion(promotion_id, comment=comment))
    print_report(report, _fields(report), output)


@promotions.command("rollback")
@click.argument("promotion_id", metavar="ID")
@click.option("--reason", metavar="T", help="Why; kept in the journal.")
@format_option
@click.pass_context
def roll_back_promotion(ctx: click.Context, promotion_id: str, reason: str | None, output: str) -> int:
    """Take a promotion back in every member. Exit code 4 where something could not be taken back."""
    report = run_writing(ctx, lambda client: client.roll_back_promotion(promotion_id, reason=reason))
    print_report(report, _fields(report), output)
    return DIFFERENCES if any(outcome.left for outcome in report.outcomes) else 0


def _fields(report: PromotionReport) -> dict[str, object]:
    return {"version": report.ref, "stage": f"{report.stage_before} -> {report.stage}", "operation": report.operation}


@promotions.command("cancel")
@click.argument("promotion_id", metavar="ID")
@format_option
@click.pass_context
def cancel_promotion(ctx: click.Context, promotion_id: str, output: str) -> None:
    """Stop a promotion at its next step."""
    print_operation(run_writing(ctx, lambda client: client.cancel_promotion(promotion_id)), output)
