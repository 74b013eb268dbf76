"""Who set a version's stage or approval, and since when: kept in the index's columns as changes come in.

The journal tells it for our own changes (basis `journal`), whichever of the two, journal or index, is written
first. For anything else only the time of its first observation is known (basis `observation`), and nobody's name.
In `stage_set` and `approval_set` entries, `after` is the word itself or a mapping with `stage` / `approval`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, update
from sqlalchemy.sql.elements import ColumnElement

from fedreg.domain.models import VersionId
from fedreg.domain.records import Change, Origin
from fedreg.domain.stages import Approval
from fedreg.store import index_sql
from fedreg.store.columns import canonical_json
from fedreg.store.schema import versions

STAGE_SET, APPROVAL_SET = "stage_set", "approval_set"
_WORDS = {STAGE_SET: "stage", APPROVAL_SET: "approval"}


@dataclass(frozen=True, slots=True)
class Setting:
    """The latest journalled setting of a stage or approval. `at` in microseconds since 1970 UTC."""

    word: str
    at: int
    by: str | None


def record(tx: Connection, changes: Iterable[Change], now: datetime) -> None:
    """Put our own stage and approval changes on index rows that show them already."""
    for change in changes:
        word = _word(change.action, change.after)
        if change.origin is not Origin.OURS or change.version is None or word is None:
            continue
        stage = change.action == STAGE_SET
        if not stage and word != Approval.APPROVED:
            continue
        values = (
            {"stage_since": now, "stage_since_basis": "journal", "set_by": change.actor.subject}
            if stage
            else {"approved_at": now, "approved_by": change.actor.subject}
        )
        shown = versions.c.stage if stage else versions.c.approval
        tx.execute(update(versions).where(*_row_of(change), shown == word).values(values))


def list_settings(tx: Connection, registry: str, ids: Sequence[VersionId]) -> dict[tuple[str, VersionId], Setting]:
    """The latest setting of each version by action; `by` is None for an observed one."""
    if not ids:
        return {}
    wanted = {(one.model, one.version): one for one in ids}
    found: dict[tuple[str, VersionId], Setting] = {}
    for row in _list_rows(tx, registry, ids, list(wanted)):
        one = wanted[row.model, row.version]
        word = _word(row.action, None if row.after is None else json.loads(row.after))
        if word is not None and row.identity in (None, one.identity):
            by = row.actor if row.origin == Origin.OURS else None
            found[row.action, one] = Setting(word, row.recorded_at, by)
    return found


def _list_rows(
    tx: Connection, registry: str, ids: Sequence[VersionId], keys: list[tuple[str, str]]
) -> Iterable[Row[Any]]:
    """Journal rows, the latest last; of a single version the latest alone, however often it was changed."""
    if len(ids) == 1:
        one = (registry, *keys[0], ids[0].identity)
        return tx.exec_driver_sql(index_sql.of(tx).one_settings, (*one, *one))
    return tx.exec_driver_sql(index_sql.of(tx).settings, (registry, canonical_json([list(pair) for pair in keys])))


def _row_of(change: Change) -> list[ColumnElement[bool]]:
    row = [
        versions.c.registry == change.registry,
        versions.c.model == change.model,
        versions.c.version == change.version,
    ]
    return row if change.identity is None else [*row, versions.c.identity == change.identity]


def _word(action: str, after: Any) -> str | None:
    if action not in _WORDS:
        return None
    word = after.get(_WORDS[action]) if isinstance(after, Mapping) else after
    return word if isinstance(word, str) else None
