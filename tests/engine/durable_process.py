"""A process to be killed: runs one workflow of the engine, noting each step it really executes.

`durable_process.py DATABASE NOTES STOP_AT`: prints "at STOP_AT" and waits there to be killed; with STOP_AT "-" it
waits for the workflow's end instead and prints its result as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from pathlib import Path
from typing import Any

from fedreg.domain.errors import RegistryUnavailable
from fedreg.engine.dbos_engine import DbosEngine
from fedreg.engine.port import Context, StepFunction

WORKFLOW_ID = "job"


class Notes:
    def __init__(self, path: Path, stop_at: str) -> None:
        self._path = path
        self._stop_at = stop_at

    def write(self, line: str) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")

    async def pass_by(self, place: str) -> None:
        if place == self._stop_at:
            print(f"at {place}", flush=True)
            await asyncio.Event().wait()


def make_workflow(notes: Notes) -> Any:
    def run(name: str) -> StepFunction:
        async def fn() -> str:
            notes.write(name)
            await notes.pass_by(f"in {name}")
            return f"result of {name}"

        return fn

    async def fail() -> None:
        notes.write("fail")
        raise RegistryUnavailable("down", registry="r1", retry_after=7.5)

    async def workflow(ctx: Context, args: dict[str, Any]) -> Any:
        on_main_loop = threading.current_thread() is threading.main_thread()
        first = await ctx.step("first", run("first"))
        await notes.pass_by("after first")
        files = await ctx.step_many([(f, run(f)) for f in args["files"]], concurrency=2)
        await notes.pass_by("after files")
        try:
            await ctx.step("fail", fail)
        except RegistryUnavailable as error:
            await notes.pass_by("after fail")
            failure = error.to_dict()
        return {"first": first, "files": files, "failure": failure, "on_main_loop": on_main_loop}

    return workflow


async def main(database: str, notes: Path, stop_at: str) -> None:
    engine = DbosEngine(f"sqlite:///{database}")
    engine.register("work", make_workflow(Notes(notes, stop_at)))
    await engine.launch()
    if stop_at != "-":
        await engine.start("work", WORKFLOW_ID, {"files": ["a", "b", "c", "d"]})
    print(json.dumps(await engine.wait(WORKFLOW_ID)), flush=True)
    await engine.aclose()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3]))
