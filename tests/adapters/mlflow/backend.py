"""The conformance suite's backend: a real MLflow server behind a fault proxy, `MlflowClient` for what goes past us."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput

from fedreg.domain.calls import Calls
from fedreg.domain.lineage import Relation
from fedreg.domain.models import Version
from fedreg.domain.port import RegistryAdapter
from fedreg.domain.stages import StageOptions
from fedreg.testing.backend import Action, Backend, FaultControl, Match, Pushed, Reply, Trouble, json_reply
from fedreg_adapters.mlflow.adapter import MlflowAdapter
from fedreg_adapters.mlflow.manifest import MANIFEST, MlflowOptions
from fedreg_adapters.mlflow.mapping import CODEC

from .server import MlflowServer

SECRET = "webhook-secret-2f1c"
TOKEN = "bearer-token-77aa"
_API = "/api/2.0/mlflow/"
_PATHS = {
    Action.GET_MODEL: ("GET", f"{_API}registered-models/get"),
    Action.LIST_MODELS: ("GET", f"{_API}registered-models/search"),
    Action.LIST_VERSIONS: ("GET", f"{_API}model-versions/search"),
    Action.GET_VERSION: ("GET", f"{_API}model-versions/get"),
    Action.SCAN: ("GET", f"{_API}registered-models/search"),
    Action.CREATE_MODEL: ("POST", f"{_API}registered-models/create"),
    Action.CREATE_VERSION: ("POST", f"{_API}model-versions/create"),
    Action.SET_STAGE: ("POST", f"{_API}(registered-models/alias|model-versions/(set-tag|transition-stage))"),
    Action.SET_ALIAS: ("POST", f"{_API}registered-models/alias"),
    Action.SET_MODEL_TAGS: ("POST", f"{_API}registered-models/set-tag"),
    Action.SET_VERSION_TAGS: ("POST", f"{_API}model-versions/set-tag"),
    Action.SET_APPROVAL: ("POST", f"{_API}model-versions/set-tag"),
    Action.PUT_FILE: ("PUT", "/mlflow-artifacts/artifacts/"),
    Action.OPEN_FILE: ("GET", "/mlflow-artifacts/artifacts/"),
}
_NO_MODELS = ("null", "7", "[]", "{}", '{"name": null}', '{"name": 7}')
_NO_LISTS = ("7", '"text"', "{}", "[7]", "[null]", "[{}]", '[{"name": 7}]')
_CODES = {
    Trouble.THROTTLED: (429, "REQUEST_LIMIT_EXCEEDED"),
    Trouble.UNAVAILABLE: (503, "TEMPORARILY_UNAVAILABLE"),
    Trouble.EXPIRED: (401, "UNAUTHENTICATED"),
    Trouble.FORBIDDEN: (403, "PERMISSION_DENIED"),
}


class MlflowBackend(Backend):
    manifest = MANIFEST
    secrets = (SECRET, TOKEN)
    deadline = 20.0
    short_deadline = 3.0

    def __init__(self, server: MlflowServer, url: str, faults: FaultControl, stages: StageOptions) -> None:
        self.server = server
        self.faults = faults
        self.client = MlflowClient(server.url, server.url)
        self._options = MlflowOptions(url=url, token=TOKEN, webhook_secret=SECRET, stages=stages)

    async def open_adapter(self, calls: Calls | None = None) -> RegistryAdapter:
        adapter = MlflowAdapter(self.registry, self._options, calls or self.make_calls())
        await adapter.open()
        return adapter

    def request_of(self, action: Action) -> Match:
        method, path = _PATHS[action]
        return Match(method=method, path=path)

    def reply(self, trouble: Trouble, action: Action) -> Reply:
        status, code = _CODES[trouble]
        headers = {"Content-Type": "application/json"}
        if trouble is Trouble.THROTTLED:
            headers["Retry-After"] = "0"
        return Reply(status=status, headers=headers, body=json.dumps({"error_code": code, "message": "not now"}))

    def looping_page(self, action: Action) -> Reply:
        body = json.dumps({"next_page_token": "bm8gZW5k"})
        return Reply(status=200, headers={"Content-Type": "application/json"}, body=body)

    def nonsense(self, action: Action) -> Sequence[Reply]:
        inner = {
            Action.GET_MODEL: [f'{{"registered_model": {text}}}' for text in _NO_MODELS],
            Action.GET_VERSION: [f'{{"model_version": {text}}}' for text in _NO_MODELS],
            Action.LIST_VERSIONS: [f'{{"model_versions": {text}}}' for text in _NO_LISTS],
        }.get(action, [f'{{"registered_models": {text}}}' for text in _NO_LISTS])
        return [*super().nonsense(action), *(json_reply(text) for text in inner)]

    async def tamper(self, version: Version, path: str) -> None:
        root = str(version.artifact_uri).removeprefix("mlflow-artifacts:/")
        stored = self.server.artifacts / root / path
        data = bytearray(stored.read_bytes())
        data[len(data) // 2] ^= 1
        stored.write_bytes(data)

    async def place(self, files: Mapping[str, bytes]) -> str:
        return await asyncio.to_thread(self._place, files)

    def _place(self, files: Mapping[str, bytes]) -> str:
        run = self.client.create_run("0")
        with TemporaryDirectory() as directory:
            for path, data in files.items():
                target = Path(directory, path)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data)
            self.client.log_artifacts(run.info.run_id, directory, "placed")
        return f"{run.info.artifact_uri}/placed"

    async def seed_lineage(self, version: Version) -> Sequence[Relation]:
        run_id = self._found(version).run_id
        dataset = Dataset(name="customers", digest="d1", source_type="local", source="file:/data/customers.csv")
        await asyncio.to_thread(self.client.log_inputs, run_id, [DatasetInput(dataset=dataset)])
        return [Relation.PRODUCED_BY, Relation.USED]

    def pushed(self, version: Version) -> Pushed:
        return self._message(version, SECRET, int(time.time()))

    def forged(self, version: Version) -> Sequence[Pushed]:
        now = int(time.time())
        return [self._message(version, "wrong", now), self._message(version, SECRET, now - 3600)]

    def _message(self, version: Version, secret: str, stamp: int) -> Pushed:
        data = {"name": CODEC.encode(version.model), "version": version.version, "key": "k", "value": "v"}
        message = {
            "entity": "model_version_tag",
            "action": "set",
            "timestamp": "2026-01-01T00:00:00+00:00",
            "data": data,
        }
        body = json.dumps(message).encode()
        signed = f"delivery-1.{stamp}.".encode() + body
        signature = base64.b64encode(hmac.new(secret.encode(), signed, hashlib.sha256).digest()).decode()
        headers = {
            "x-mlflow-signature": f"v1,{signature}",
            "x-mlflow-timestamp": str(stamp),
            "x-mlflow-delivery-id": "delivery-1",
        }
        return Pushed(headers=headers, body=body, model=version.model, version=version.version)

    def _found(self, version: Version) -> Any:
        return self.client.get_model_version(CODEC.encode(version.model), version.version)
