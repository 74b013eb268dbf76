"""A local Vertex AI: gRPC servers of ModelService, MetadataService and Operations, built from the SDK's own messages.

`create_app` is an aiohttp application that serves GCS (standin_gcs.py) and starts the gRPC server beside it; where that
listens, `GET /_standin/address` says. The SDK ships no servicers, so the methods are bound by their names.
"""

from __future__ import annotations

import asyncio
import functools
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
from aiohttp import web
from google.cloud import aiplatform_v1 as sdk
from google.longrunning import operations_pb2

from fedreg_adapters.vertex.standin_gcs import add_gcs
from fedreg_adapters.vertex.standin_metadata import Metadata
from fedreg_adapters.vertex.standin_models import Models, Operations
from fedreg_adapters.vertex.standin_state import Refusal, State, Ways

PACKAGE = "google.cloud.aiplatform.v1"
ADDRESS = web.AppKey("address", str)
_OTHER_REQUESTS = {"GetOperation": "GetOperationRequest", "ListOperations": "ListOperationsRequest"}


class Standin:
    """The gRPC side: a server on loopback, and what it keeps."""

    def __init__(self, ways: Ways | None = None) -> None:
        self.state = State(ways or Ways())
        self.metadata = Metadata(self.state)
        self.models = Models(self.state, self.metadata)
        self.calls: list[str] = []
        self.address = ""
        self._server: Any = None

    async def start(self, port: int = 0) -> str:
        """Listen; returns `host:port`."""
        server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        server.add_generic_rpc_handlers(
            (
                self._service(f"{PACKAGE}.ModelService", self.models, _proto_plus),
                self._service(f"{PACKAGE}.MetadataService", self.metadata, _proto_plus),
                self._service("google.longrunning.Operations", Operations(self.state), _raw),
            )
        )
        self.address = f"127.0.0.1:{server.add_insecure_port(f'127.0.0.1:{port}')}"
        await server.start()
        self._server = server
        return self.address

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(None)

    def _service(self, name: str, methods: Any, codec: Callable[[str], tuple[Any, Any]]) -> Any:
        """The handler of a service: each public method serves the call of its name."""
        handlers = {}
        for method in [found for found in dir(methods) if callable(getattr(methods, found)) and found[0] != "_"]:
            call = "".join(part.title() for part in method.split("_"))
            if _is_call(name, call):
                reads, writes = codec(call)
                answer = functools.partial(self._answer, f"/{name}/{call}", getattr(methods, method))
                handlers[call] = grpc.unary_unary_rpc_method_handler(answer, reads, writes)
        return grpc.method_handlers_generic_handler(name, handlers)

    async def _answer(self, path: str, method: Callable[[Any], Any], request: Any, context: Any) -> Any:
        self.calls.append(path.rpartition("/")[2])
        try:
            return method(request)
        except Refusal as refusal:
            await context.abort(refusal.code, str(refusal))


STANDIN = web.AppKey("standin", Standin)


def create_app(grpc_port: int = 0, ways: Ways | None = None) -> web.Application:
    """GCS, and beside it the gRPC server while the application runs."""
    app = web.Application(client_max_size=0)
    standin = Standin(ways)
    app[STANDIN] = standin

    async def serve(app: web.Application) -> AsyncIterator[None]:
        await standin.start(grpc_port)
        yield
        await standin.stop()
        await asyncio.sleep(0)

    async def get_address(request: web.Request) -> web.Response:
        return web.json_response({"endpoint": standin.address})

    app.cleanup_ctx.append(serve)
    app.router.add_get("/_standin/address", get_address)
    add_gcs(app)
    return app


def _is_call(service: str, call: str) -> bool:
    """Whether it is a call of the service, and no helper of the class that serves it."""
    return call in _OTHER_REQUESTS if service.endswith("Operations") else hasattr(sdk, f"{call}Request")


def _proto_plus(call: str) -> tuple[Any, Any]:
    request = getattr(sdk, f"{call}Request")
    return request.deserialize, _serialize


def _raw(call: str) -> tuple[Any, Any]:
    return getattr(operations_pb2, _OTHER_REQUESTS[call]).FromString, lambda message: message.SerializeToString()


def _serialize(message: Any) -> bytes:
    """Proto-plus messages, and the raw Operation that a long-running call answers."""
    if re.match(r"google\.longrunning", type(message).__module__):
        return bytes(message.SerializeToString())
    return bytes(type(message).serialize(message))
