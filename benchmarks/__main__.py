"""`python -m benchmarks [NAME]…`: measure and print one table. Ends with 1 only where a benchmark fails to run."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from rich.console import Console

from benchmarks.options import Options
from benchmarks.sizes import parse_size
from benchmarks.table import Row, render, to_json

# name -> module with `measure(options) -> list[Row]`, in the order of the table
BENCHMARKS: Mapping[str, str] = {
    "keyed-read": "benchmarks.keyed_read",
    "live-read": "benchmarks.live_read",
    "isolation": "benchmarks.isolation",
    "loop-lag": "benchmarks.loop_lag",
    "inventory": "benchmarks.inventory",
    "lineage": "benchmarks.lineage",
    "copy": "benchmarks.copying",
    "migration": "benchmarks.migration",
    "promotions": "benchmarks.promotions",
    "linked-promotions": "benchmarks.linked_promotions",
    "promotion-latency": "benchmarks.promotion_latency",
    "promotion-resume": "benchmarks.promotion_resume",
    "promotion-memory": "benchmarks.promotion_memory",
    "help": "benchmarks.starting",
    "footprint": "benchmarks.footprint",
}


WIDTH = 150  # of the table in a file or pipe


def main(arguments: list[str] | None = None) -> int:
    """The exit code."""
    given = _parse(arguments)
    options = Options(**{name: value for name, value in _sizes(given).items() if value is not None})
    names = [name for name in BENCHMARKS if name in {*given.names, *given.only}] or list(BENCHMARKS)
    rows, failed = run(names, options)
    if given.json:
        print(json.dumps({"rows": to_json(rows), "failed": failed}, indent=2))
    else:
        console = Console()
        console.width = console.width if console.is_terminal else WIDTH
        console.print(render(rows))
    return 1 if failed else 0


def run(names: list[str], options: Options) -> tuple[list[Row], dict[str, str]]:
    """All rows, and why those that failed did."""
    rows: list[Row] = []
    failed: dict[str, str] = {}
    progress = Console(stderr=True)
    for name in names:
        with progress.status(f"{name} …"):
            try:
                measure: Callable[[Options], list[Row]] = import_module(BENCHMARKS[name]).measure
                rows += measure(options)
            except Exception as error:
                failed[name] = f"{type(error).__name__}: {error}"
                progress.print(f"{name} failed: {failed[name]}", style="red", highlight=False, markup=False)
    return rows, failed


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = ", ".join(BENCHMARKS)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which ones: {names}")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", choices=BENCHMARKS, help="the same")
    parser.add_argument("--size", type=parse_size, action="append", help="of a copy: 64MiB, 1GiB; may be repeated")
    parser.add_argument("--rows", type=_positive, help=f"versions in the index (default {Options().rows})")
    parser.add_argument("--rounds", type=_positive, help=f"pairs of fedreg and reference (default {Options().rounds})")
    parser.add_argument("--seconds", type=_duration, help=f"of a round of requests (default {Options().seconds:g})")
    parser.add_argument("--promotions", type=_positive, help=f"versions to promote (default {Options().promotions})")
    kept = f"promotions whose memory is watched (default {Options().kept_promotions})"
    parser.add_argument("--kept-promotions", type=_positive, help=kept)
    parser.add_argument("--models", type=_positive, help=f"models to migrate (default {Options().models})")
    parser.add_argument("--json", action="store_true", help="rows as JSON instead of a table")
    given = parser.parse_args(arguments)
    unknown = [name for name in given.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"no benchmark {unknown[0]!r}: there are {names}")
    return given


def _positive(text: str) -> int:
    if int(text) < 1:
        raise ValueError
    return int(text)


def _duration(text: str) -> float:
    if not 0 < float(text) < 3600:
        raise ValueError
    return float(text)


def _sizes(given: argparse.Namespace) -> dict[str, Any]:
    sizes = None if given.size is None else tuple(dict.fromkeys(given.size))
    return {
        "copy_sizes": sizes,
        "rows": given.rows,
        "rounds": given.rounds,
        "seconds": given.seconds,
        "promotions": given.promotions,
        "kept_promotions": given.kept_promotions,
        "models": given.models,
    }


if __name__ == "__main__":
    sys.exit(main())
