"""MLflow through MlflowClient."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts

from .facts import (
    ALIASES,
    APPROVED,
    CARD,
    COMMENT,
    COMMIT,
    DESCRIPTION,
    FILES,
    METRICS,
    MODEL_DESCRIPTION,
    MODEL_TAGS,
    NAME,
    PARAMS,
    REPOSITORY,
    STAGE,
    TAGS,
    Found,
    Vendor,
    cut,
    flat,
    without,
)

GIT = {"git_commit": "mlflow.source.git.commit", "git_repository": "mlflow.source.git.repoURL"}


class Mlflow(Vendor):
    title: ClassVar[str] = "MLflow"
    places: ClassVar[Mapping[str, str]] = {
        "description": "description of the version",
        "tags": "tags of the version",
        "metrics": "metrics of its run; tag `metrics` of `fedreg.*` for those a run refuses",
        "params": "parameters of its run; tag `params` of `fedreg.*` for those a run refuses",
        "provenance": "tags `fedreg.source.*`; the git tags of its run",
        "stage": "an alias of the stage's name",
        "aliases": "aliases",
        "approval": "tags `fedreg.approval*`",
        "model.description": "description of the registered model",
        "model.tags": "tags of the registered model",
        "files": "artifacts of its run",
    }

    def __init__(self, url: str) -> None:
        self.url, self.client = url, MlflowClient(url, url)

    def seed(self) -> tuple[str, str]:
        self.client.create_registered_model(NAME, dict(MODEL_TAGS), MODEL_DESCRIPTION)
        metrics = {**METRICS, "noise": float("nan")}
        decision = {"fedreg.approval": APPROVED, "fedreg.approval_comment": COMMENT}
        files = {**FILES, "README.md": CARD.encode()}
        version = self.make_version(NAME, files, {**TAGS, **decision}, metrics, PARAMS, DESCRIPTION)
        for alias in (STAGE, *ALIASES):
            self.client.set_registered_model_alias(NAME, alias, version)
        return NAME, version

    def make_version(
        self,
        model: str,
        files: Mapping[str, bytes],
        tags: Mapping[str, str],
        metrics: Mapping[str, float],
        params: Mapping[str, str],
        description: str | None = None,
    ) -> str:
        """A version out of a run; the model is there."""
        run = self.client.create_run("0", tags={GIT["git_commit"]: COMMIT, GIT["git_repository"]: REPOSITORY})
        for name, value in metrics.items():
            self.client.log_metric(run.info.run_id, name, value)
        for name, text in params.items():
            self.client.log_param(run.info.run_id, name, text)
        with TemporaryDirectory() as directory:
            place_files(files, Path(directory))
            self.client.log_artifacts(run.info.run_id, directory, "model")
        source = f"{run.info.artifact_uri}/model"
        made = self.client.create_model_version(model, source, run.info.run_id, dict(tags), description=description)
        return str(made.version)

    def names(self) -> set[str]:
        return {model.name for model in self.client.search_registered_models(max_results=1000)}

    def read(self, model: str, version: str) -> Found:
        holder = self.client.get_registered_model(model)
        found = self.client.get_model_version(model, version)
        run = self.client.get_run(found.run_id) if found.run_id else None
        stored = json.loads(found.tags.get("fedreg.paths", "{}"))
        files = {stored.get(path, path): data for path, data in self.files(model, version).items()}
        fields = flat(
            description=found.description,
            tags=without(found.tags, ["fedreg."]),
            metrics={**(run.data.metrics if run else {}), **json.loads(found.tags.get("fedreg.metrics", "{}"))},
            params={**(run.data.params if run else {}), **json.loads(found.tags.get("fedreg.params", "{}"))},
            provenance=_provenance(found, run),
            stage=next((alias for alias in found.aliases if alias in (STAGE, "staging")), None),
            aliases={alias: True for alias in found.aliases if alias not in (STAGE, "staging")},
            approval=found.tags.get("fedreg.approval"),
            approval_comment=found.tags.get("fedreg.approval_comment"),
            model__description=holder.description,
            model__tags=without(holder.tags, ["fedreg."]),
        )
        spelled = {f"files.{path}": name for name, path in stored.items()}
        return Found(fields=fields, files=files, spelled={"model": model, **spelled})

    def files(self, model: str, version: str) -> dict[str, bytes]:
        """The files under the names they are stored by."""
        uri = self.client.get_model_version_download_uri(model, version)
        with TemporaryDirectory() as directory:
            download_artifacts(artifact_uri=uri, dst_path=directory, tracking_uri=self.url)
            root = Path(directory) / "model"
            return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def place_files(files: Mapping[str, bytes], root: Path) -> None:
    for path, data in files.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


def _provenance(found: Any, run: Any) -> dict[str, Any]:
    held = cut(found.tags, "fedreg.source.")
    extra = json.loads(held.pop("extra", "{}"))
    created = held.pop("created_at", None)
    moment = (
        datetime.fromisoformat(created) if created else datetime.fromtimestamp(found.creation_timestamp / 1000, UTC)
    )
    git = {name: run.data.tags[key] for name, key in GIT.items() if run and key in run.data.tags}
    own = {"source_uri": found.source, **git}
    if "copied_from" not in extra:  # else run and user are the copy's
        own |= {"run_id": found.run_id, "created_by": found.user_id}
    known = {**{name: value for name, value in own.items() if value}, **held, "created_at": moment}
    return known | {f"extra.{name}": value for name, value in extra.items()}
