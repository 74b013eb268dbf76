"""Five registries that outlive a gateway which is killed, each with a history of what its stages were.

Three Hugging Face namespaces, a SageMaker with its S3 and a Vertex AI with its GCS: the stand-ins, in this process. A
history is taken at the vendor's side, after each request that writes; equal neighbours are one.
A request may be aimed at: when it comes, `kill` is called before it is carried out (and it is not), or after it (and
nobody gets the answer).
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import grpc
from aiohttp import web
from benchmarks.servers.http import Request
from benchmarks.servers.s3 import S3

from fedreg_adapters.huggingface import standin as huggingface
from fedreg_adapters.sagemaker import standin as sagemaker
from fedreg_adapters.vertex import standin as vertex
from fedreg_adapters.vertex.standin_gcs import BUCKETS

from .killed_promotion import MODEL

NAMESPACES = {"hub": "acme", "hub-eu": "acme-eu", "hub-us": "acme-us"}
NAMES = (*NAMESPACES, "sm-eu", "vertex-eu")
TOKEN, SECRET = "hf_writer", "sandbox"
READS = ("Describe", "List", "Search", "Get", "Query")
Stages = dict[str, str]


@dataclass
class Aim:
    """The `number`th request that writes, counted from 1, `before` or `after` it is carried out."""

    number: int
    when: str


@dataclass
class Members:
    """The five, running."""

    urls: dict[str, str] = field(default_factory=dict)
    histories: dict[str, list[Stages]] = field(default_factory=lambda: {name: [] for name in NAMES})
    writes: list[str] = field(default_factory=list)
    busy: int = 0
    aim: Aim | None = None
    kill: Callable[[], None] = lambda: None
    parts: list[Any] = field(default_factory=list)
    _looks: dict[str, Callable[[], Stages]] = field(default_factory=dict)
    _kept: Any = None

    def keep(self) -> None:
        """Remember everything as it is now."""
        self._kept = self._copy([vars(part) for part in self.parts])

    def restore(self) -> None:
        """Everything as it was kept, with histories that begin there."""
        for part, before in zip(self.parts, self._copy(self._kept), strict=True):
            vars(part).clear()
            vars(part).update(before)
        self.writes, self.aim = [], None
        self.histories = {name: [look()] for name, look in self._looks.items()}

    def state(self) -> dict[str, Stages]:
        """What each member has now."""
        return {name: look() for name, look in self._looks.items()}

    async def meet(self, name: str, carry_out: Callable[[], Awaitable[Any]]) -> Any:
        """Carry a writing request out, noted and perhaps cut off. None: it was not carried out."""
        self.busy += 1
        try:
            return await self._meet(name, carry_out)
        finally:
            self.busy -= 1

    async def _meet(self, name: str, carry_out: Callable[[], Awaitable[Any]]) -> Any:
        self.writes.append(name)
        aimed = self.aim if self.aim is not None and self.aim.number == len(self.writes) else None
        if aimed is not None and aimed.when == "before":
            self.kill()
            return None
        answer = await carry_out()
        for member, look in self._looks.items():
            if (now := look()) != self.histories[member][-1]:
                self.histories[member].append(now)
        if aimed is not None:
            self.kill()
        return answer

    def watch(self, name: str, look: Callable[[], Stages], *parts: Any) -> None:
        """Take a member's history with `look`; `parts` are the objects that hold its state."""
        self._looks[name] = look
        self.histories[name] = [look()]
        self.parts += [part for part in parts if not any(part is known for known in self.parts)]

    def _copy(self, things: Any) -> Any:
        return copy.deepcopy(things, {id(part): part for part in self.parts})


@asynccontextmanager
async def run_members() -> AsyncIterator[Members]:
    """Start them, empty."""
    members = Members()
    async with AsyncExitStack() as stack:
        await _start_hub(members, stack)
        await _start_sagemaker(members, stack)
        await _start_vertex(members, stack)
        yield members


def write_config(members: Members, home: Path, store: str) -> Path:
    """A configuration over all of them, with one link."""
    urls = members.urls
    text = f'store: {{url: "{store}", lease: 2}}\nregistries:\n'
    for name, namespace in NAMESPACES.items():
        text += f'  {name}: {{kind: huggingface, namespace: {namespace}, token: {TOKEN}, endpoint: "{urls["hub"]}"}}\n'
    text += (
        f'  sm-eu: {{kind: sagemaker, region: eu-west-1, artifact_root: "s3://models/fedreg",'
        f" inference: {{image: serve}}, access_key_id: {SECRET}, secret_access_key: {SECRET},"
        f' endpoint_url: "{urls["sm-eu"]}", sts_endpoint_url: "{urls["sm-eu"]}",'
        f' s3_endpoint_url: "{urls["s3"]}"}}\n'
    )
    text += (
        f'  vertex-eu: {{kind: vertex, project: acme, location: europe-west4, artifact_root: "gs://models/fedreg",'
        f' endpoint: "{urls["vertex-eu"]}", gcs_endpoint: "{urls["gcs"]}", insecure: true, image: serve}}\n'
    )
    refs = ", ".join(f'"{name}:{MODEL}"' for name in NAMES)
    text += f"links:\n  churn: {{members: [{refs}], authority: hub, on_missing: copy, allow_lossy: ['*']}}\n"
    config = home / "fedreg.yaml"
    config.write_text(text)
    return config


async def _start_hub(members: Members, stack: AsyncExitStack) -> None:
    writer = {"user": "ana", "orgs": list(NAMESPACES.values()), "role": "write"}
    app = huggingface.create_app(tokens={TOKEN: writer})
    hub = app[huggingface.HUB]
    app.middlewares.insert(0, _watching(members, "hub", _writes_http))
    members.urls["hub"] = await _serve(app, stack)

    def look(namespace: str) -> Stages:
        repo = hub.repositories.get(f"{namespace}/{MODEL}")
        if repo is None:
            return {}
        held = {commit: name for name, commit in repo.branches.items() if name in ("production", "archived")}
        return {version: held.get(commit, "none") for version, commit in repo.tags.items()}

    for name, namespace in NAMESPACES.items():
        members.watch(name, partial(look, namespace), hub)


async def _start_sagemaker(members: Members, stack: AsyncExitStack) -> None:
    s3 = S3()
    members.urls["s3"] = await _serve(_s3_app(members, s3), stack)
    app = sagemaker.create_app()
    state = app[sagemaker.STATE]
    app.middlewares.append(_watching(members, "sm-eu", _writes_sagemaker))
    members.urls["sm-eu"] = await _serve(app, stack)

    def look() -> Stages:
        documents = [package.document for package in state.packages.values()]
        held = {str(each["ModelPackageVersion"]): each.get("ModelLifeCycle", {}) for each in documents}
        return {version: life.get("Stage", "none").lower() for version, life in held.items()}

    members.watch("sm-eu", look, state, s3)


async def _start_vertex(members: Members, stack: AsyncExitStack) -> None:
    app = vertex.create_app()
    standin = app[vertex.STANDIN]
    answer = standin._answer

    async def watched(path: str, method: Callable[[Any], Any], request: Any, context: Any) -> Any:
        call = path.rpartition("/")[2]
        if call.startswith(READS):
            return await answer(path, method, request, context)
        met = await members.meet(f"vertex-eu {call}", lambda: answer(path, method, request, context))
        return met if met is not None else await context.abort(grpc.StatusCode.UNAVAILABLE, "gone")

    standin._answer = watched  # type: ignore[method-assign]
    app.middlewares.append(_watching(members, "gcs", _writes_http))
    members.urls["gcs"] = await _serve(app, stack)
    members.urls["vertex-eu"] = standin.address

    def look() -> Stages:
        rows = [row for model in standin.state.models.values() for row in model.versions.values()]
        return {str(row.number): row.labels.get("fed-stage", "none") for row in rows}

    members.watch("vertex-eu", look, standin.state, standin.metadata, standin.models, app[BUCKETS])


def _s3_app(members: Members, s3: S3) -> web.Application:
    async def answer(request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = bytearray(await request.read())
        given = s3.answer(Request(request.method, request.path, dict(request.query), headers, body))
        return web.Response(status=given.status, headers=dict(given.headers), body=b"".join(map(bytes, given.body)))

    app = web.Application(client_max_size=1 << 30, middlewares=[_watching(members, "s3", _writes_http)])
    app.router.add_route("*", "/{path:.*}", answer)
    return app


def _watching(members: Members, name: str, writes: Callable[[web.Request], str | None]) -> Any:
    @web.middleware
    async def watch(request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> Any:
        call = writes(request)
        if call is None:
            return await handler(request)
        answer = await members.meet(f"{name} {call}", lambda: handler(request))
        return answer if answer is not None else web.Response(status=503)

    return watch


def _writes_http(request: web.Request) -> str | None:
    reads = request.method in ("GET", "HEAD") or request.path.endswith(("/paths-info", "/preupload", "/batch"))
    return None if reads else f"{request.method} {request.path}"


def _writes_sagemaker(request: web.Request) -> str | None:
    call = request.headers.get("X-Amz-Target", "").rpartition(".")[2]
    return None if not call or call.startswith(READS) else call


async def _serve(app: web.Application, stack: AsyncExitStack) -> str:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return f"http://127.0.0.1:{runner.addresses[0][1]}"


def steps_of(history: Sequence[Stages]) -> Counter[str]:
    """How often a history has each change of one version: `2: none -> production`."""
    found: Counter[str] = Counter()
    for before, now in pairwise(history):
        for version in sorted({*before, *now}):
            was, is_now = before.get(version, "absent"), now.get(version, "absent")
            found[f"{version}: {was} -> {is_now}"] += was != is_now
    return +found
