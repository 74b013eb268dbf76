"""What a source file looks like: its size, its name, its docstring, and nothing of the machine it was written on."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(file for root in ("gateway", "adapters") for file in (ROOT / root).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
TEXTS = [
    *SOURCES,
    *TESTS,
    *PAGES,
    *sorted((ROOT / "tests" / "store" / "releases").glob("*/*")),
    *sorted((ROOT / "config").glob("*.yaml")),
    ROOT / "pyproject.toml",
    ROOT / "Makefile",
]
LONGEST, REASON = 350, "Longer than 350 lines because"
VAGUE = re.compile(r"(.*_)?(utils?|helpers?|common|managers?|misc)")
# split, so that this file does not hold what it looks for
MACHINE = re.compile(
    "|".join((r"/work" + r"/(?:main|shared)", r"/root" + r"/", r"/home" + r"/\w+/", r"pypi\." + r"org/simple"))
)
LINK = re.compile(r"\]\((?!https?://|mailto:|#)([^)#\s]+)")


def name_of(file: Path) -> str:
    return str(file.relative_to(ROOT))


def too_long(text: str) -> bool:
    """Whether a file is beyond the ceiling without giving its reason in its first lines."""
    lines = text.splitlines()
    return len(lines) > LONGEST and REASON not in " ".join(lines[:10])


def test_a_long_file_says_why() -> None:
    assert [name_of(file) for file in SOURCES if too_long(file.read_text())] == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [("x\n" * 350, False), ("x\n" * 351, True), (f'"""Wire. {REASON} it is one table."""\n' + "x\n" * 400, False)],
)
def test_the_ceiling(text: str, expected: bool) -> None:
    assert too_long(text) is expected


def test_a_module_is_named_after_what_it_holds() -> None:
    names = [name_of(file) for file in SOURCES]
    assert [name for name in names if any(map(VAGUE.fullmatch, Path(name).with_suffix("").parts))] == []


def test_a_module_says_what_it_is() -> None:
    assert [name_of(file) for file in SOURCES if not ast.get_docstring(ast.parse(file.read_text()))] == []


def test_nothing_names_the_machine_it_was_written_on() -> None:
    assert [(name_of(file), found) for file in TEXTS if (found := MACHINE.findall(file.read_text()))] == []


def test_links_between_pages_lead_somewhere() -> None:
    links = [(file, link) for file in PAGES for link in LINK.findall(file.read_text())]
    assert [(name_of(file), link) for file, link in links if not (file.parent / link).exists()] == []
