"""Drift: where members of a link disagree with its rule, and what a repair does about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class Problem(StrEnum):
    """What is wrong at a member: a version lacks the value, lacks its copy, or has a value that it should not have."""

    MISSING = "missing"
    NO_COPY = "no_copy"
    EXTRA = "extra"


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftRow:
    """One disagreement, as the index has it.

    `field` is `stage:NAME` or `alias:NAME`; `ref` the version at the member (the model where it has no copy), `of`
    the version that is right by the link's rule, None where none should have the value. `since` and `by`: of the
    setting that brought it about, as far as known. `repairable` is False where the link leaves it to people.
    """

    link: str
    field: str
    problem: Problem
    ref: str
    of: str | None = None
    since: datetime | None = None
    by: str | None = None
    repairable: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftReport:
    """All disagreements of the links asked for. `partial` names registries whose rows may be old, and why."""

    rows: tuple[DriftRow, ...]
    links: int
    partial: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairReport:
    """What a repair does or has done: `operations` are the promotions it has started, `left` what people must decide.

    `changes` counts writes and copies.
    """

    rows: tuple[DriftRow, ...]
    changes: int
    operations: tuple[str, ...] = ()
    left: tuple[DriftRow, ...] = ()
    partial: tuple[Mapping[str, Any], ...] = ()
