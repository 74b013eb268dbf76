"""Models made at a real MLflow server as teams leave them, through its REST API and past our adapter.

A model has holes in its numbers, aliases (`champion` holds production in the sandbox), descriptions and tags; one
version of three has no run; files have Unicode paths, and one is empty.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import aiohttp

FILES = {
    "MLmodel": b"flavors: {}\n",
    "daten/größe ✓.bin": b"\x00\x01" * 700,
    "empty": b"",
    "deep/er/weights.bin": b"w" * 3000,
}
AT_ONCE = 8
HOLES = (1, 4)  # of every five versions that are made, these are deleted again: 2, 3 and 5 stay


class Mlflow:
    """The REST API of one server."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session, self._url = session, url
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def call(self, path: str, body: Mapping[str, Any], method: str = "POST") -> Any:
        async with self._turns, self._session.request(method, f"{self._url}/api/2.0/mlflow/{path}", json=body) as reply:
            assert reply.status == 200, await reply.text()
            return await reply.json()

    async def put(self, place: str, content: bytes) -> None:
        url = f"{self._url}/api/2.0/mlflow-artifacts/artifacts/{quote(place)}"
        async with self._turns, self._session.put(url, data=content) as reply:
            assert reply.status == 200, await reply.text()

    async def make_version(self, model: str, number: int, files: Mapping[str, bytes], *, run: bool) -> None:
        """One version, whose number the server gives."""
        fields, root = await (self._make_run(number) if run else self._log_model())
        place = root.removeprefix("mlflow-artifacts:/")
        await asyncio.gather(*(self.put(f"{place}/{path}", content) for path, content in files.items()))
        body = {
            "name": model,
            **fields,
            "description": f"{model} {number}: größer",
            "tags": [{"key": "team", "value": "growth"}, {"key": "number", "value": str(number)}],
        }
        await self.call("model-versions/create", body)

    async def _make_run(self, number: int) -> tuple[dict[str, str], str]:
        made = await self.call("runs/create", {"experiment_id": "0", "start_time": 1_600_000_000_000})
        info = made["run"]["info"]
        metrics = [{"key": "accuracy", "value": number / 10, "timestamp": 1, "step": 0}]
        await self.call("runs/log-batch", {"run_id": info["run_id"], "metrics": metrics})
        source = f"{info['artifact_uri']}/model"
        return {"source": source, "run_id": info["run_id"]}, source

    async def _log_model(self) -> tuple[dict[str, str], str]:
        """MLflow 3's own way to have no run: a logged model, whose files lie outside of any."""
        info = (await self.call("logged-models", {"experiment_id": "0"}))["model"]["info"]
        model_id = info["model_id"]
        await self.call(f"logged-models/{model_id}", {"model_id": model_id, "status": "LOGGED_MODEL_READY"}, "PATCH")
        return {"source": f"models:/{model_id}", "model_id": model_id}, info["artifact_uri"]

    async def make_model(self, model: str) -> None:
        """Versions 2, 3 and 5: 3 without a run, 5 in production, 2 called `fallback`."""
        await self.call("registered-models/create", {"name": model, "description": f"about {model}"})
        for number in range(1, 6):
            files = {**FILES, "number.txt": f"{model} {number}".encode()}
            await self.make_version(model, number, files, run=number != 3)
        for hole in HOLES:
            await self.call("model-versions/delete", {"name": model, "version": str(hole)}, "DELETE")
        for alias, version in (("champion", "5"), ("fallback", "2")):
            await self.call("registered-models/alias", {"name": model, "alias": alias, "version": version})


async def make_models(url: str, prefix: str, count: int) -> list[str]:
    """So many models of three versions; their names."""
    names = [f"{prefix}-{number:02}" for number in range(count)]
    async with aiohttp.ClientSession() as session:
        server = Mlflow(session, url)
        await asyncio.gather(*(server.make_model(name) for name in names))
    return names


def small_files(model: str, number: int) -> dict[str, bytes]:
    """The files of one of many versions: no two are the same."""
    return {"MLmodel": b"flavors: {}\n", "model.bin": f"{model} {number}".encode() * 20}


async def make_small_versions(url: str, prefix: str, models: int, versions: int) -> None:
    """Models of many versions with two small files each, without runs."""

    async def make(server: Mlflow, name: str) -> None:
        await server.call("registered-models/create", {"name": name})
        for number in range(1, versions + 1):
            await server.make_version(name, number, small_files(name, number), run=False)

    async with aiohttp.ClientSession() as session:
        server = Mlflow(session, url)
        await asyncio.gather(*(make(server, f"{prefix}-{number:03}") for number in range(models)))
