"""Globs mean in both databases what they mean in Python."""

from __future__ import annotations

from fnmatch import fnmatchcase

from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, literal, select

from fedreg.store.dialects import matches_glob
from fedreg.store.globs import is_pattern, literal_parts, literal_prefix


@settings(max_examples=600, deadline=None)
@given(glob=st.text("ab*?[]!^é", max_size=7), name=st.text("ab*?[]!^é", max_size=5))
@example(glob="[]", name="[]")
@example(glob="[!]", name="[!]")
@example(glob="[]a]", name="]")
@example(glob="[!]a]", name="b")
@example(glob="[^a]", name="^")
@example(glob="[^]", name="^")
@example(glob="[^^]", name="?")
@example(glob="a[", name="a[")
@example(glob="[a-c]x", name="bx")
@example(glob="[b-a]", name="b")
@example(glob="[!b-a]", name="b")
@example(glob="[a-]", name="-")
@example(glob="[a\\w]", name="b")
@example(glob="a.c\\d*", name="abc1")
@example(glob="*", name="a\nb")
def test_same_matches_as_fnmatch(empty: Connection, glob: str, name: str) -> None:
    expected = fnmatchcase(name, glob)
    with empty.begin():
        assert bool(empty.scalar(select(matches_glob(literal(name), glob)))) is expected
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
