"""A proxy on loopback that puts faults between an adapter and a gRPC server; messages pass through as bytes.

What HTTP calls a status becomes the gRPC code of the same meaning. A cut connection is what gRPC shows of one: the code
UNAVAILABLE, which does not say whether the call was carried out.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import Any

import grpc

from fedreg.testing.backend import Fault, FaultKind, Match

CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    503: grpc.StatusCode.UNAVAILABLE,
}
WEB_PAGE = b"<!doctype html><html><body><h1>Please sign in</h1></body></html>"


@dataclass
class Armed:
    fault: Fault
    seen: int = 0

    def takes(self, path: str, match: Match) -> bool:
        if match.method not in (None, "POST") or match.headers or not re.search(match.path, path):
            return False
        self.seen += 1
        late = self.seen - self.fault.nth
        return late >= 0 and (self.fault.times == 0 or late < self.fault.times)


class GrpcFaults(grpc.GenericRpcHandler):
    """Forwards every unary call to `upstream`."""

    def __init__(self, upstream: str) -> None:
        self.upstream, self.address, self.fired = upstream, "", 0
        self.metadata: list[tuple[str, dict[str, str]]] = []
        self._armed: list[Armed] = []
        self._held: list[tuple[str, bytes, Any]] = []
        self._server: Any = None
        self._channel: Any = None

    async def start(self) -> None:
        self._channel = grpc.aio.insecure_channel(self.upstream, options=[("grpc.use_local_subchannel_pool", 1)])
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        self._server.add_generic_rpc_handlers((self,))
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        await self._server.start()

    async def aclose(self) -> None:
        await self._server.stop(None)
        await self._channel.close()

    # -- control ---------------------------------------------------------------------------------------

    def inject(self, fault: Fault) -> None:
        self._armed.append(Armed(fault))

    def clear(self) -> None:
        self._armed.clear()
        self._held.clear()
        self.fired = 0

    async def release(self) -> int:
        held, self._held = self._held, []
        for path, request, metadata in held:
            try:
                await self._forward(path, request, metadata)
            except grpc.RpcError:  # the vendor refused it: it was carried out as far as it ever will be
                continue
        return len(held)

    # -- calls -----------------------------------------------------------------------------------------

    def service(self, handler_call_details: Any) -> Any:
        path = handler_call_details.method
        metadata = [(k, v) for k, v in handler_call_details.invocation_metadata if k.startswith("x-goog-request")]
        self.metadata.append((path, {k: v for k, v in handler_call_details.invocation_metadata if isinstance(v, str)}))

        async def answer(request: bytes, context: Any) -> bytes:
            return await self._answer(path, request, metadata, context)

        return grpc.unary_unary_rpc_method_handler(answer)

    async def _answer(self, path: str, request: bytes, metadata: Any, context: Any) -> bytes:
        taken = [armed.fault for armed in self._armed if armed.takes(path, armed.fault.match)]
        fault = taken[0] if taken else None
        if fault is not None:
            self.fired += 1
            match fault.kind:
                case FaultKind.STATUS if fault.status == 200:
                    return fault.body.encode("utf-8", "surrogateescape")
                case FaultKind.STATUS:
                    await context.abort(CODES[fault.status], fault.body or "refused")
                case FaultKind.HTML:
                    return WEB_PAGE
                case FaultKind.SLOW:
                    await asyncio.sleep(fault.delay or 0.0)
                case FaultKind.LATE_APPLY:
                    self._held.append((path, request, metadata))
                    await context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")
                case FaultKind.RESET:
                    await context.abort(grpc.StatusCode.UNAVAILABLE, "Connection reset by peer")
        try:
            reply = await self._forward(path, request, metadata)
        except grpc.RpcError as error:
            await context.abort(error.code(), error.details())
        if fault is not None and fault.kind in (FaultKind.LOST_REPLY, FaultKind.TRUNCATE):
            await context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")
        return bytes(reply)

    async def _forward(self, path: str, request: bytes, metadata: Any) -> Any:
        return await self._channel.unary_unary(path)(request, metadata=metadata)
