"""The table of docs/errors.md: what each case is answered with. `make docs` writes it anew."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from .world import COMMAND, HTTP, PYTHON, REMOTE, SERVE, URL

PAGE = Path(__file__).parents[2] / "docs" / "errors.md"
# docs/generate.py makes what stands before it, and keeps what follows.
MARKER = "<!-- What follows is made by tests/errors: `make docs` writes it, `make test` compares. -->\n"
HEADER = f"""\
{MARKER}
## Bad input, case by case

What every kind of bad input is answered with, as the tests have seen it: the exit code of the command, in process and
with `--url`; the HTTP status; the exception in Python, in process (`fedreg.open`) and remote (`fedreg.connect`).
`serve` is the gateway's own start. Before a message stands the registry it is about, which every surface names. None
of these changes a registry or the journal, leaves a version half-registered, shows a traceback, or repeats a secret.
Where surfaces answer differently, a case has several lines; an empty cell: it can't come through there, or stands on
another line of the case.

| case | command line | `--url` | HTTP | Python | remote | message and cure |
| --- | --- | --- | --- | --- | --- | --- |
"""
COLUMNS = (COMMAND, URL, HTTP, PYTHON, REMOTE)
_STARTS = f"`{SERVE}`: "

Row = tuple[str, str]
# How it ended, and what was said.
Said = tuple[str, str]


def is_writing() -> bool:
    """Whether this run writes the page instead of comparing with it."""
    return bool(os.environ.get("FEDREG_WRITE_DOCS"))


def describe(ending: str, registry: str, message: str, cure: str) -> Said:
    """What stands on the page of an answer."""
    said, advice = (_escape(" ".join(text.split())) for text in (message, cure))
    return ending, f"{f'[{registry}] ' if registry else ''}{said} *Cure:* {advice}"


def read_rows() -> dict[Row, Said]:
    """The answers of the page, by case and surface."""
    rows: dict[Row, Said] = {}
    for line in PAGE.read_text(encoding="utf-8").partition(MARKER)[2].splitlines()[2:]:
        if line.startswith("| ") and not line.startswith(("| case", "| ---")):
            case, *endings, said = (cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1])
            for column, ending in zip(COLUMNS, endings, strict=True):
                if ending:
                    surface = SERVE if ending.startswith(_STARTS) else column
                    rows[case, surface] = (ending.removeprefix(_STARTS), said)
    return rows


def write_rows(rows: Mapping[Row, Said], order: Iterable[Row]) -> None:
    """Write the page's part: `rows` in the order of the cases, and none that is no case any more."""
    cases: dict[str, list[str]] = {}
    for case, surface in order:
        cases.setdefault(case, []).append(surface)
    lines = [line for case, surfaces in cases.items() for line in _render(case, surfaces, rows)]
    before = PAGE.read_text(encoding="utf-8").partition(MARKER)[0].rstrip()
    PAGE.write_text(f"{before}\n\n{HEADER}" + "\n".join(lines) + "\n", encoding="utf-8")


def _render(case: str, surfaces: Iterable[str], rows: Mapping[Row, Said]) -> Iterable[str]:
    """The lines of a case, one for each thing that is said."""
    lines: dict[str, dict[str, str]] = {}
    for surface in surfaces:
        if (case, surface) in rows:
            ending, said = rows[case, surface]
            column, cell = (HTTP, _STARTS + ending) if surface == SERVE else (surface, ending)
            lines.setdefault(said, {})[column] = cell
    for said, cells in lines.items():
        yield f"| {case} | {' | '.join(cells.get(column, '') for column in COLUMNS)} | {said} |"


def _escape(text: str) -> str:
    """Marks of Markdown as they are; what stands between backticks is code."""
    parts = text.replace("|", "\\|").split("`")
    for index in range(0, len(parts), 2):
        for mark in "<>*":
            parts[index] = parts[index].replace(mark, f"\\{mark}")
    return "`".join(parts)
