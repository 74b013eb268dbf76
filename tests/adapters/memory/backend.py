"""The memory registry as a conformance backend: faults are the in-process vendor's own mishaps."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from secrets import token_hex

from fedreg.domain.calls import Calls
from fedreg.domain.lineage import Relation
from fedreg.domain.models import Version
from fedreg.domain.port import RegistryAdapter
from fedreg.domain.stages import StageOptions
from fedreg.testing.backend import Action, Backend, Fault, FaultKind, Match, Pushed, Reply, Trouble
from fedreg_adapters.memory.adapter import MemoryAdapter
from fedreg_adapters.memory.manifest import MANIFEST, MemoryOptions
from fedreg_adapters.memory.mapping import NAMES
from fedreg_adapters.memory.standin import Vendor, drop_space, open_space, push
from fedreg_adapters.memory.standin_faults import Mishap, VendorError

SECRET = "hunter2-event-secret"
CALLS = {
    Action.GET_MODEL: "shelf.get",
    Action.LIST_MODELS: "shelf.list",
    Action.LIST_VERSIONS: "release.list",
    Action.GET_VERSION: "release.get",
    Action.SCAN: "shelf.list",
    Action.CREATE_MODEL: "shelf.create",
    Action.CREATE_VERSION: "release.publish",
    Action.SET_STAGE: "release.phase",
    Action.SET_ALIAS: "pointer.set",
    Action.SET_MODEL_TAGS: "shelf.label",
    Action.SET_VERSION_TAGS: "release.label",
    Action.SET_APPROVAL: "release.judge",
    Action.PUT_FILE: "blob.put",
    Action.OPEN_FILE: "blob.get",
}
CODES = {Trouble.THROTTLED: "busy", Trouble.UNAVAILABLE: "down", Trouble.EXPIRED: "expired"}


class VendorFaults:
    """The suite's faults as mishaps of a vendor. A status of 200 is an answer, any other one a refusal."""

    def __init__(self, vendor: Vendor) -> None:
        self._mishaps = vendor.mishaps

    def inject(self, fault: Fault) -> None:
        error, answer, what = None, None, fault.kind.value
        if fault.kind is FaultKind.STATUS and fault.status == 200:
            what, answer = "answer", json.loads(fault.body)
        elif fault.kind is FaultKind.STATUS:
            code, text = fault.body.split(" ", 1)
            what, error = "refuse", VendorError(code, text, wait=0.0)
        self._mishaps.planned.append(
            Mishap(
                what=what,
                call=fault.match.path,
                nth=fault.nth,
                times=fault.times,
                error=error,
                answer=answer,
                delay=fault.delay or 0.0,
                at=fault.at,
            )
        )

    def clear(self) -> None:
        self._mishaps.clear()

    @property
    def fired(self) -> int:
        return self._mishaps.fired

    async def release(self) -> int:
        return self._mishaps.release()


class MemoryBackend(Backend):
    manifest = MANIFEST
    secrets = (SECRET,)
    short_deadline = 0.02
    stages = StageOptions()

    def __init__(self) -> None:
        self.space = f"test-{token_hex(6)}"
        self.vendor = open_space(self.space)
        self.faults = VendorFaults(self.vendor)

    async def open_adapter(self, calls: Calls | None = None) -> RegistryAdapter:
        options = MemoryOptions(space=self.space, stages=self.stages, event_secret=SECRET)
        adapter = MemoryAdapter(self.registry, options, calls or self.make_calls())
        await adapter.open()
        return adapter

    def close(self) -> None:
        drop_space(self.space)

    def request_of(self, action: Action) -> Match:
        return Match(path=CALLS[action])

    def reply(self, trouble: Trouble, action: Action) -> Reply:
        return Reply(status=400, body=f"{CODES.get(trouble, 'not-allowed')} the token {SECRET} is no good")

    def nonsense(self, action: Action) -> Sequence[Reply]:
        """It is in the same process and hands over objects: there is nothing to misread."""
        return ()

    def looping_page(self, action: Action) -> Reply:
        after: int | str = 1 if action is Action.LIST_VERSIONS else "same"
        return Reply(status=200, body=json.dumps({"rows": [], "after": after}))

    def _release(self, version: Version) -> dict[str, object]:
        found: dict[str, object] = self.vendor.shelves[NAMES.encode(version.model)]["releases"][int(version.version)]
        return found

    async def tamper(self, version: Version, path: str) -> None:
        blobs = self._release(version)["blobs"]
        assert isinstance(blobs, dict)
        blobs[path] = bytes([blobs[path][0] ^ 1]) + blobs[path][1:]

    async def plant(self, version: Version, path: str) -> bool:
        blobs = self._release(version)["blobs"]
        assert isinstance(blobs, dict)
        blobs[path] = b"outside"
        return True

    async def place(self, files: Mapping[str, bytes]) -> str:
        upload = token_hex(8)
        self.vendor.uploads[upload] = dict(files)
        return f"memory:upload/{upload}"

    async def seed_lineage(self, version: Version) -> Sequence[Relation]:
        return [Relation.PRODUCED_BY]

    async def seed_deployment(self, version: Version) -> str:
        run = {"name": "endpoint-1", "kind": "endpoint", "status": "running", "since": 1_700_000_000_000}
        self._release(version)["runs"] = [run]
        return "endpoint-1"

    def pushed(self, version: Version) -> Pushed:
        return self._push(version, SECRET, time.time())

    def forged(self, version: Version) -> Sequence[Pushed]:
        return [self._push(version, "wrong", time.time()), self._push(version, SECRET, time.time() - 3600)]

    def _push(self, version: Version, secret: str, at: float) -> Pushed:
        shelf, number = NAMES.encode(version.model), int(version.version)
        headers, body = push(secret, shelf, number, "phase", at=at)
        return Pushed(headers=headers, body=body, model=version.model, version=version.version)
