"""References: what is written reads back the same, whatever the names hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedreg.domain.errors import FedregError, InvalidRequest
from fedreg.domain.refs import Ref, Selector, SelectorKind, parse_selector

registries = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,62}", fullmatch=True)
texts = st.text(min_size=1, max_size=40)
selectors = st.builds(Selector, st.sampled_from(SelectorKind), texts)


@given(registries, texts, st.none() | selectors)
def test_written_and_read(registry: str, model: str, selector: Selector | None) -> None:
    ref = Ref(registry, model, selector)
    assert Ref.parse(str(ref)) == ref


@given(registries, st.text(st.sampled_from("a@:%/24\n\ud800é"), min_size=1), st.none() | selectors)
def test_written_and_read_with_reserved_characters(registry: str, model: str, selector: Selector | None) -> None:
    ref = Ref(registry, model, selector)
    written = str(ref)
    assert Ref.parse(written) == ref
    assert "\n" not in written
    assert written.count("@") == (selector is not None)


@given(registries, texts, texts)
def test_two_references_are_never_written_alike(registry: str, model: str, other: str) -> None:
    assert (str(Ref(registry, model)) == str(Ref(registry, other))) == (model == other)


@given(st.text(max_size=60))
def test_any_text_is_a_reference_or_refused(text: str) -> None:
    try:
        ref = Ref.parse(text)
    except InvalidRequest as error:
        assert error.cure
    else:
        assert ref.model
        assert Ref.parse(str(ref)) == ref


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("prod:churn", Ref("prod", "churn")),
        ("prod:team/churn@3", Ref("prod", "team/churn", Selector(SelectorKind.ANY, "3"))),
        ("prod:churn@version:3", Ref("prod", "churn", Selector(SelectorKind.VERSION, "3"))),
        ("prod:churn@alias:champion", Ref("prod", "churn", Selector(SelectorKind.ALIAS, "champion"))),
        ("prod:churn@stage:production", Ref("prod", "churn", Selector(SelectorKind.STAGE, "production"))),
        ("prod:a:b:c", Ref("prod", "a:b:c")),
        ("prod:a%40b@3", Ref("prod", "a@b", Selector(SelectorKind.ANY, "3"))),
        ("prod:a@b@3", Ref("prod", "a@b", Selector(SelectorKind.ANY, "3"))),
        ("prod:100%", Ref("prod", "100%")),
        ("prod:m@run:7", Ref("prod", "m", Selector(SelectorKind.ANY, "run:7"))),
    ],
)
def test_reads(text: str, expected: Ref) -> None:
    assert Ref.parse(text) == expected


@pytest.mark.parametrize(
    "text", ["", "churn", "prod:", ":churn", "Prod:churn", "-p:m", "prod:@3", "prod:m@", "prod:m@version:", "p:%FF"]
)
def test_refuses(text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        Ref.parse(text)
    assert isinstance(caught.value, FedregError)
    assert caught.value.cure


def test_at_version_pins() -> None:
    ref = Ref.parse("prod:churn@alias:champion").at_version("7")
    assert str(ref) == "prod:churn@version:7"


def test_a_bare_selector_that_looks_like_a_named_one() -> None:
    bare = Selector(SelectorKind.ANY, "version:3")
    assert parse_selector(str(bare)) == bare
    assert parse_selector("version:3") == Selector(SelectorKind.VERSION, "3")
