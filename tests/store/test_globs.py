"""Globs mean in SQLite what they mean in Python."""

from __future__ import annotations

import sqlite3
from fnmatch import fnmatchcase

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fedreg.store.globs import is_pattern, literal_parts, literal_prefix, to_sqlite_glob


@pytest.fixture(scope="module")
def connection() -> sqlite3.Connection:
    return sqlite3.connect(":memory:")


@settings(max_examples=600, deadline=None)
@given(glob=st.text("ab*?[]!^é", max_size=7), name=st.text("ab*?[]!^é", max_size=5))
@example(glob="[]", name="[]")
@example(glob="[!]", name="[!]")
@example(glob="[]a]", name="]")
@example(glob="[!]a]", name="b")
@example(glob="[^a]", name="^")
@example(glob="[^]", name="^")
@example(glob="a[", name="a[")
@example(glob="[a-c]x", name="bx")
def test_same_matches_as_fnmatch(connection: sqlite3.Connection, glob: str, name: str) -> None:
    expected = fnmatchcase(name, glob)
    assert connection.execute("SELECT ? GLOB ?", (name, to_sqlite_glob(glob))).fetchone() == (expected,)
    if expected:
        assert name.startswith(literal_prefix(glob))
        assert all(part in name for part in literal_parts(glob))
        assert is_pattern(glob) or name == glob


def test_what_is_literal() -> None:
    assert literal_prefix("team-*/churn") == "team-"
    assert sorted(literal_parts("*-churn-[ab]x?")) == ["-churn-", "x"]
    assert not is_pattern("team/churn")
    assert not is_pattern("a[b")
    assert is_pattern("a[b]")
