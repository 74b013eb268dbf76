"""Keep one registry supplied with what is in production in several others; to be run every night.

    python examples/nightly_sync.py warehouse mlflow-prod mlflow-labs --name '{registry}-{model}'

Copies arrive without stage and with approval pending: what is served is decided at the target. A version that has left
production stays there. A run that finds everything in place moves nothing. One source that fails does not keep the
others from being read: ends with 0 where every version in production has its copy, with 7 where one is missing.

It works in this process on FEDREG_CONFIG (else ./fedreg.yaml), or through the gateway at FEDREG_URL with FEDREG_TOKEN.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass

import fedreg
from fedreg.domain.migrations import ARRIVED

INCOMPLETE = 7


@dataclass(frozen=True)
class Count:
    """Versions of one source: in production by now, of those at the target, and moved by this run."""

    wanted: int
    there: int
    moved: int


def main() -> int:
    """Read the arguments, open the client, sync source after source; returns the exit code."""
    parser = argparse.ArgumentParser(description="Copy what is in production in several registries to one.")
    parser.add_argument("target", help="registry to supply")
    parser.add_argument("sources", nargs="+", metavar="source", help="registries to read")
    parser.add_argument("--name", default="{registry}-{model}", help="name of a copy; default: %(default)s")
    parser.add_argument("--stage", default="production")
    parser.add_argument("--accept", action="append", default=[], metavar="FIELD", help="loss to accept; repeatable")
    given = parser.parse_args()
    counts = []
    try:
        with open_client() as fed:
            for source in given.sources:
                options = fedreg.MigrationOptions(
                    stage=given.stage,
                    names={"*": given.name.replace("{registry}", source)},
                    allow_lossy=tuple(given.accept),
                    keep_going=True,
                )
                counts.append(sync(fed, source, given.target, options))
    except fedreg.FedregError as error:  # no client at all: configuration, store or address
        print(f"{error.code}: {error}", file=sys.stderr)
        return error.exit_code
    known = [count for count in counts if count is not None]
    wanted, there, moved = (sum(getattr(count, name) for count in known) for name in ("wanted", "there", "moved"))
    failed = len(counts) - len(known)
    print(f"reconciled {there} of {wanted}, moved {moved}, sources failed {failed}")
    return 0 if there == wanted and not failed else INCOMPLETE


def open_client() -> fedreg.Client:
    """Through the gateway at FEDREG_URL, else in this process. Raises ConfigError, StoreBusy, InvalidRequest."""
    url = os.environ.get("FEDREG_URL")
    return fedreg.connect(url, os.environ.get("FEDREG_TOKEN") or None) if url else fedreg.open()


def sync(fed: fedreg.Client, source: str, target: str, options: fedreg.MigrationOptions) -> Count | None:
    """Copy what is missing, then count against a fresh look at the source; None where that can't be done."""
    try:
        report = fed.migrate(source, target, options, reason="nightly sync")
        arrived = set()
        for row in fed.migration_rows(report.operation):
            if row.state in ARRIVED:
                arrived.add(row.source)
            else:
                print(f"{row.source}: {(row.error or {}).get('message', row.state.value)}", file=sys.stderr)
        wanted = {str(version.ref) for version in fed.versions(registry=source, stage=options.stage, refresh=True)}
    except fedreg.FedregError as error:
        print(f"{source}: {error.code}: {error}", file=sys.stderr)
        return None
    count = Count(wanted=len(wanted), there=len(wanted & arrived), moved=report.moved + report.lossy)
    print(f"{source}: {count.there} of {count.wanted} in {options.stage} are at {target}, moved {count.moved}")
    return count


if __name__ == "__main__":
    sys.exit(main())
