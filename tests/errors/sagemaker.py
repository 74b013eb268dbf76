"""The SageMaker stand-in on loopback, in a thread of its own, that can be told to refuse an operation."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from aiohttp import web

from fedreg_adapters.sagemaker.standin import create_app

MESSAGES = {
    "UnrecognizedClientException": "The security token included in the request is invalid.",
    "ExpiredTokenException": "The security token included in the request is expired",
    "AccessDeniedException": "User: arn:aws:iam::123456789012:user/ci is not authorized to perform this action",
    "ResourceLimitExceeded": "The account-level service limit 'Model package groups' is 500.",
}


class SageMaker:
    """`url`; `refusals` maps an operation, or `*` for all, to an error code of the service."""

    def __init__(self) -> None:
        self.refusals: dict[str, str] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        app = create_app()
        app.middlewares.append(self._refuse)
        self._runner = web.AppRunner(app, access_log=None)
        self.url = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(30)

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()

    async def _start(self) -> str:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    @web.middleware
    async def _refuse(self, request: web.Request, handler: Any) -> Any:
        operation = request.headers.get("X-Amz-Target", "").removeprefix("SageMaker.")
        code = self.refusals.get(operation) or self.refusals.get("*")
        if code is None:
            return await handler(request)
        body = {"__type": code, "message": MESSAGES[code]}
        return web.json_response(body, status=400, content_type="application/x-amz-json-1.1")
