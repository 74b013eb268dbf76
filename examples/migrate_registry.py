"""Move a whole registry to another one: plan, review what would be lost, run, write a report, count.

    python examples/migrate_registry.py mlflow-old sm-eu --report report.csv

Nothing is moved while the plan has a loss that nobody has accepted (exit code 6): name it with `--accept`, or mend the
source. What has arrived before is not moved again, so an interrupted or incomplete run is finished by the same
command. Ends with 0 where every version of the source has arrived, with 7 where one is missing.

It works in this process on FEDREG_CONFIG (else ./fedreg.yaml), or through the gateway at FEDREG_URL with FEDREG_TOKEN.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import fedreg
from fedreg.domain.migrations import MigratedVersion, MigrationPlan, MigrationReport
from fedreg.domain.reports import LossKind

REFUSED, INCOMPLETE = 6, 7
COLUMNS = ("source", "target", "state", "digest", "files", "bytes", "losses", "error")


def main() -> int:
    """Read the arguments, open the client, migrate; returns the exit code."""
    parser = argparse.ArgumentParser(description="Move all versions of a registry to another one.")
    parser.add_argument("source", help="registry that is left")
    parser.add_argument("target", help="registry that is moved to")
    parser.add_argument("--model", action="append", default=[], metavar="GLOB", help="only these models; repeatable")
    parser.add_argument("--accept", action="append", default=[], metavar="FIELD", help="loss to accept; repeatable")
    parser.add_argument("--report", type=Path, default=Path("report.csv"), help="file with a row for each version")
    parser.add_argument("--plan-only", action="store_true", help="review the plan and move nothing")
    given = parser.parse_args()
    if not given.report.parent.is_dir():
        parser.error(f"--report: {given.report.parent} is no folder")
    options = fedreg.MigrationOptions(
        models=tuple(given.model),
        allow_lossy=tuple(given.accept),
        keep_going=True,  # one bad version must not keep the others from moving; the report names it
    )
    try:
        with open_client() as fed:
            plan = fed.plan_migration(given.source, given.target, options)
            print_plan(plan)
            refused = find_refused(plan, given.accept)
            if refused:
                print(f"not accepted: {', '.join(sorted(refused))}; repeat it with --accept FIELD", file=sys.stderr)
                return REFUSED
            if given.plan_only:
                return 0
            report = fed.migrate(given.source, given.target, options, reason="migration")
            write_report(given.report, fed.migration_rows(report.operation))
    except fedreg.FedregError as error:
        print(f"{error.code}: {error}", file=sys.stderr)
        return error.exit_code
    print_report(report, given.report)
    return 0 if report.complete else INCOMPLETE


def open_client() -> fedreg.Client:
    """Through the gateway at FEDREG_URL, else in this process. Raises ConfigError, StoreBusy, InvalidRequest."""
    url = os.environ.get("FEDREG_URL")
    return fedreg.connect(url, os.environ.get("FEDREG_TOKEN") or None) if url else fedreg.open()


def print_plan(plan: MigrationPlan) -> None:
    """Counts, bytes leaving each registry, every kind of loss once, and what can't be moved."""
    print(
        f"{len(plan.rows)} versions of {plan.models} models: {plan.to_move} to move, {plan.already_there} there already"
    )
    for registry, size in plan.leaving.items():
        print(f"  {size} bytes leave {registry}")
    losses = Counter((loss.field, loss.kind.value, loss.why) for row in plan.rows for loss in row.losses)
    for (field, kind, why), count in losses.most_common():
        print(f"  {field} {kind} in {count} versions: {why}")
    for row in plan.rows:
        if row.problem is not None:
            print(f"  {row.source} can't be moved: {row.problem}")


def find_refused(plan: MigrationPlan, accepted: Iterable[str]) -> set[str]:
    """Fields that would be dropped and are not accepted. What is renamed, or held by the gateway, is not lost."""
    dropped = {
        loss.field
        for row in plan.rows
        if row.already_at is None
        for loss in row.losses
        if loss.kind is LossKind.DROPPED
    }
    return set() if "*" in accepted else dropped - set(accepted)


def write_report(path: Path, rows: Iterable[MigratedVersion]) -> None:
    """A line for each version: what became of it, and why."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for row in rows:
            losses = "; ".join(f"{loss.field} {loss.kind.value}" for loss in row.losses)
            error = "" if row.error is None else row.error["message"]
            writer.writerow([row.source, row.target, row.state.value, row.digest, row.files, row.bytes, losses, error])


def print_report(report: MigrationReport, path: Path) -> None:
    """What was moved, counted against the source."""
    arrived = report.moved + report.lossy + report.already_there
    print(f"moved {report.moved + report.lossy} ({report.bytes} bytes), there already {report.already_there}")
    print(f"{arrived} of {report.source_versions} versions arrived, {report.missing} missing; rows in {path}")


if __name__ == "__main__":
    sys.exit(main())
