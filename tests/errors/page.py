"""docs/error-cases.md: what each case is answered with. `FEDREG_WRITE_DOCS=1 pytest tests/errors` writes it anew."""

from __future__ import annotations

import os
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "error-cases.md"
HEADER = """\
<!-- Made by tests/errors: `FEDREG_WRITE_DOCS=1 make test ARGS=tests/errors`. -->

# Bad input, case by case

What every kind of bad input is answered with, as the tests have seen it: the exit code of the command, the HTTP status,
the exception in Python; the message, and the cure. None of them changes a registry, the journal or the store, shows a
traceback, or repeats a secret. The family of errors stands on [its own page](errors.md).

| case | surface | answer | message and cure |
| --- | --- | --- | --- |
"""

Row = tuple[str, str]


def is_writing() -> bool:
    """Whether this run writes the page instead of comparing with it."""
    return bool(os.environ.get("FEDREG_WRITE_DOCS"))


def write_row(case: str, surface: str, ending: str, message: str, cure: str) -> str:
    """A line of the table."""
    said, advice = (_escape(" ".join(text.split())) for text in (message, cure))
    return f"| {case} | {surface} | {ending} | {said} *Cure:* {advice} |"


def read_rows() -> dict[Row, str]:
    """The lines of the page, by case and surface."""
    if not PAGE.exists():
        return {}
    lines = PAGE.read_text(encoding="utf-8").removeprefix(HEADER).splitlines()
    return {_key(line): line for line in lines if line.startswith("| ")}


def write_rows(rows: dict[Row, str], order: list[Row]) -> None:
    """Write the page: `rows` in the order of the cases, and none that is no case any more."""
    lines = [rows[key] for key in order if key in rows]
    PAGE.write_text(HEADER + "\n".join(lines) + "\n", encoding="utf-8")


def _key(line: str) -> Row:
    case, surface, _ = line[2:].split(" | ", 2)
    return case, surface


def _escape(text: str) -> str:
    """Marks of Markdown as they are; what stands between backticks is code."""
    parts = text.replace("|", "\\|").split("`")
    for index in range(0, len(parts), 2):
        for mark in "<>*":
            parts[index] = parts[index].replace(mark, f"\\{mark}")
    return "`".join(parts)
