"""`fedreg migrate`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from fedreg.cli.migration_progress import show_migration
from fedreg.cli.output import Column, format_option, human_size, note, print_item, print_rows
from fedreg.cli.session import run_reading, run_writing
from fedreg.client.interface import Client
from fedreg.client.migration_files import (
    CSV,
    LINES,
    YAML,
    check_file,
    read_names,
    read_plan,
    write_plan,
    write_report,
)
from fedreg.domain.errors import InvalidRequest
from fedreg.domain.migrations import (
    DEFAULT_JOBS,
    Carried,
    MigratedVersion,
    MigrationOptions,
    MigrationPlan,
    MigrationReport,
    PlannedVersion,
    RowState,
)

INCOMPLETE = 7
SHOWN = 20  # versions that did not arrive; the report file has them all

PLAN_COLUMNS = (
    Column("source", lambda row: row.source),
    Column("target", lambda row: row.target),
    Column("version", lambda row: row.version, wide=True),
    Column("there as", lambda row: row.already_at),
    Column("files", lambda row: row.files),
    Column("bytes", lambda row: row.bytes),
    Column("stage", lambda row: row.stage, wide=True),
    Column("aliases", lambda row: row.aliases, wide=True),
    Column("approval", lambda row: row.approval, wide=True),
    Column("losses", lambda row: [loss.field for loss in row.losses]),
    Column("problem", lambda row: row.problem),
)
REPORT_COLUMNS = (
    Column("source", lambda row: row.source),
    Column("target", lambda row: row.target),
    Column("state", lambda row: row.state.value.replace("_", " ")),
    Column("why", lambda row: (row.error or {}).get("message")),
    Column("cure", lambda row: (row.error or {}).get("cure")),
)


@dataclass(frozen=True, slots=True)
class LossCount:
    """The same loss of several versions."""

    field: str
    kind: str
    why: str
    versions: int
    first: str


LOSS_COLUMNS = (
    Column("field", lambda loss: loss.field),
    Column("what happens", lambda loss: loss.kind.replace("_", " ")),
    Column("versions", lambda loss: loss.versions),
    Column("first", lambda loss: loss.first),
    Column("why", lambda loss: loss.why),
)


@dataclass(frozen=True, slots=True)
class Given:
    """What the command line says beside the options."""

    source: str
    target: str
    options: MigrationOptions
    plan: tuple[PlannedVersion, ...] | None
    reason: str | None


@click.command()
@click.argument("src", metavar="SRC_REGISTRY")
@click.argument("dst", metavar="DST_REGISTRY")
@click.option("--model", "models", multiple=True, metavar="GLOB", help="Only models that match; may be repeated.")
@click.option("--stage", metavar="S", help="Only versions that have this stage.")
@click.option("--last", type=click.IntRange(min=1), metavar="N", help="Only the newest N versions of each model.")
@click.option("--map", "names", type=click.Path(path_type=Path), metavar="FILE", help="Other names: YAML or CSV.")
@click.option("--with", "carry", metavar="WHAT,…", help="Carry over stages, aliases, approval.")
@click.option("--preserve-versions", is_flag=True, help="The same version numbers, or a failure.")
@click.option(
    "--allow-lossy", metavar="FIELD,…", is_flag=False, flag_value="*", help="Accept what the target can't hold."
)
@click.option("--jobs", type=click.IntRange(1, 64), default=DEFAULT_JOBS, show_default=True, help="Models at once.")
@click.option("--dry-run", is_flag=True, help="Print counts, bytes and every loss. Nothing is written.")
@click.option("--plan-out", type=click.Path(path_type=Path), metavar="FILE", help="Write the plan, and move nothing.")
@click.option("--plan", "plan_file", type=click.Path(path_type=Path), metavar="FILE", help="Run a plan.")
@click.option("--keep-going", is_flag=True, help="A failed version does not stop the others.")
@click.option("--report", type=click.Path(path_type=Path), metavar="FILE", help="A row for each version: .jsonl, .csv")
@click.option("--reason", metavar="T", help="Why; kept in the journal.")
@format_option
@click.pass_context
def migrate(
    ctx: click.Context,
    src: str,
    dst: str,
    models: tuple[str, ...],
    stage: str | None,
    last: int | None,
    names: Path | None,
    carry: str | None,
    preserve_versions: bool,
    allow_lossy: str | None,
    jobs: int,
    dry_run: bool,
    plan_out: Path | None,
    plan_file: Path | None,
    keep_going: bool,
    report: Path | None,
    reason: str | None,
    output: str,
) -> int:
    """Copy all versions of a registry to another one, each verified by reading it back.

    Copies arrive with approval pending, without stage and without alias, unless --with carries them over. What has
    arrived before is not moved again: an interrupted migration goes on with the same command. Ends with 7 where a
    version of the source did not arrive.
    """
    if plan_file is not None:
        _refuse_choices(models=models, stage=stage, last=last, map=names, carry=carry, preserve=preserve_versions)
    if plan_file is not None and plan_out is not None:
        raise click.UsageError("--plan and --plan-out: one writes a plan, the other runs one")
    options = MigrationOptions(
        models=models,
        stage=stage,
        last=last,
        names=read_names(names) if names else {},
        carry=_parse_carry(carry),
        preserve_versions=preserve_versions,
        allow_lossy=tuple(allow_lossy.split(",")) if allow_lossy else (),
        jobs=jobs,
        keep_going=keep_going,
    )
    given = Given(src, dst, options, _load_plan(plan_file, src, dst), reason)
    if dry_run or plan_out is not None:
        return _plan(ctx, given, plan_out, output)
    return _run(ctx, given, report, output)


def _plan(ctx: click.Context, given: Given, plan_out: Path | None, output: str) -> int:
    if plan_out is not None:
        check_file(plan_out, (*LINES, *YAML), "--plan-out")
    plan = run_reading(
        ctx, lambda client: client.plan_migration(given.source, given.target, given.options, plan=given.plan)
    )
    if plan_out is not None:
        write_plan(plan_out, plan)
        note(f"{len(plan.rows)} versions written to {plan_out}: look at it, edit or split it, run it with --plan")
    _print_plan(plan, output)
    return 0


def _run(ctx: click.Context, given: Given, report_file: Path | None, output: str) -> int:
    if report_file is not None:
        check_file(report_file, (*LINES, *CSV), "--report")

    async def work(client: Client) -> tuple[MigrationReport, list[MigratedVersion]]:
        with show_migration(f"{given.source} to {given.target}") as progress:
            report = await client.migrate(
                given.source, given.target, given.options, plan=given.plan, reason=given.reason, progress=progress
            )
        if report_file is not None:
            await write_report(report_file, client.migration_rows(report.operation))
        wants_all = output not in ("table", "wide")
        rows = [
            row
            async for row in client.migration_rows(report.operation)
            if wants_all or row.state in (RowState.FAILED, RowState.SKIPPED)
        ]
        return report, rows

    report, rows = run_writing(ctx, work)
    _print_report(report, rows, output)
    return 0 if report.complete else INCOMPLETE


def _parse_carry(text: str | None) -> tuple[Carried, ...]:
    try:
        return tuple(dict.fromkeys(Carried(word.strip()) for word in text.split(","))) if text else ()
    except ValueError as error:
        known = ", ".join(Carried)
        raise InvalidRequest(f"--with: {error}".replace("Carried", "word"), cure=f"name some of {known}") from None


def _load_plan(path: Path | None, source: str, target: str) -> tuple[PlannedVersion, ...] | None:
    if path is None:
        return None
    planned_source, planned_target, rows = read_plan(path)
    if (planned_source, planned_target) != (source, target):
        raise InvalidRequest(
            f"--plan: '{path}' is for {planned_source} to {planned_target}, not {source} to {target}",
            cure=f"run `fedreg migrate {planned_source} {planned_target} --plan {path}`",
        )
    return rows


def _refuse_choices(**choices: Any) -> None:
    """A plan has made these choices already."""
    spelling = {"models": "--model", "carry": "--with", "preserve": "--preserve-versions"}
    for name, value in choices.items():
        if value:
            raise click.UsageError(f"--plan: its rows say what is moved; leave {spelling.get(name, f'--{name}')} out")


# -- printing ------------------------------------------------------------------------------------------


def _print_plan(plan: MigrationPlan, output: str) -> None:
    if output in ("csv", "ndjson", "name", "wide"):
        print_rows(plan.rows, PLAN_COLUMNS, output, name=lambda row: str(row.source))
    if output in ("csv", "ndjson", "name"):
        return
    fields: dict[str, Any] = {
        "models": plan.models,
        "versions": len(plan.rows),
        "to move": f"{plan.to_move}, {plan.files} files, {human_size(plan.bytes)}",
        "already there": plan.already_there,
        **{f"leaving {registry}": human_size(size) for registry, size in plan.leaving.items()},
        "with losses": plan.with_losses,
        "can't be moved": plan.with_problems,
    }
    print_item(plan, fields, output, name=plan.source)
    if output == "json":
        return
    losses = _count_losses(plan.rows)
    problems = [row for row in plan.rows if row.problem is not None]
    if losses:
        click.echo()
        print_rows(losses, LOSS_COLUMNS, output, name=lambda loss: str(loss.field), title="fidelity")
    if problems:
        click.echo()
        columns = [column for column in PLAN_COLUMNS if column.title in ("source", "problem")]
        print_rows(problems, columns, output, name=lambda row: str(row.source), title="can't be moved")


def _count_losses(rows: Iterable[PlannedVersion]) -> list[LossCount]:
    found: dict[tuple[str, str, str], list[str]] = {}
    for row in rows:
        for loss in row.losses:
            found.setdefault((loss.field, loss.kind.value, loss.why), []).append(row.source)
    return [LossCount(*what, versions=len(who), first=who[0]) for what, who in found.items()]


def _print_report(report: MigrationReport, rows: list[MigratedVersion], output: str) -> None:
    if output not in ("table", "wide", "json"):
        print_rows(rows, REPORT_COLUMNS, output, name=lambda row: str(row.target))
        return
    fields = {
        "operation": report.operation,
        "versions": report.source_versions,
        "moved": f"{report.moved + report.lossy}, {human_size(report.bytes)}",
        "with losses": report.lossy,
        "already there": report.already_there,
        "failed": report.failed,
        "skipped": report.skipped,
        "missing": report.missing,
        "seconds": ", ".join(f"{phase} {seconds:.1f}" for phase, seconds in report.seconds.items()),
        "complete": report.complete,
    }
    print_item(report, fields, output, name=report.operation)
    if not report.source_versions and output != "json":
        note(f"nothing to move: no version of {report.source} is what was asked for")
    if rows and output != "json":
        click.echo()
        print_rows(rows[:SHOWN], REPORT_COLUMNS, output, name=lambda row: str(row.source), title="not moved")
        if len(rows) > SHOWN:
            note(f"and {len(rows) - SHOWN} more: --report FILE, or -o csv, has a row for each version")
