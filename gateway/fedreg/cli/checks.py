"""`fedreg check`."""

from __future__ import annotations

import click

from fedreg.cli.exit_codes import DIFFERENCES, FAILED
from fedreg.cli.output import Column, format_option, note, print_json, print_rows
from fedreg.cli.session import run_reading
from fedreg.domain.refs import Ref
from fedreg.domain.reports import ERROR

COLUMNS = (
    Column("", lambda row: row.symbol),
    Column("item", lambda row: row.item),
    Column("by", lambda row: row.basis),
    Column("detail", lambda row: row.detail),
)


@click.command()
@click.argument("src")
@click.argument("dst")
@click.option("--download", is_flag=True, help="Read every byte at both ends instead of trusting registries' sums.")
@format_option
@click.pass_context
def check(ctx: click.Context, src: str, dst: str, download: bool, output: str) -> int:
    """Compare two versions file by file, or two models version by version.

    = same  * differs  + only in source  - only in target  ? not comparable  ! error
    """
    source, target = Ref.parse(src), Ref.parse(dst)
    report = run_reading(ctx, lambda client: client.check(source, target, download=download))
    if output == "json":
        print_json(report)
    else:
        print_rows(report.rows, COLUMNS, output, name=lambda row: f"{row.symbol} {row.item}")
    for end, digest in ((report.source, report.source_digest), (report.target, report.target_digest)):
        if digest is not None:
            note(f"{digest.value} ({digest.basis.value})  {end}")
    if any(row.symbol == ERROR for row in report.rows):
        return FAILED
    return 0 if report.same else DIFFERENCES
