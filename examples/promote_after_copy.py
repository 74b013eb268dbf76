"""Bring a model's production version to another registry, check it there byte by byte, and promote it.

    python examples/promote_after_copy.py mlflow-prod:churn sm-eu

The copy is the same version however often this runs; the promotion only happens where the bytes are the same. Ends with
0 where the target serves the version, with 4 where the copy differs, else with the exit code of the error.

It works in this process on FEDREG_CONFIG (else ./fedreg.yaml), or through the gateway at FEDREG_URL with FEDREG_TOKEN.
"""

from __future__ import annotations

import argparse
import os
import sys

import fedreg

DIFFERENT = 4


def main() -> int:
    """Read the arguments, open the client, promote; returns the exit code."""
    parser = argparse.ArgumentParser(description="Copy a model's production version, check it and promote it there.")
    parser.add_argument("model", help="as in mlflow-prod:churn")
    parser.add_argument("registry", help="registry to bring it to")
    parser.add_argument("--name", help="its name there; default: the same")
    parser.add_argument("--stage", default="production", help="which version to bring, and the stage to give it")
    parser.add_argument("--reason", default="promoted after a copy", help="kept in the journal")
    given = parser.parse_args()
    try:
        source = fedreg.Ref.parse(f"{given.model}@stage:{given.stage}")
        target = fedreg.Ref(given.registry, given.name or source.model)
        with open_client() as fed:
            return bring(fed, source, target, given.stage, given.reason)
    except fedreg.FedregError as error:
        print(f"{error.code}: {error}", file=sys.stderr)
        return error.exit_code


def open_client() -> fedreg.Client:
    """Through the gateway at FEDREG_URL, else in this process. Raises ConfigError, StoreBusy, InvalidRequest."""
    url = os.environ.get("FEDREG_URL")
    return fedreg.connect(url, os.environ.get("FEDREG_TOKEN") or None) if url else fedreg.open()


def bring(fed: fedreg.Client, source: fedreg.Ref, target: fedreg.Ref, stage: str, reason: str) -> int:
    """Copy, check, promote. Raises NotFound where no version has the stage, LossNotAccepted where one can't be held."""
    version = fed.version(source)  # pinned here: a promotion meanwhile does not change what is copied
    report = fed.copy(version.ref, target, reason=reason)
    print(f"{report.source} -> {report.target}: {report.files} files, {'copied' if report.moved else 'there already'}")
    for loss in report.losses:
        print(f"  {loss.field} {loss.kind.value}: {loss.why}")
    check = fed.check(version.ref, report.target, download=True)
    if not check.same:
        for row in check.rows:
            print(f"  {row.symbol} {row.item}", file=sys.stderr)
        print(f"{report.target} differs from {report.source}: not promoted", file=sys.stderr)
        return DIFFERENT
    promoted = fed.promote(report.target, to=stage, reason=reason)
    print(f"{promoted.ref}: {promoted.stage_before} -> {promoted.stage}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
