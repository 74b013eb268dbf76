"""The record of a version: metrics, parameters and provenance whole, where SageMaker's own fields are too small.

It is a JSON object in S3 that ModelMetrics points to; without an artifact root, pieces of the model card's
custom details. The model card shows people the part that its schema holds. Pure functions.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

from fedreg.domain.models import Provenance, VersionDraft

JSON = dict[str, Any]
MAX_RECORD = 4 << 20
CARD_CONTENT = 100_000
_PIECE, _PIECE_LENGTH = "fedreg_record", 1024
_CARD_METRICS, _CARD_PARAMS, _CARD_TEXT = 50, 100, 255  # the model card schema's maxItems and lengths
_ODD = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}  # JSON has no such numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What a version was created with. `provenance` is None where the record says nothing of it."""

    metrics: Mapping[str, float] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    provenance: Provenance | None = None

    @classmethod
    def of(cls, draft: VersionDraft) -> Record | None:
        """The record of a draft; None where there is nothing to record."""
        known = draft.provenance if draft.provenance != Provenance() else None
        if not draft.metrics and not draft.params and known is None:
            return None
        return cls(metrics=dict(draft.metrics), params=dict(draft.params), provenance=known)

    def to_json(self) -> bytes:
        """The record, on one line, the same bytes each time."""
        content: JSON = {
            "fedreg": 1,
            "metrics": {name: _write_number(value) for name, value in self.metrics.items()},
            "params": dict(self.params),
        }
        if self.provenance is not None:
            known = asdict(self.provenance)
            known["created_at"] = known["created_at"] and known["created_at"].isoformat()
            content["provenance"] = {name: value for name, value in known.items() if value}
        return json.dumps(content, sort_keys=True).encode()


def read_record(data: bytes) -> Record:
    """A record of ours, or the metrics of a SageMaker evaluation report (`*_metrics: {name: {value}}`).

    Anything else gives an empty record: what others point ModelMetrics to is theirs.
    """
    try:
        content = json.loads(data)
    except ValueError:
        return Record()
    if not isinstance(content, dict):
        return Record()
    return _read_own(content) if content.get("fedreg") == 1 else Record(metrics=dict(_read_report(content)))


def _read_own(content: JSON) -> Record:
    known = dict(content.get("provenance") or {})
    if created := known.get("created_at"):
        known["created_at"] = datetime.fromisoformat(created)
    return Record(
        metrics={name: _read_number(value) for name, value in content.get("metrics", {}).items()},
        params={name: str(value) for name, value in content.get("params", {}).items()},
        provenance=Provenance(**known) if known else None,
    )


def _read_report(content: JSON) -> Iterable[tuple[str, float]]:
    for group, metrics in content.items():
        if not group.endswith("_metrics") or not isinstance(metrics, dict):
            continue
        for name, entry in metrics.items():
            value = entry.get("value") if isinstance(entry, dict) else entry
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                yield name, float(value)


def write_card(record: Record | None, *, whole: bool) -> str | None:
    """Model card content that shows a record; with `whole` it also carries it. None where it says nothing.

    Metrics and parameters that the schema of model cards can't hold are left out of what is shown.
    """
    if record is None:
        return None
    metrics = [{"name": n, "value": v} for n, v in sorted(record.metrics.items()) if _shown(n) and math.isfinite(v)]
    params = [{"name": n, "value": v} for n, v in sorted(record.params.items()) if _shown(n) and _shown(v)]
    job: JSON = {}
    if metrics:
        job["user_provided_training_metrics"] = list(islice(metrics, _CARD_METRICS))
    if params:
        job["user_provided_hyper_parameters"] = list(islice(params, _CARD_PARAMS))
    card: JSON = {"training_details": {"training_job_details": job}} if job else {}
    if whole:
        text = record.to_json().decode()
        starts = range(0, len(text), _PIECE_LENGTH)
        pieces = {f"{_PIECE}_{n:03d}": text[at : at + _PIECE_LENGTH] for n, at in enumerate(starts)}
        card["additional_information"] = {"custom_details": pieces}
    return json.dumps(card, sort_keys=True) if card else None


def read_card(content: str) -> Record:
    """The record that a model card carries, else the training metrics and parameters it shows."""
    try:
        card = json.loads(content)
    except ValueError:
        return Record()
    if not isinstance(card, dict):
        return Record()
    details = _inner(card, "additional_information", "custom_details")
    pieces = [text for name, text in sorted(details.items()) if name.startswith(f"{_PIECE}_")]
    if pieces:
        return read_record("".join(map(str, pieces)).encode())
    job = _inner(card, "training_details", "training_job_details")
    metrics = {
        str(item.get("name")): float(item["value"])
        for item in _items(job, "training_metrics", "user_provided_training_metrics")
        if isinstance(item.get("value"), (int, float))
    }
    params = {
        str(item.get("name")): str(item.get("value", ""))
        for item in _items(job, "hyper_parameters", "user_provided_hyper_parameters")
    }
    return Record(metrics=metrics, params=params)


def _inner(card: JSON, *names: str) -> JSON:
    for name in names:
        card = card.get(name) or {}
        if not isinstance(card, dict):
            return {}
    return card


def _items(job: JSON, *names: str) -> Iterable[JSON]:
    for name in names:
        yield from (item for item in job.get(name) or () if isinstance(item, dict))


def _shown(text: str) -> bool:
    return 0 < len(text) <= _CARD_TEXT and text.isprintable()


def _write_number(value: float) -> float | str:
    if math.isfinite(value):
        return float(value)
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _read_number(value: float | str) -> float:
    return _ODD[value] if isinstance(value, str) else float(value)
