"""Stages: names, the one-to-one map, and which of several counts."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedreg.domain.errors import ConfigError, InvalidRequest
from fedreg.domain.stages import (
    ARCHIVED,
    DEFAULT_ORDER,
    NONE,
    PRODUCTION,
    STAGING,
    StageMap,
    highest_stage,
    parse_stage,
)

stages = st.sampled_from([*DEFAULT_ORDER, "shadow", "canary-2", "a", "zz"])
maps = st.dictionaries(stages, st.text(min_size=1, max_size=8) | stages, max_size=5)


@given(st.text(max_size=70) | st.from_regex(r"[a-z][a-z0-9-]{0,70}", fullmatch=True))
def test_a_stage_is_valid_or_refused(text: str) -> None:
    if re.fullmatch(r"[a-z][a-z0-9-]{0,62}", text):
        assert parse_stage(text) == text
    else:
        with pytest.raises(InvalidRequest) as caught:
            parse_stage(text)
        assert caught.value.cure


@given(maps, stages)
def test_the_map_is_one_to_one(words: dict[str, str], stage: str) -> None:
    """What is written as a stage reads back as it, or can't be written."""
    try:
        made = StageMap(words)
        native = made.to_native(stage)
    except (ConfigError, InvalidRequest) as error:
        assert error.cure
    else:
        assert made.to_stage(native) == stage


@given(maps, st.text(max_size=8) | stages)
def test_a_word_reads_as_the_stage_that_writes_it_or_as_none(words: dict[str, str], native: str) -> None:
    try:
        made = StageMap(words)
    except ConfigError:
        return
    stage = made.to_stage(native)
    if stage is not None:
        assert made.to_native(stage) == native


def test_design_example() -> None:
    champion = StageMap({PRODUCTION: "champion"})
    assert champion.to_native(PRODUCTION) == "champion"
    assert champion.to_stage("champion") == PRODUCTION
    assert champion.to_stage(PRODUCTION) is None, "production is spelt otherwise here"
    assert champion.to_stage("staging") == STAGING
    assert champion.to_stage("Proposal") is None
    with pytest.raises(InvalidRequest, match="champion"):
        champion.to_native("champion")


@pytest.mark.parametrize(
    "words",
    [
        {PRODUCTION: "live", STAGING: "live"},
        {PRODUCTION: STAGING},
        {PRODUCTION: NONE},
    ],
)
def test_two_stages_for_one_word(words: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"stages\.map"):
        StageMap(words)


def test_swapped_words_are_fine() -> None:
    swapped = StageMap({PRODUCTION: STAGING, STAGING: PRODUCTION})
    assert swapped.to_stage(swapped.to_native(PRODUCTION)) == PRODUCTION
    assert swapped.to_stage(PRODUCTION) == STAGING


def test_a_map_of_no_stage() -> None:
    with pytest.raises(InvalidRequest, match="Production"):
        StageMap({"Production": "live"})


@given(st.lists(stages | st.just(NONE)), st.randoms())
def test_the_highest_does_not_depend_on_the_order_they_come_in(found: list[str], random: object) -> None:
    highest = highest_stage(found)
    assert highest == NONE if not set(found) - {NONE} else highest in found
    random.shuffle(found)  # type: ignore[attr-defined]
    assert highest_stage(found) == highest


@pytest.mark.parametrize(
    ("found", "highest"),
    [
        ([], NONE),
        ([NONE], NONE),
        ([STAGING, PRODUCTION, ARCHIVED], PRODUCTION),
        ([ARCHIVED, STAGING], STAGING),
        ([ARCHIVED, "shadow"], "shadow"),
        ([ARCHIVED, "aaa"], "aaa"),
        ([STAGING, "aaa"], STAGING),
        (["zz", "shadow"], "shadow"),
    ],
)
def test_highest(found: list[str], highest: str) -> None:
    assert highest_stage(found) == highest


def test_highest_by_another_order() -> None:
    assert highest_stage([PRODUCTION, STAGING], (STAGING, PRODUCTION)) == STAGING
    assert highest_stage([PRODUCTION, "shadow"], (STAGING, PRODUCTION)) == PRODUCTION
    assert highest_stage(["shadow", STAGING], ("shadow", STAGING)) == "shadow"
