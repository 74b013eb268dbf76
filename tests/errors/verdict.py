"""What must be true of every answer to bad input."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from .page import Row, is_writing, write_row
from .world import SECRET, Outcome, masked


def judge(outcome: Outcome, ending: str, names: Iterable[str], cure: str) -> None:
    """It ends as it must, names field, value and cure, and shows neither a traceback nor a secret."""
    assert outcome.ending == ending, outcome.text
    assert [name for name in names if name not in outcome.message] == [], outcome.message
    assert outcome.cure and cure in outcome.cure, f"{outcome.message}\ncure: {outcome.cure}"
    assert "Traceback" not in outcome.text and SECRET not in outcome.text


def compare(page: dict[Row, str], case: str, surface: str, outcome: Outcome, home: Path) -> None:
    """The line of docs/error-cases.md is what was answered; where the page is written, it becomes that."""
    row = write_row(case, surface, outcome.ending, masked(outcome.message, home), masked(outcome.cure, home))
    if is_writing():
        page[case, surface] = row
    assert page.get((case, surface)) == row, "run `FEDREG_WRITE_DOCS=1 make test ARGS=tests/errors`"
