"""How much of its memory a gateway keeps of each linked promotion that is over."""

from __future__ import annotations

from benchmarks.options import Options
from benchmarks.processes import run_child
from benchmarks.sizes import KIB, show_size
from benchmarks.table import Row

CEILING = 4 * KIB


def measure(options: Options) -> list[Row]:
    """One row: resident growth between the first tenth and the end, a promotion."""
    found = run_child("benchmarks.workers.promoting", options.kept_promotions)
    grown, promotions = found["end"] - found["tenth"], found["promotions"]
    each = grown / promotions
    return [
        Row(
            name="memory kept of a linked promotion",
            figure=f"{each:+.0f} B ({show_size(grown)} by {promotions:,})",
            reference=f"{show_size(found['tenth'])}  resident after the first tenth",
            value=each,
            unit="B",
            target=f"<= {show_size(CEILING)}",
            met=each <= CEILING,
            note="two members in memory, small caches; --kept-promotions 10000 for a longer look",
        )
    ]
