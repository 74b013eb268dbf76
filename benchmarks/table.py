"""Rows of the table: what was measured, beside what, and whether that meets its target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich import box
from rich.table import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure.

    `figure` and `reference` are absolute, for orientation; `ratio` is the one divided by the other, taken the way
    round that `target` means. `met` None: there is no target. `value` is the number that the target is about.
    """

    name: str
    figure: str
    value: float
    unit: str
    reference: str = ""
    ratio: float | None = None
    target: str = ""
    met: bool | None = None
    note: str = ""


def at_least(value: float, floor: float) -> dict[str, Any]:
    """`target` and `met` of a ratio or rate that must not be lower."""
    return {"target": f">= {floor:g}", "met": value >= floor}


def at_most(value: float, ceiling: float) -> dict[str, Any]:
    """`target` and `met` of a ratio or duration that must not be higher."""
    return {"target": f"<= {ceiling:g}", "met": value <= ceiling}


def to_json(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Rows as JSON values."""
    return [asdict(row) for row in rows]


def render(rows: Sequence[Row]) -> Table:
    """The table."""
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("what", "ratio", "fedreg", "reference, same run", "target", ""):
        table.add_column(column, justify="right" if column == "ratio" else "left", overflow="fold")
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}x"
        name = f"{row.name}\n[dim]{row.note}[/dim]" if row.note else row.name
        table.add_row(name, ratio, row.figure, row.reference, row.target, _verdict(row.met))
    return table


def _verdict(met: bool | None) -> str:
    return {None: "", True: "[green]met[/green]", False: "[red]missed[/red]"}[met]
