"""`fedreg doctor`."""

from __future__ import annotations

from dataclasses import dataclass

import click

from fedreg.cli.output import Column, format_option, print_json, print_rows
from fedreg.cli.session import run_reading
from fedreg.domain.models import Finding, Severity

BROKEN = 1


@dataclass(frozen=True, slots=True)
class Row:
    """A finding and whose it is."""

    registry: str
    finding: Finding


COLUMNS = (
    Column("registry", lambda row: row.registry),
    Column("check", lambda row: row.finding.check),
    Column("result", lambda row: row.finding.severity.value),
    Column("finding", lambda row: row.finding.message),
    Column("cure", lambda row: row.finding.cure if row.finding.severity is not Severity.OK else None),
)


@click.command()
@click.argument("registries", nargs=-1, metavar="[REGISTRY]...")
@click.option(
    "--deadline",
    type=click.FloatRange(0, 300, min_open=True),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="For each registry; one that takes longer is a finding.",
)
@format_option
@click.pass_context
def doctor(ctx: click.Context, registries: tuple[str, ...], deadline: float, output: str) -> int:
    """Address, credentials and each permission of the registries, with the cure for what is wrong.

    Reads only. Exit code 1 where an error is found; warnings are printed and exit 0.
    """
    found = run_reading(ctx, lambda client: client.doctor(registries, deadline=deadline))
    rows = [Row(diagnosis.registry, finding) for diagnosis in found for finding in diagnosis.findings]
    if output in ("json", "ndjson"):
        print_json(found)
    else:
        print_rows(rows, COLUMNS, output, name=lambda row: f"{row.registry}: {row.finding.check}")
    return BROKEN if any(row.finding.severity is Severity.ERROR for row in rows) else 0
