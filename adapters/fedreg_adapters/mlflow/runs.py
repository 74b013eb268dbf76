"""The runs that uploads go into: one of each key, in one experiment."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from fedreg.domain.calls import Effect
from fedreg.domain.errors import AlreadyExists, Conflict, InvalidRequest, NotFound
from fedreg.domain.models import VersionDraft
from fedreg_adapters.mlflow import mapping
from fedreg_adapters.mlflow.client import Client, Json
from fedreg_adapters.mlflow.mapping import KEY_TAG

# mlflow.utils.validation: MAX_METRICS_PER_BATCH, MAX_PARAMS_TAGS_PER_BATCH, MAX_ENTITIES_PER_BATCH.
_AT_ONCE = {"metrics": 800, "params": 100, "tags": 100}


@dataclass(frozen=True, slots=True)
class Runs:
    """The runs of one registry's uploads. Returned as MLflow's JSON."""

    client: Client
    experiment: str
    _experiments: dict[str, str] = field(default_factory=dict)  # name -> id

    async def get_or_create(self, draft: VersionDraft, key: str) -> Json:
        """The run of this key, found or made. Conflict where its experiment is deleted."""
        experiment_id = await self._experiment_id()
        try:
            return await self._find_run(experiment_id, key) or await self._create_run(experiment_id, draft, key)
        except (NotFound, InvalidRequest, Conflict):
            self._experiments.clear()
            await self._experiment_id()  # the better error, where it was deleted since
            raise

    async def _experiment_id(self) -> str:
        if self.experiment not in self._experiments:
            self._experiments[self.experiment] = await self._make_experiment()
        return self._experiments[self.experiment]

    async def _make_experiment(self) -> str:
        found = await self._find_experiment()
        if found is None:
            try:
                body = {"name": self.experiment}
                return str((await self.client.write("begin_upload", "experiments/create", body))["experiment_id"])
            except AlreadyExists:  # by somebody else, meanwhile
                found = await self._find_experiment()
        if found is None or found.get("lifecycle_stage") == "deleted":
            raise Conflict(
                f"experiment {self.experiment!r} is deleted",
                registry=self.client.registry,
                cure="restore it in MLflow, or set `experiment` to another name",
            )
        return str(found["experiment_id"])

    async def _find_experiment(self) -> Json | None:
        try:
            query = {"experiment_name": self.experiment}
            found: Json = (await self.client.get("begin_upload", "experiments/get-by-name", query))["experiment"]
            return found
        except NotFound:
            return None

    async def _find_run(self, experiment_id: str, key: str) -> Json | None:
        """The oldest run of this key: one choice for everybody, whatever came through twice."""
        runs = await self._runs_of(experiment_id, key)
        return min(runs, key=lambda run: (int(run["info"].get("start_time") or 0), run["info"]["run_id"]), default=None)

    async def _runs_of(self, experiment_id: str, key: str) -> list[Json]:
        body = {
            "experiment_ids": [experiment_id],
            "filter": f"tags.`{KEY_TAG}` = '{mapping.key_tag_value(key)}'",
            "max_results": 100,
        }
        answer = await self.client.write("begin_upload", "runs/search", body, effect=Effect.READ)
        return list(answer.get("runs", []))

    async def _create_run(self, experiment_id: str, draft: VersionDraft, key: str) -> Json:
        tags = {KEY_TAG: mapping.key_tag_value(key), "fedreg.model": draft.model[:5000]}
        body = {
            "experiment_id": experiment_id,
            "run_name": f"upload of {draft.model}"[:250],
            "start_time": int(time.time() * 1000),
            "tags": mapping.to_tag_list(tags),
        }
        run: Json = (await self.client.write("begin_upload", "runs/create", body))["run"]
        return run

    async def log(self, data: Mapping[str, Any]) -> Json:
        """Metrics, parameters and git tags into the run, then end it; what was logged, as a run shows it.

        Safe to repeat: same values, same time.
        """
        run_id, at = data["run_id"], data["started"]
        logged: Json = {
            "metrics": [
                {"key": key, "value": value, "timestamp": at, "step": 0} for key, value in data["metrics"].items()
            ],
            "params": [{"key": key, "value": value} for key, value in data["params"].items()],
            "tags": mapping.to_tag_list(data["run_tags"]),
        }
        for batch in _batches(logged):
            await self.client.write("finish", "runs/log-batch", {"run_id": run_id, **batch}, effect=Effect.IDEMPOTENT)
        end = {"run_id": run_id, "status": "FINISHED", "end_time": int(time.time() * 1000)}
        await self.client.write("finish", "runs/update", end, effect=Effect.IDEMPOTENT)
        return logged

    async def delete(self, run_id: str) -> None:
        try:
            await self.client.write("abort", "runs/delete", {"run_id": run_id}, effect=Effect.IDEMPOTENT)
        except (NotFound, InvalidRequest, Conflict):  # gone, or deleted before
            return


def _batches(logged: Json) -> Iterator[Json]:
    """Everything in as few requests as MLflow's limits allow: most often one, or none."""
    for turn in range(max(-(-len(logged[name]) // size) for name, size in _AT_ONCE.items())):
        yield {name: logged[name][turn * size : (turn + 1) * size] for name, size in _AT_ONCE.items()}
