"""Migrates with MlflowClient alone, as one writes it in an afternoon: a loop, one version after the other.

It carries what fedreg carries: files, texts, tags, metrics, parameters, aliases and the origin. It reads nothing back.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion, RegisteredModel

from benchmarks.workers.tasks import answer_tasks


def migrate(source: MlflowClient, target: MlflowClient, prefix: str) -> int:
    """Move every model, under a name with the prefix; returns how many versions were moved."""
    moved = 0
    for model in source.search_registered_models(max_results=1000):
        name = prefix + model.name
        target.create_registered_model(name, tags=model.tags, description=model.description)
        versions = source.search_model_versions(f"name = '{model.name}'", max_results=1000)
        for version in sorted(versions, key=lambda found: int(found.version)):
            number = _migrate_version(source, target, name, version)
            _set_aliases(target, name, model, version, number)
            moved += 1
    return moved


def _migrate_version(source: MlflowClient, target: MlflowClient, name: str, version: ModelVersion) -> str:
    assert version.run_id is not None
    old = source.get_run(version.run_id)
    run = target.create_run("0", tags={"source_run": version.run_id})
    for metric, measured in old.data.metrics.items():
        target.log_metric(run.info.run_id, metric, measured)
    for param, given in old.data.params.items():
        target.log_param(run.info.run_id, param, given)
    with tempfile.TemporaryDirectory() as directory:
        uri = source.get_model_version_download_uri(version.name, version.version)
        local = mlflow.artifacts.download_artifacts(
            artifact_uri=uri, dst_path=directory, tracking_uri=source.tracking_uri
        )
        target.log_artifacts(run.info.run_id, local, "model")
    target.set_terminated(run.info.run_id)
    made = target.create_model_version(
        name,
        f"{run.info.artifact_uri}/model",
        run.info.run_id,
        tags={**version.tags, "source": f"{version.name}/{version.version}"},
        description=version.description,
    )
    return str(made.version)


def _set_aliases(target: MlflowClient, name: str, model: RegisteredModel, version: ModelVersion, number: str) -> None:
    for alias, holder in model.aliases.items():
        if str(holder) == str(version.version):
            target.set_registered_model_alias(name, alias, number)


async def main() -> None:
    """Serve tasks `{prefix}`; an answer holds the seconds and how many versions were moved."""
    parser = argparse.ArgumentParser()
    for name in ("source", "target"):
        parser.add_argument(f"--{name}", required=True)
    given = parser.parse_args()
    source, target = MlflowClient(given.source), MlflowClient(given.target)

    async def run(task: dict[str, Any]) -> dict[str, Any]:
        started, used = time.perf_counter(), time.process_time()
        moved = await asyncio.to_thread(migrate, source, target, task["prefix"])
        return {"seconds": time.perf_counter() - started, "cpu": time.process_time() - used, "moved": moved}

    await answer_tasks(run)


if __name__ == "__main__":
    asyncio.run(main())
