"""Migrations: what is asked for, the rows of a plan, and what became of each.

A row is one version. References are written ones (`prod:churn@version:3`, `sm-eu:churn`); sizes are bytes, times
seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from fedreg.domain.reports import Loss

DEFAULT_JOBS = 4


class Carried(StrEnum):
    """What is left behind unless it is asked for."""

    STAGES = "stages"
    ALIASES = "aliases"
    APPROVAL = "approval"


class RowState(StrEnum):
    """What became of a version: `lossy` moved with losses, `skipped` was left out or never started."""

    PLANNED = "planned"
    MOVED = "moved"
    LOSSY = "lossy"
    ALREADY_THERE = "already_there"
    FAILED = "failed"
    SKIPPED = "skipped"


ARRIVED = frozenset({RowState.MOVED, RowState.LOSSY, RowState.ALREADY_THERE})


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationOptions:
    """Which versions, under which names, and how.

    - `models`: globs of source names, any of which matches; `stage`: versions that have it; `last`: so many of each
      model, the newest of those that `stage` leaves.
    - `names`: source name (or glob) -> target name, or a template with `{model}`; other models keep their name.
    - `carry`: what goes along beside the copy itself. `preserve_versions`: the same version numbers, or a failure.
    - `allow_lossy`: fields that may be dropped, `*` for all. `jobs`: models at once.
    - `keep_going`: a failure does not keep further versions from starting.
    """

    models: tuple[str, ...] = ()
    stage: str | None = None
    last: int | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    carry: tuple[Carried, ...] = ()
    preserve_versions: bool = False
    allow_lossy: tuple[str, ...] = ()
    jobs: int = DEFAULT_JOBS
    keep_going: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedVersion:
    """A row of a plan.

    These are obeyed: `source`, `target` (a model), `version` (the number asked for), `stage`, `aliases`, `approval` and
    `approval_comment` (what the target shall have; None and () leave it as it arrives), `skip`. With an `identity` the
    source must still be that version. `other_stages` are more that the source shows: a version arrives with one, so
    they are losses. The rest informs: `already_at` is the target's version where the copy is there, `problem` says why
    the version can't be moved.
    """

    source: str
    target: str
    identity: str | None = None
    version: str | None = None
    stage: str | None = None
    other_stages: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    approval: str | None = None
    approval_comment: str | None = None
    skip: bool = False
    files: int | None = None
    bytes: int | None = None
    losses: tuple[Loss, ...] = ()
    already_at: str | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationPlan:
    """What a migration would do. `leaving` is registry -> bytes read from it; copies that are there count nothing."""

    source: str
    target: str
    options: MigrationOptions
    rows: tuple[PlannedVersion, ...]
    models: int
    to_move: int
    already_there: int
    with_losses: int
    with_problems: int
    files: int
    bytes: int
    leaving: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class MigratedVersion:
    """A row of a report. `target` names the version that arrived; `error` says why none did."""

    sequence: int
    source: str
    target: str
    state: RowState
    digest: str | None = None
    files: int | None = None
    bytes: int | None = None
    losses: tuple[Loss, ...] = ()
    error: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationReport:
    """What a migration did, counted against a fresh listing of the source.

    `source_versions` is that listing's count; where a plan was given, the plan's. `missing` of them did not arrive and
    were not left out by the plan; `complete` means there are none. `seconds` is phase -> duration of its last run.
    """

    operation: str
    source: str
    target: str
    source_versions: int
    moved: int
    lossy: int
    already_there: int
    failed: int
    skipped: int
    missing: int
    bytes: int
    complete: bool
    seconds: Mapping[str, float] = field(default_factory=dict)
