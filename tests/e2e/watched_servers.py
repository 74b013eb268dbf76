"""The servers of the watched members, one of each kind: a real MLflow server, and the stand-ins in this process."""

from __future__ import annotations

import shutil
import sqlite3
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from functools import partial
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import aiohttp
import grpc
from aiohttp import web
from benchmarks.servers.http import Request
from benchmarks.servers.s3 import S3

from fedreg.sandbox.sandbox import Sandbox
from fedreg.sandbox.servers import RESOURCE_GROUP, SUBSCRIPTION, WORKSPACE, make_certificate
from fedreg.testing.faults import cut, forwarded
from fedreg_adapters.azureml import standin as azureml
from fedreg_adapters.huggingface import standin as huggingface
from fedreg_adapters.sagemaker import standin as sagemaker
from fedreg_adapters.vertex import standin as vertex
from fedreg_adapters.vertex.standin_gcs import BUCKETS

from .gateways import READING
from .killed_promotion import MODEL
from .watched_members import Members, Parts, Stages

NAMES = ("hub", "mlflow", "azure-ws", "sm-eu", "vertex-eu")
NAMESPACE, TOKEN, SECRET = "acme", "hf_writer", "sandbox"
READS = ("Describe", "List", "Search", "Get", "Query")
RPC_REFUSALS = {"gone": grpc.StatusCode.UNAVAILABLE, "busy": grpc.StatusCode.RESOURCE_EXHAUSTED}
Server = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def run_members(sandbox: Sandbox, home: Path) -> AsyncIterator[Members]:
    """Start them, without the model. The MLflow server is the sandbox's; it is left as it was."""
    members = Members()
    async with AsyncExitStack() as stack:
        await _start_hub(members, stack)
        await _start_mlflow(members, stack, sandbox, home)
        await _start_azureml(members, stack, home)
        await _start_sagemaker(members, stack)
        await _start_vertex(members, stack)
        before = members.keep()
        yield members
        members.restore(before)


def write_config(members: Members, home: Path, store: str, name: str = "fedreg") -> Path:
    """A configuration over all of them, with one link."""
    urls = members.urls
    workspace = f"subscription: {SUBSCRIPTION}, resource_group: {RESOURCE_GROUP}, workspace: {WORKSPACE}"
    keys = f"access_key_id: {SECRET}, secret_access_key: {SECRET}"
    refs = ", ".join(f'"{each}:{MODEL}"' for each in NAMES)
    config = home / f"{name}.yaml"
    config.write_text(
        f"""\
store: {{url: "{store}", lease: 2}}
registries:
  hub: {{kind: huggingface, namespace: {NAMESPACE}, token: {TOKEN}, endpoint: "{urls["hub"]}"}}
  mlflow: {{kind: mlflow, url: "{urls["mlflow"]}"}}
  azure-ws: {{kind: azureml, {workspace}, token: {SECRET}, endpoint: "{urls["azure-ws"]}",
    blob_endpoint: "{urls["blob"]}/{{account}}", ca_bundle: "{urls["ca"]}"}}
  sm-eu: {{kind: sagemaker, region: eu-west-1, artifact_root: "s3://models/fedreg", inference: {{image: serve}}, {keys},
    endpoint_url: "{urls["sm-eu"]}", sts_endpoint_url: "{urls["sm-eu"]}", s3_endpoint_url: "{urls["s3"]}"}}
  vertex-eu: {{kind: vertex, project: acme, location: europe-west4, artifact_root: "gs://models/fedreg",
    endpoint: "{urls["vertex-eu"]}", gcs_endpoint: "{urls["gcs"]}", insecure: true, image: serve}}
links:
  model: {{members: [{refs}], authority: hub, on_missing: copy, allow_lossy: ['*']}}
"""
    )
    return config


class MlflowFiles:
    """The state of an MLflow server: its database, and the folder of its artifacts. Copies are kept below `home`."""

    def __init__(self, directory: Path, home: Path) -> None:
        self._live, self._home = directory, home

    def keep(self) -> Path:
        kept = Path(mkdtemp(prefix="mlflow-", dir=self._home))
        self._copy(self._live, kept)
        return kept

    def restore(self, kept: Path) -> None:
        self._copy(kept, self._live)

    def look(self) -> Stages:
        """The stage of each version: its alias is one, or a tag says it."""
        with closing(sqlite3.connect(self._live / "mlflow.db")) as database:
            versions = database.execute("SELECT version FROM model_versions WHERE name = ?", [MODEL]).fetchall()
            tagged = "SELECT version, value FROM model_version_tags WHERE name = ? AND key = 'fedreg.stage'"
            aliases = "SELECT version, alias FROM registered_model_aliases WHERE name = ? AND alias = 'production'"
            held = dict(database.execute(tagged, [MODEL]).fetchall())
            held |= dict(database.execute(aliases, [MODEL]).fetchall())
        return {str(version): str(held.get(version, "none")) for (version,) in versions}

    def _copy(self, source: Path, target: Path) -> None:
        with (
            closing(sqlite3.connect(source / "mlflow.db")) as there,
            closing(sqlite3.connect(target / "mlflow.db")) as here,
        ):
            there.backup(here)
        shutil.rmtree(target / "mlflow-artifacts", ignore_errors=True)
        shutil.copytree(source / "mlflow-artifacts", target / "mlflow-artifacts")


async def _start_mlflow(members: Members, stack: AsyncExitStack, sandbox: Sandbox, home: Path) -> None:
    session = await stack.enter_async_context(aiohttp.ClientSession(auto_decompress=False))

    async def forward(request: web.Request) -> web.Response:
        url, headers = sandbox.mlflow_url + request.raw_path, forwarded(request.headers)
        async with session.request(request.method, url, headers=headers, data=await request.read()) as answer:
            return web.Response(status=answer.status, headers=forwarded(answer.headers), body=await answer.read())

    files = MlflowFiles(sandbox.directory, home)
    [members.urls["mlflow"]] = await _serve(_app_of(forward, _watching(members, "mlflow", _writes_mlflow)), stack)
    members.add("mlflow", files.look, files)


async def _start_hub(members: Members, stack: AsyncExitStack) -> None:
    app = huggingface.create_app(tokens={TOKEN: {"user": "ana", "orgs": [NAMESPACE], "role": "write"}})
    hub = app[huggingface.HUB]
    app.middlewares.insert(0, _watching(members, "hub", _writes_http))
    [members.urls["hub"]] = await _serve(app, stack)

    def look() -> Stages:
        repo = hub.repositories.get(f"{NAMESPACE}/{MODEL}")
        if repo is None:
            return {}
        held = {commit: name for name, commit in repo.branches.items() if name in ("production", "archived")}
        return {version: held.get(commit, "none") for version, commit in repo.tags.items()}

    members.add("hub", look, Parts(hub))


async def _start_azureml(members: Members, stack: AsyncExitStack, home: Path) -> None:
    ca, certificate = make_certificate(home)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    app = azureml.create_app(token=SECRET)
    state = app[azureml.STATE]
    app.middlewares.insert(0, _watching(members, "azure-ws", _writes_http))
    members.urls["blob"], members.urls["azure-ws"] = await _serve(app, stack, context)
    members.urls["ca"] = str(ca)

    def look() -> Stages:
        held = {number: each["properties"] for number, each in state.workspace.versions.get(MODEL, {}).items()}
        return {number: each["tags"].get("fed.stage", "none") for number, each in held.items()}

    members.add("azure-ws", look, Parts(state))


async def _start_sagemaker(members: Members, stack: AsyncExitStack) -> None:
    s3 = S3()

    async def store(request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = bytearray(await request.read())
        given = s3.answer(Request(request.method, request.path, dict(request.query), headers, body))
        return web.Response(status=given.status, headers=dict(given.headers), body=b"".join(map(bytes, given.body)))

    [members.urls["s3"]] = await _serve(_app_of(store, _watching(members, "sm-eu", _writes_http)), stack)
    app = sagemaker.create_app()
    state = app[sagemaker.STATE]
    app.middlewares.append(_watching(members, "sm-eu", _writes_sagemaker))
    [members.urls["sm-eu"]] = await _serve(app, stack)

    def look() -> Stages:
        documents = [package.document for package in state.packages.values()]
        held = {str(each["ModelPackageVersion"]): each.get("ModelLifeCycle", {}) for each in documents}
        return {version: life.get("Stage", "none").lower() for version, life in held.items()}

    members.add("sm-eu", look, Parts(state, s3))


async def _start_vertex(members: Members, stack: AsyncExitStack) -> None:
    app = vertex.create_app()
    standin = app[vertex.STANDIN]
    answer = standin._answer

    async def watched(path: str, method: Callable[[Any], Any], request: Any, context: Any) -> Any:
        call, carry_out = path.rpartition("/")[2], partial(answer, path, method, request)
        if (how := members.refuses("vertex-eu")) is not None:
            await context.abort(RPC_REFUSALS[how], how)
        if call.startswith(READS):
            return await carry_out(context)

        async def later() -> Callable[[], Awaitable[Any]]:
            return partial(carry_out, Nobody())

        met = await members.meet(f"vertex-eu {call}", partial(carry_out, context), later)
        return met if met is not None else await context.abort(grpc.StatusCode.UNAVAILABLE, "gone")

    standin._answer = watched  # type: ignore[method-assign]
    app.middlewares.append(_watching(members, "vertex-eu", _writes_http))
    [members.urls["gcs"]] = await _serve(app, stack)
    members.urls["vertex-eu"] = standin.address

    def look() -> Stages:
        rows = [row for model in standin.state.models.values() for row in model.versions.values()]
        return {str(row.number): row.labels.get("fed-stage", "none") for row in rows}

    members.add("vertex-eu", look, Parts(standin.state, standin.metadata, standin.models, app[BUCKETS]))


class Nobody:
    """Who waits for the answer to a call that is carried out late."""

    async def abort(self, code: grpc.StatusCode, text: str) -> None:
        """Nothing: it was refused, and nobody hears of it."""


def _app_of(handler: Server, middleware: Any) -> web.Application:
    app = web.Application(client_max_size=1 << 30, middlewares=[middleware])
    app.router.add_route("*", "/{path:.*}", handler)
    return app


def _watching(members: Members, name: str, writes: Callable[[web.Request], str | None]) -> Any:
    @web.middleware
    async def watch(request: web.Request, handler: Server) -> Any:
        how = members.refuses(name)
        if how == "busy":
            return _busy(request)
        if how == "gone":
            return cut(request)
        call = writes(request)
        if call is None:
            return await handler(request)
        answer = await members.meet(f"{name} {call}", lambda: handler(request), partial(_replay, request))
        return answer if answer is not None else cut(request)

    return watch


def _busy(request: web.Request) -> web.Response:
    if "X-Amz-Target" in request.headers:
        return web.json_response({"__type": "ThrottlingException", "message": "Rate exceeded"}, status=400)
    return web.Response(status=429, headers={"Retry-After": "1"})


async def _replay(request: web.Request) -> Callable[[], Awaitable[Any]]:
    """Sends a request again, to the same server."""
    body, headers = await request.read(), forwarded(request.headers)

    async def send() -> None:
        async with (
            aiohttp.ClientSession() as session,
            session.request(request.method, request.url, headers=headers, data=body, ssl=False) as answer,
        ):
            await answer.read()

    return send


def _writes_http(request: web.Request) -> str | None:
    reads = request.method in ("GET", "HEAD") or request.path.endswith(("/paths-info", "/preupload", "/batch"))
    return None if reads or request.path.endswith("/listSecrets") else f"{request.method} {request.path}"


def _writes_mlflow(request: web.Request) -> str | None:
    return None if READING.search(request.path) else _writes_http(request)


def _writes_sagemaker(request: web.Request) -> str | None:
    call = request.headers.get("X-Amz-Target", "").rpartition(".")[2]
    return None if not call or call.startswith(READS) else call


async def _serve(app: web.Application, stack: AsyncExitStack, tls: ssl.SSLContext | None = None) -> tuple[str, ...]:
    """Its address; with `tls` a second one, of HTTPS."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    return await _listen(runner), *([await _listen(runner, tls)] if tls else [])


async def _listen(runner: web.AppRunner, tls: ssl.SSLContext | None = None) -> str:
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    return f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[-1][1]}"
