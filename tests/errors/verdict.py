"""What must be true of every answer to bad input."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from .page import Row, Said, describe, is_writing
from .world import SECRET, Outcome, masked


def judge(outcome: Outcome, ending: str, names: Iterable[str], cure: str) -> None:
    """It ends as it must, names field, value and cure, and shows neither a traceback nor a secret."""
    assert outcome.ending == ending, outcome.text
    said = f"{outcome.registry} {outcome.message}"
    assert [name for name in names if name not in said] == [], said
    assert outcome.cure and cure in outcome.cure, f"{outcome.message}\ncure: {outcome.cure}"
    assert "Traceback" not in outcome.text and SECRET not in outcome.text


def compare(page: dict[Row, Said], case: str, surface: str, outcome: Outcome, home: Path) -> None:
    """The cell of docs/errors.md is what was answered; where the page is written, it becomes that."""
    message, cure = masked(outcome.message, home), masked(outcome.cure, home)
    said = describe(outcome.ending, outcome.registry, message, cure)
    if is_writing():
        page[case, surface] = said
    assert page.get((case, surface)) == said, "run `make docs`, and read what has changed on docs/errors.md"
