"""A receiver of webhooks."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass
class Receiver:
    """Keeps what it gets; `answers` are statuses to give first, 204 afterwards."""

    url: str = ""
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    answers: list[web.Response] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    held: asyncio.Event | None = None

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(body) for _, body in self.got]

    async def receive(self, request: web.Request) -> web.Response:
        self.got.append((dict(request.headers), await request.read()))
        self.arrived.set()
        if self.held is not None:
            await self.held.wait()
        return self.answers.pop(0) if self.answers else web.Response(status=204)
