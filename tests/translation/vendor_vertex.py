"""Vertex AI through its generated synchronous clients, and GCS through google-cloud-storage."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

from google.protobuf import json_format

from .facts import (
    ALIASES,
    APPROVED,
    AWKWARD,
    COMMENT,
    DESCRIPTION,
    FILES,
    METRICS,
    MODEL_DESCRIPTION,
    NAME,
    PARAMS,
    RUN,
    STAGE,
    Found,
    Vendor,
    cut,
    flat,
    without,
)

SCHEMA = "gs://google-cloud-aiplatform/schema/modelevaluation/classification_metrics_1.0.0.yaml"


class Vertex(Vendor):
    title: ClassVar[str] = "Vertex AI"
    places: ClassVar[Mapping[str, str]] = {
        "description": "`version_description`",
        "tags": "labels of the version",
        "metrics": "a model evaluation",
        "params": "an artifact of the Metadata service",
        "provenance": "an artifact of the Metadata service",
        "stage": "label `fed-stage`",
        "aliases": "version aliases",
        "approval": "label `fed-approval`; the comment in an artifact of the Metadata service",
        "model.description": "`description`",
        "model.tags": "labels `fed-m-*`",
        "files": "objects under `artifact_uri`",
    }

    def __init__(self, models: Any, metadata: Any, storage: Any, parent: str, bucket: str) -> None:
        self.models, self.metadata, self.parent = models, metadata, parent
        self.bucket = storage.bucket(bucket)

    def seed(self) -> tuple[str, str]:
        for path, data in {**FILES, **AWKWARD}.items():
            self.bucket.blob(f"by-hand/{path}").upload_from_string(data, "application/octet-stream")
        model = {
            "display_name": NAME,
            "description": MODEL_DESCRIPTION,
            "version_description": DESCRIPTION,
            "version_aliases": [ALIASES[0]],
            "artifact_uri": f"gs://{self.bucket.name}/by-hand",
            "pipeline_job": f"{self.parent}/pipelineJobs/{RUN}",
        }
        request = {"parent": self.parent, "model": model, "model_id": NAME}
        made = self.models.upload_model(request=request).result(timeout=10)
        evaluation = {"metrics_schema_uri": SCHEMA, "metrics": METRICS}
        version = f"{made.model}@{made.model_version_id}"
        self.models.import_model_evaluation(request={"parent": version, "model_evaluation": evaluation})
        record = {"params": PARAMS, "comment": COMMENT, "decision": APPROVED}
        artifact = {"display_name": NAME, "schema_title": "system.Artifact", "metadata": record}
        store = f"{self.parent}/metadataStores/default"
        self.metadata.create_artifact(request={"parent": store, "artifact": artifact, "artifact_id": "record-of-churn"})
        own = {"fed-stage": STAGE, "fed-approval": APPROVED, "fed-record": "record-of-churn"}
        self._label(version, {"team": "growth", **own})
        self._label(made.model, {"fed-m-domain": "retention"})
        return NAME, made.model_version_id

    def names(self) -> set[str]:
        found = self.models.list_models(request={"parent": self.parent})
        return {model.name.rpartition("/")[2].partition("@")[0] for model in found}

    def read(self, model: str, version: str) -> Found:
        found = self.models.get_model(request={"name": f"{self.parent}/models/{model}@{version}"})
        evaluations = self.models.list_model_evaluations(request={"parent": f"{self.parent}/models/{model}@{version}"})
        labels = dict(found.labels)
        record = self._record(labels["fed-record"]) if "fed-record" in labels else {}
        fields = flat(
            description=found.version_description,
            tags=without(labels, ["fed-"]),
            metrics={name: value for evaluation in evaluations for name, value in evaluation.metrics.items()},
            params=record.get("params", {}),
            provenance=_provenance(found, record.get("provenance")),
            stage=labels.get("fed-stage"),
            aliases={_unescape(alias): True for alias in found.version_aliases if alias != "default"},
            approval=labels.get("fed-approval"),
            approval_comment=record.get("comment") if record.get("decision") == labels.get("fed-approval") else None,
            model__description=found.description,
            model__tags=cut(labels, "fed-m-"),
        )
        aliases = {f"aliases.{_unescape(alias)}": alias for alias in found.version_aliases if alias != "default"}
        return Found(fields=fields, files=self._files(found.artifact_uri), spelled={"model": model, **aliases})

    def _label(self, name: str, labels: dict[str, str]) -> None:
        change = {"model": {"name": name, "labels": labels}, "update_mask": {"paths": ["labels"]}}
        self.models.update_model(request=change)

    def _record(self, artifact: str) -> dict[str, Any]:
        name = f"{self.parent}/metadataStores/default/artifacts/{artifact}"
        found = self.metadata.get_artifact(request={"name": name})
        content: dict[str, Any] = json_format.MessageToDict(type(found).pb(found).metadata)
        return content

    def _files(self, uri: str) -> dict[str, bytes]:
        prefix = uri.removeprefix(f"gs://{self.bucket.name}/") + "/"
        return {b.name.removeprefix(prefix): b.download_as_bytes() for b in self.bucket.list_blobs(prefix=prefix)}


def _unescape(alias: str) -> str:
    return re.sub(r"x--([0-9a-f]+)z", lambda found: chr(int(found.group(1), 16)), alias)


def _provenance(found: Any, recorded: dict[str, Any] | None) -> dict[str, Any]:
    own: dict[str, Any] = {"source_uri": found.artifact_uri, "created_at": found.version_create_time}
    if recorded is None:
        own["run_id"] = found.pipeline_job
    else:
        extra = recorded.pop("extra", {})
        moment = datetime.fromisoformat(recorded.pop("created_at"))
        own |= {**recorded, "created_at": moment, **{f"extra.{name}": value for name, value in extra.items()}}
    if "default" in found.version_aliases:
        own["extra.vertex_default"] = "true"
    return {name: value for name, value in own.items() if value}
