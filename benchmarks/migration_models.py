"""The models that are migrated, made and read back through MLflow's REST API, past fedreg and past its client."""

from __future__ import annotations

import asyncio
import hashlib
import json
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from benchmarks.processes import BenchmarkFailed

VERSIONS = 3
AT_ONCE = 8
ARTIFACTS = "api/2.0/mlflow-artifacts/artifacts"
FOLDER = "model"
# What a small scikit-learn model leaves behind: path -> bytes.
FILES = {
    "MLmodel": 700,
    "conda.yaml": 220,
    "model.pkl": 20_000,
    "python_env.yaml": 120,
    "requirements.txt": 110,
}


@dataclass(frozen=True)
class Held:
    """What must arrive of one version. `digest` covers the paths and bytes of its files."""

    digest: str
    description: str
    team: str
    metrics: Mapping[str, float]
    params: Mapping[str, str]
    aliases: tuple[str, ...]


async def make_models(url: str, count: int) -> None:
    """So many models of three versions, each with a run and the files above; the last one is `champion`."""
    async with aiohttp.ClientSession() as session:
        server = _Server(session, url)
        await asyncio.gather(*(_make_model(server, f"model-{number:02}") for number in range(count)))


async def read_models(url: str, prefix: str) -> dict[str, dict[int, Held]]:
    """Model (without the prefix) -> number -> what is held of it. A version of any status but READY is left out."""
    async with aiohttp.ClientSession() as session:
        server = _Server(session, url)
        listed = await server.call("GET", "registered-models/search", params={"max_results": "1000"})
        mine = [model for model in listed.get("registered_models", []) if model["name"].startswith(prefix)]
        held = await asyncio.gather(*(_read_model(server, model) for model in mine))
    return {model["name"].removeprefix(prefix): found for model, found in zip(mine, held, strict=True)}


class _Server:
    """One server's REST API, a few requests at once."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session, self._url = session, url
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def call(self, method: str, path: str, **what: Any) -> Any:
        return json.loads(await self.send(method, f"api/2.0/mlflow/{path}", **what))

    async def send(self, method: str, path: str, **what: Any) -> bytes:
        async with self._turns, self._session.request(method, f"{self._url}/{path}", **what) as answer:
            content = await answer.read()
            if answer.status != 200:
                raise BenchmarkFailed(f"{method} {path}: {answer.status} {content[:200]!r}")
            return content


async def _make_model(server: _Server, name: str) -> None:
    await server.call("POST", "registered-models/create", json={"name": name, "description": f"about {name}"})
    for number in range(1, VERSIONS + 1):
        made = await server.call("POST", "runs/create", json={"experiment_id": "0", "start_time": 1_700_000_000_000})
        run = made["run"]["info"]
        logged = {
            "run_id": run["run_id"],
            "metrics": [{"key": "accuracy", "value": number / 10, "timestamp": 1, "step": 0}],
            "params": [{"key": "depth", "value": str(number)}],
        }
        await server.call("POST", "runs/log-batch", json=logged)
        root = f"{run['artifact_uri'].removeprefix('mlflow-artifacts:/')}/{FOLDER}"
        for path, size in FILES.items():
            seed = f"{name} {number} {path}\n".encode()
            await server.send("PUT", f"{ARTIFACTS}/{root}/{path}", data=(seed * (size // len(seed) + 1))[:size])
        version = {
            "name": name,
            "source": f"{run['artifact_uri']}/{FOLDER}",
            "run_id": run["run_id"],
            "description": f"{name} {number}",
            "tags": [{"key": "team", "value": "growth"}],
        }
        await server.call("POST", "model-versions/create", json=version)
    champion = {"name": name, "alias": "champion", "version": str(VERSIONS)}
    await server.call("POST", "registered-models/alias", json=champion)


async def _read_model(server: _Server, model: Mapping[str, Any]) -> dict[int, Held]:
    search = {"filter": f"name = '{model['name']}'", "max_results": "1000"}
    answer = await server.call("GET", "model-versions/search", params=search)
    aliases = {(item["alias"], int(item["version"])) for item in model.get("aliases", [])}
    ready = [version for version in answer.get("model_versions", []) if version["status"] == "READY"]
    return {int(version["version"]): await _read_version(server, version, aliases) for version in ready}


async def _read_version(server: _Server, version: Mapping[str, Any], aliases: set[tuple[str, int]]) -> Held:
    run = (await server.call("GET", "runs/get", params={"run_id": version["run_id"]}))["run"]["data"]
    files = await _read_files(server, version["source"].removeprefix("mlflow-artifacts:/"))
    return Held(
        digest=hashlib.sha256(json.dumps(sorted(files.items())).encode()).hexdigest(),
        description=version.get("description", ""),
        team={tag["key"]: tag["value"] for tag in version.get("tags", [])}.get("team", ""),
        metrics={metric["key"]: metric["value"] for metric in run.get("metrics", [])},
        params={param["key"]: param["value"] for param in run.get("params", [])},
        aliases=tuple(sorted(alias for alias, number in aliases if number == int(version["version"]))),
    )


async def _read_files(server: _Server, root: str, folder: str = "") -> dict[str, str]:
    """Path -> sha256 of everything below a folder, without what a copy of fedreg writes beside it."""
    listed = json.loads(await server.send("GET", ARTIFACTS, params={"path": posixpath.join(root, folder)}))
    found: dict[str, str] = {}
    for item in listed.get("files", []):
        path = posixpath.join(folder, item["path"])
        if path == ".fedreg":
            continue
        if item.get("is_dir"):
            found |= await _read_files(server, root, path)
        else:
            content = await server.send("GET", f"{ARTIFACTS}/{root}/{path}")
            found[path] = hashlib.sha256(content).hexdigest()
    return found
