"""A Hub for tests: the stand-in behind a fault proxy, with huggingface_hub's HfApi straight at it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from aiohttp import web
from huggingface_hub import CommitOperationAdd, HfApi

from fedreg.domain.calls import Calls
from fedreg.domain.lineage import Relation
from fedreg.domain.models import Version
from fedreg.testing.backend import Action, Backend, Match, Pushed, Reply, Trouble, json_reply
from fedreg.testing.faults import FaultProxy
from fedreg_adapters.huggingface.adapter import HuggingFaceAdapter
from fedreg_adapters.huggingface.manifest import MANIFEST, HuggingFaceOptions
from fedreg_adapters.huggingface.standin import HUB, create_app
from fedreg_adapters.huggingface.standin_state import Entry, Repository

NAMESPACE = "acme"
TOKEN, READER, STRANGER = "hf_writerSecret", "hf_readerSecret", "hf_strangerSecret"
WEBHOOK_SECRET = "s3cr3t-of-the-webhook"
TOKENS = {
    TOKEN: {"user": "ann", "orgs": [NAMESPACE], "role": "write"},
    READER: {"user": "bob", "orgs": [NAMESPACE], "role": "read"},
    STRANGER: {"user": "eve", "orgs": [], "role": "write"},
}
REPO = rf"^/api/models/{NAMESPACE}/[^/]+"
REQUESTS = {
    Action.GET_MODEL: Match(method="GET", path=rf"{REPO}$"),
    Action.LIST_MODELS: Match(method="GET", path=r"^/api/models\?"),
    Action.LIST_VERSIONS: Match(method="GET", path=rf"{REPO}/refs$"),
    Action.GET_VERSION: Match(method="GET", path=rf"{REPO}/refs$"),
    Action.SCAN: Match(method="GET", path=r"^/api/models\?"),
    Action.CREATE_MODEL: Match(method="POST", path=r"^/api/repos/create$"),
    Action.CREATE_VERSION: Match(method="POST", path=rf"{REPO}/commit/main$"),
    Action.SET_STAGE: Match(method="POST", path=rf"{REPO}/branch/"),
    Action.SET_ALIAS: Match(method="POST", path=rf"{REPO}/branch/"),
    Action.PUT_FILE: Match(method="PUT", path=r"^/lfs/upload/"),
    Action.OPEN_FILE: Match(method="GET", path=r"^/cdn/"),
}
Result = TypeVar("Result")


class HubBackend(Backend):
    """A fresh stand-in per test."""

    manifest = MANIFEST
    secrets = (TOKEN, WEBHOOK_SECRET)
    big_file = 11 * 1024 * 1024 + 17

    def __init__(self, **standin: Any) -> None:
        self._app = create_app(tokens=TOKENS, **standin)
        self._runner = web.AppRunner(self._app, access_log=None)
        self.hub = self._app[HUB]

    async def start(self) -> None:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        self.proxy = FaultProxy(self.url)
        await self.proxy.start()
        self.faults = self.proxy
        self.api = HfApi(endpoint=self.url, token=TOKEN)

    async def aclose(self) -> None:
        await self.proxy.aclose()
        await self._runner.cleanup()

    def options(self, **changes: Any) -> HuggingFaceOptions:
        given = {
            "namespace": NAMESPACE,
            "token": TOKEN,
            "endpoint": self.proxy.url,
            "webhook_secret": WEBHOOK_SECRET,
            "timeout": 4.0,
        }
        return HuggingFaceOptions(**{**given, **changes})

    async def open_adapter(self, calls: Calls | None = None, **changes: Any) -> HuggingFaceAdapter:
        adapter = HuggingFaceAdapter(self.registry, self.options(**changes), calls or self.make_calls())
        await adapter.open()
        return adapter

    async def sdk(self, call: Callable[..., Result], *args: Any, **kwargs: Any) -> Result:
        """Run a call of the SDK beside the loop that serves it."""
        return await asyncio.to_thread(call, *args, **kwargs)

    def repo(self, model: str) -> Repository:
        return self.hub.repositories[f"{NAMESPACE}/{model}"]

    async def push(self, model: str, files: Mapping[str, bytes | str], title: str = "Pushed") -> str:
        """Commit files to main by the SDK; returns the commit."""
        given = {path: data.encode() if isinstance(data, str) else data for path, data in files.items()}
        operations = [CommitOperationAdd(path, data) for path, data in given.items()]
        made = await self.sdk(
            self.api.create_commit, f"{NAMESPACE}/{model}", operations=operations, commit_message=title
        )
        return str(made.oid)

    # -- faults ----------------------------------------------------------------------------------------

    def request_of(self, action: Action) -> Match:
        return REQUESTS[action]

    def reply(self, trouble: Trouble, action: Action) -> Reply:
        if trouble is Trouble.THROTTLED:
            return Reply(status=429, headers={"RateLimit": '"api";r=0;t=0', "RateLimit-Policy": '"api";q=1000;w=300'})
        said = {Trouble.EXPIRED: "Invalid credentials in Authorization header", Trouble.FORBIDDEN: f"not with {TOKEN}"}
        generic = super().reply(trouble, action)
        return replace(generic, headers={"X-Error-Message": said.get(trouble, "try later")})

    def nonsense(self, action: Action) -> Sequence[Reply]:
        inner = ["{}", '{"tags": 7, "branches": []}', '{"tags": [7], "branches": []}', '{"tags": [{}], "branches": []}']
        if action is Action.GET_MODEL:
            inner = ["{}", "[]", '{"id": 7}', '{"id": "elsewhere/model"}']
        elif action in (Action.LIST_MODELS, Action.SCAN):
            inner = ["{}", "[null]", "[{}]", '[{"id": 7}]']
        return [*super().nonsense(action), *map(json_reply, inner)]

    def looping_page(self, action: Action) -> Reply:
        body = "[]" if action in (Action.LIST_MODELS, Action.SCAN) else '{"branches": [], "tags": []}'
        return Reply(status=200, headers={"Link": '</api/models?cursor=again>; rel="next"'}, body=body)

    # -- bytes -----------------------------------------------------------------------------------------

    def entry(self, version: Version, path: str) -> Entry:
        return self.repo(version.model).commits[version.identity].files[path]

    async def tamper(self, version: Version, path: str) -> None:
        entry = self.entry(version, path)
        place, key = (self.hub.blobs, entry.oid) if entry.sha256 is None else (self.hub.objects, entry.sha256)
        data = bytearray(place[key])
        data[0] ^= 1
        place[key] = bytes(data)

    async def plant(self, version: Version, path: str) -> bool:
        repo = self.repo(version.model)
        commit = repo.commits[version.identity]
        repo.commits[version.identity] = replace(commit, files={**commit.files, path: self.hub.blob(b"planted")})
        return True

    # -- beyond ----------------------------------------------------------------------------------------

    async def seed_lineage(self, version: Version) -> Sequence[Relation]:
        """A model card beside the version's files, as somebody would have written it before tagging."""
        repo = self.repo(version.model)
        card = b"---\nbase_model: acme/base\nbase_model_relation: finetune\ndatasets: [acme/data]\n---\n# Card\n"
        commit = repo.commits[version.identity]
        repo.commits[version.identity] = replace(commit, files={**commit.files, "README.md": self.hub.blob(card)})
        return [Relation.PRODUCED_BY, Relation.USED, Relation.DERIVED_FROM]

    def message(self, version: Version, **changes: Any) -> bytes:
        """A webhook's body, version 3, after a tag was made."""
        tag = {"ref": f"refs/tags/{version.version}", "oldSha": None, "newSha": version.identity}
        place = f"{self.url}/{NAMESPACE}/{version.model}"
        content = {
            "event": {"action": "update", "scope": "repo.content"},
            "repo": {
                "type": "model",
                "name": f"{NAMESPACE}/{version.model}",
                "id": "621ffdc036468d709f17434d",
                "private": False,
                "url": {"web": place, "api": place},
                "headSha": version.identity,
                "owner": {"id": "628b753283ef59b5be89e937"},
            },
            "webhook": {"id": "6390e855e30d9209411de93b", "version": 3},
            "updatedRefs": [tag],
        }
        return json.dumps({**content, **changes}).encode()

    def pushed(self, version: Version) -> Pushed:
        headers = {"x-webhook-secret": WEBHOOK_SECRET}
        return Pushed(headers=headers, body=self.message(version), model=version.model, version=version.version)

    def forged(self, version: Version) -> Sequence[Pushed]:
        genuine = self.pushed(version)
        secrets = ({}, {"x-webhook-secret": ""}, {"x-webhook-secret": WEBHOOK_SECRET + "x"}, {"x-webhook-secret": "é"})
        return [replace(genuine, headers=headers) for headers in secrets]
