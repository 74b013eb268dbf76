"""Model cards: what of them is lineage and metadata of a version, and the card of an upload that brought none.

A generated card says what the source knows and nothing else: a result goes into `model-index` only where its task and
its dataset are known, since the Hub asks for both; else its value stands in the text and its name under `metrics`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from fedreg.domain.models import Provenance
from fedreg_adapters.huggingface.records import Record

CARD = "README.md"
Json = dict[str, Any]
# card key -> whether the Hub takes a list
FIELDS: Mapping[str, bool] = {
    "base_model": True,
    "base_model_relation": False,
    "datasets": True,
    "language": True,
    "library_name": False,
    "license": False,
    "license_name": False,
    "license_link": False,
    "pipeline_tag": False,
}
TASK, DATASET, DATASET_TYPE = "task", "dataset", "dataset_type"


def write_card(name: str, record: Record, *, license_known: bool = True) -> str:
    """The model card of an upload. `license_known` False: the Hub does not list this license, so it becomes `other`."""
    data = ModelCardData(**_metadata(name, record, license_known))
    return f"---\n{data.to_yaml()}\n---\n\n" + "\n\n".join(_sections(name, record)) + "\n"


def _metadata(name: str, record: Record, license_known: bool) -> Json:
    known = record.provenance.extra
    found: Json = {}
    for key, several in FIELDS.items():
        if value := known.get(key, ""):
            items = split_list(value)
            found[key] = items if several and len(items) > 1 else value
    if "license" in found and not license_known:
        found |= {"license": "other", "license_name": known["license"]}
    if known.get("tags"):
        found["tags"] = split_list(known["tags"])
    if record.metrics:
        found["metrics"] = sorted(record.metrics)
        if known.get(TASK) and known.get(DATASET):
            found |= {"model_name": name, "eval_results": [_result(n, v, known) for n, v in record.metrics.items()]}
    return found


def _result(metric: str, value: float, known: Mapping[str, str]) -> EvalResult:
    return EvalResult(
        task_type=known[TASK],
        dataset_type=known.get(DATASET_TYPE) or known[DATASET],
        dataset_name=known[DATASET],
        metric_type=metric,
        metric_value=value,
    )


def _sections(name: str, record: Record) -> list[str]:
    sections = [f"# {_line(name)}", f"Version `{record.version}`."]
    if record.description:
        sections.append(record.description)
    sections += _table("Metrics", {metric: repr(value) for metric, value in record.metrics.items()})
    sections += _table("Parameters", record.params)
    sections += _table("Provenance", _origin(record.provenance))
    return sections


def _origin(known: Provenance) -> dict[str, str]:
    found = {
        "run": known.run_id,
        "source": known.source_uri,
        "commit": known.git_commit,
        "repository": known.git_repository,
        "created by": known.created_by,
        "created at": known.created_at.isoformat() if known.created_at else None,
    }
    extra = {key: value for key, value in known.extra.items() if key not in FIELDS and key != "tags"}
    return {key: value for key, value in {**found, **extra}.items() if value}


def _table(title: str, rows: Mapping[str, str]) -> list[str]:
    if not rows:
        return []
    lines = [f"| {_line(key)} | {_line(value)} |" for key, value in sorted(rows.items())]
    return [f"## {title}", "\n".join(["| | |", "| --- | --- |", *lines])]


def _line(text: str) -> str:
    """One line of a table, whatever the text has in it."""
    return " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def split_list(text: str) -> list[str]:
    """`a, b` -> items, as a card's list is kept in a provenance."""
    return [item.strip() for item in text.split(",") if item.strip()]


def read_extra(card: Json) -> dict[str, str]:
    """What of a card's metadata goes into a provenance: lists joined by `, `."""
    found = {}
    for key in (*FIELDS, "tags"):
        value = card.get(key)
        items = value if isinstance(value, list) else [value]
        texts = [str(item) for item in items if isinstance(item, (str, int, float)) and str(item)]
        if texts:
            found[key] = ", ".join(texts)
    return found


def read_metrics(index: Any) -> dict[str, float]:
    """The results of a `model-index`: metric -> value. Of several with one name each gets its dataset's."""
    found: list[tuple[str, str, float]] = []
    for model in index if isinstance(index, list) else ():
        for result in model.get("results") or () if isinstance(model, dict) else ():
            found += _read_result(result)
    names = [metric for metric, _, _ in found]
    return {m if names.count(m) == 1 or not dataset else f"{m} ({dataset})": value for m, dataset, value in found}


def _read_result(result: Any) -> list[tuple[str, str, float]]:
    if not isinstance(result, dict):
        return []
    about = result.get("dataset")
    dataset = str(about.get("name") or about.get("type") or "") if isinstance(about, dict) else ""
    rows = []
    for metric in result.get("metrics") or ():
        value = metric.get("value") if isinstance(metric, dict) else None
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            rows.append((str(metric.get("type") or metric.get("name")), dataset, float(value)))
    return rows
