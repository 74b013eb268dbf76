"""What became of each field of a copied version, found out past the report, and the report spelt out field by field."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from fedreg.domain.models import Model, Version
from fedreg.domain.reports import Loss, LossKind

from .facts import Found, flat

HELD, LOST, SPELLED = LossKind.HELD_BY_GATEWAY, LossKind.DROPPED, LossKind.RENAMED


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Fields by what became of them, `arrived` ones at the registry itself; `spelled` is field -> native spelling."""

    arrived: frozenset[str]
    held: frozenset[str]
    lost: frozenset[str]
    spelled: Mapping[str, str]

    def report(self) -> set[tuple[str, str]]:
        """The lines an exact report has, field by field."""
        kinds = ((HELD, self.held), (LOST, self.lost), (SPELLED, self.spelled))
        return {(name, kind.value) for kind, names in kinds for name in names}


def judge(source: Found, target: Found, shown: Mapping[str, Any], name: str) -> Outcome:
    """What differs between source and target. `shown` is what the gateway shows of the copy, `name` its model's."""
    held, lost = set[str](), set[str]()
    for field, value in source.fields.items():
        if field in target.fields and is_same(target.fields[field], value):
            continue
        (held if field in shown and is_same(shown[field], value) else lost).add(field)
    ours = {field: name if field == "model" else field.partition(".")[2] for field in target.spelled}
    spelled = {field: text for field, text in target.spelled.items() if text != ours[field]}
    arrived = source.fields.keys() - held - lost
    return Outcome(arrived=frozenset(arrived), held=frozenset(held), lost=frozenset(lost), spelled=spelled)


def spell_out(losses: Iterable[Loss], source: Found) -> list[tuple[str, str]]:
    """A report field by field: a line on `metrics` is one on each of them. One on nothing stands as it is."""
    lines = []
    for loss in losses:
        if loss.kind is SPELLED:
            lines.append((loss.field, loss.kind.value))
            continue
        covered = [name for name in source.fields if name == loss.field or name.startswith(f"{loss.field}.")]
        lines += [(name, loss.kind.value) for name in covered or [loss.field]]
    return sorted(lines)


def show(version: Version, model: Model) -> dict[str, Any]:
    """What the gateway shows of a version, by the names of fields."""
    known = asdict(version.provenance)
    extra = known.pop("extra")
    return flat(
        description=version.description,
        tags=version.tags,
        metrics=version.metrics,
        params=version.params,
        provenance={name: value for name, value in known.items() if value is not None}
        | {f"extra.{name}": value for name, value in extra.items()},
        stage=None if version.stage == "none" else version.stage,
        aliases=dict.fromkeys(version.aliases, True),
        approval=None if version.approval == "none" else version.approval.value,
        approval_comment=version.approval_comment,
        model__description=model.description,
        model__tags=model.tags,
    )


def flagged(version: Version, model: Model) -> set[str]:
    """The fields that the gateway says it holds itself."""
    return {*version.held_by_gateway, *(f"model.{name}" for name in model.held_by_gateway)}


def is_same(one: Any, other: Any) -> bool:
    """Equal values; of times those of the same millisecond, and not a number is itself."""
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    if isinstance(one, datetime) and isinstance(other, datetime):
        return abs((one - other).total_seconds()) < 0.001
    return bool(one == other)
