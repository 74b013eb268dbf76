"""Several `fedreg serve` on one PostgreSQL, each with a gate of its own before the one real registry."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from fedreg.testing.faults import FaultProxy

WRITES = ("POST", "PATCH", "PUT", "DELETE")
READING = re.compile(r"/search|/get|/list")


@dataclass
class Gate(FaultProxy):
    """Between one gateway and the registry. Shut, it keeps writes: they are not carried out, and not answered."""

    writes: list[str] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    opened: asyncio.Event = field(default_factory=asyncio.Event)
    shut: bool = False

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method in WRITES and not READING.search(request.path):
            self.writes.append(f"{request.method} {request.path}")
            if self.shut:
                self.arrived.set()
                await self.opened.wait()
                return web.Response(status=503)
        return await super()._handle(request)


@dataclass
class Serving:
    """A gateway's process: its address, its gate, and what it has logged."""

    process: asyncio.subprocess.Process
    gate: Gate
    url: str = ""
    log: list[dict[str, Any]] = field(default_factory=list)
    grown: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def said(self, words: str) -> dict[str, Any]:
        """The first line of its log with these words, when it is there."""
        async with self.grown:
            while True:
                for line in self.log:
                    if words in str(line.get("event")):
                        return line
                await self.grown.wait()

    async def listen(self) -> None:
        """Read the log to its end."""
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            async with self.grown:
                self.log.append(json.loads(line) if line.startswith(b"{") else {"event": line.decode()})
                self.grown.notify_all()

    def stop(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        """A request's answer, which must be a good one."""
        async with aiohttp.ClientSession(self.url) as session, session.request(method, path, json=body) as answer:
            content = await answer.json()
            assert answer.ok, content
            return content

    async def operations(self, *states: str) -> list[dict[str, Any]]:
        found = (await self.call("GET", "/v1/operations"))["items"]
        return [one for one in found if not states or one["state"] in states]

    async def finished(self) -> list[dict[str, Any]]:
        """All operations, once none is under way; their event streams end with them."""
        for one in await self.operations("pending", "running"):
            patient = aiohttp.ClientTimeout(total=None)
            async with (
                aiohttp.ClientSession(self.url, timeout=patient) as session,
                session.get(f"/v1/operations/{one['id']}/events") as events,
            ):
                await events.read()
        return await self.operations()


@asynccontextmanager
async def serve(home: Path, name: str, store: str, registry: str, lease: float) -> AsyncIterator[Serving]:
    """One gateway on a store that others may share."""
    config = home / f"{name}.yaml"
    async with Gate(registry) as gate:
        config.write_text(
            f'store: {{url: "{store}", lease: {lease}}}\n'
            f'registries:\n  mlflow-prod: {{kind: mlflow, url: "{gate.url}", stages: {{held_by: alias}}}}\n'
        )
        command = [sys.executable, "-m", "fedreg.cli.main", "--config", str(config), "serve", "--port", "0"]
        process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
        serving = Serving(process, gate)
        listening = asyncio.create_task(serving.listen())
        try:
            serving.url = (await serving.said("listening"))["url"]
            yield serving
        finally:
            gate.opened.set()
            if process.returncode is None:
                process.kill()
            await process.wait()
            await listening
