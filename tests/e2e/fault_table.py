"""The table fault x database x outcome of the promotions that were disturbed, printed when all tests have ended."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table

CELLS = ("points", "struck", "lost", "doubled", "end state differs", "in flight")


@dataclass
class Tally:
    """What came of the points of one fault on one database.

    Of `counts`, "in flight" are requests that a stopped gateway had begun, and that arrived when it went on.
    `notes` is what went wrong, which must be nothing; `slowest` the longest time that another gateway took to finish.
    """

    counts: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    told: list[Any] = field(default_factory=list)
    slowest: float | None = None


class FaultTable:
    """A tally for each fault and database."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], Tally] = {}

    def of(self, fault: str, database: str) -> Tally:
        return self.rows.setdefault((fault, database), Tally())

    def show(self) -> None:
        """Print it, and a line for each thing that went wrong."""
        table = Table(
            "fault", "database", *CELLS, "slowest take-over", title="a promotion over five members, one of each kind"
        )
        for (fault, database), tally in self.rows.items():
            slowest = "" if tally.slowest is None else f"{tally.slowest:.1f} s"
            table.add_row(fault, database, *(str(tally.counts[cell]) for cell in CELLS), slowest)
        totals = sum((tally.counts for tally in self.rows.values()), Counter[str]())
        table.add_section()
        table.add_row("all", "", *(str(totals[cell]) for cell in CELLS))
        console = Console(width=140)
        console.print(table)
        for note in [note for tally in self.rows.values() for note in tally.notes]:
            console.print(note, markup=False)


TABLE = FaultTable()  # of this test process
