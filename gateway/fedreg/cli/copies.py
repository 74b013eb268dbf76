"""`fedreg copy` and `fedreg download`."""

from __future__ import annotations

from pathlib import Path

import click

from fedreg.cli.output import Column, format_option, human_size, print_item, print_rows
from fedreg.cli.progress import show_progress
from fedreg.cli.session import run_reading, run_writing
from fedreg.domain.refs import Ref
from fedreg.domain.reports import CopyPlan, CopyReport, Loss

LOSS_COLUMNS = (
    Column("field", lambda loss: loss.field),
    Column("what happens", lambda loss: loss.kind.value.replace("_", " ")),
    Column("why", lambda loss: loss.why),
)


@click.command()
@click.argument("src")
@click.argument("dst")
@click.option("--dry-run", is_flag=True, help="Print the plan: files, bytes and every loss. Nothing is written.")
@click.option(
    "--allow-lossy", metavar="FIELD,…", is_flag=False, flag_value="*", help="Accept what the target can't hold."
)
@click.option("--packaging", metavar="FORM", help="files or tar.gz, where the target has a choice.")
@click.option("--reason", metavar="T", help="Why; kept in the journal.")
@format_option
@click.pass_context
def copy(
    ctx: click.Context,
    src: str,
    dst: str,
    dry_run: bool,
    allow_lossy: str | None,
    packaging: str | None,
    reason: str | None,
    output: str,
) -> None:
    """Copy a version with its bytes, verified by reading them back. SRC is a version, DST a model.

    The copy arrives with approval pending, without stage and without alias. A copy that is there already is
    not made again; an interrupted one goes on where it was.
    """
    source, target = Ref.parse(src), Ref.parse(dst)
    accepted = allow_lossy.split(",") if allow_lossy else None
    if dry_run:
        plan = run_reading(
            ctx, lambda client: client.plan_copy(source, target, allow_lossy=accepted or ["*"], packaging=packaging)
        )
        _print_plan(plan, output)
        return
    with show_progress(f"copying {source}") as progress:
        report = run_writing(
            ctx,
            lambda client: client.copy(
                source, target, allow_lossy=accepted, packaging=packaging, reason=reason, progress=progress
            ),
        )
    _print_report(report, output)


@click.command()
@click.argument("ref")
@click.argument("directory", type=click.Path(path_type=Path))
@format_option
@click.pass_context
def download(ctx: click.Context, ref: str, directory: Path, output: str) -> None:
    """Write a version's files into a new or empty directory; an interrupted download goes on where it was."""
    parsed = Ref.parse(ref)
    with show_progress(f"downloading {parsed}") as progress:
        report = run_reading(ctx, lambda client: client.download(parsed, directory, progress=progress))
    fields = {
        "version": report.ref,
        "directory": report.directory,
        "files": f"{report.files} ({human_size(report.bytes)})",
        "digest": report.digest,
    }
    print_item(report, fields, output, name=report.directory)


def _print_plan(plan: CopyPlan, output: str) -> None:
    fields = {
        "source": str(plan.source_ref),
        "target": str(Ref(plan.target_registry, plan.target_model)),
        "there already": plan.already_at,
        "new model": plan.model_draft is not None,
        "files": f"{len(plan.files)} ({human_size(plan.bytes)})",
        "packaging": plan.draft.packaging,
        "approval": plan.draft.approval.value,
    }
    print_item(plan, fields, output, name=str(plan.source_ref))
    _print_losses(plan.losses, output)


def _print_report(report: CopyReport, output: str) -> None:
    fields = {
        "source": report.source,
        "target": report.target,
        "copied": "yes" if report.moved else "no, it was there already",
        "files": f"{report.files} ({human_size(report.bytes)})",
        "digest": f"{report.digest} (read at both ends)",
    }
    print_item(report, fields, output, name=report.target)
    _print_losses(report.losses, output)


def _print_losses(losses: tuple[Loss, ...], output: str) -> None:
    if losses and output in ("table", "wide"):
        click.echo()
        print_rows(losses, LOSS_COLUMNS, output, name=lambda loss: str(loss.field), title="fidelity")
