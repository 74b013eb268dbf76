"""Promotions in processes that can be killed: `killed_promotion.py`, then a line of JSON for each on standard input.

A line is `{"number", "config", "where", "result", "log"}`. A process is forked for it, so that what takes seconds to
import is imported once. It is printed, with the number, when it runs (`pid`) and at its end (`status`: its exit status,
-9 where it was killed).

WHERE is `serve` (a gateway; `url` is printed when it listens, LOG gets its log), `look` (only tell what there is),
`prepare` (what was there before), `run`, `resume` (after a kill), `after:N` (the Nth step is checkpointed), `within:N`
(its work is done, its checkpoint is not), `time:S` (seconds after the start) or `full:N` (no file may grow past the
largest by N bytes: the disk is full; killed after a while if it does not give up). RESULT gets a JSON document at the
end, LOG a line for each checkpointed step.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import hashlib
import json
import logging
import os
import resource
import signal
import sys
import threading
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from select import select as wait_for
from typing import Any

from sqlalchemy import Connection, func, select

from fedreg.bootstrap import open_gateway, serve_gateway
from fedreg.domain.errors import FedregError
from fedreg.domain.models import FileSource, ModelDraft, Version, VersionDraft
from fedreg.domain.records import Actor, RequestKey
from fedreg.domain.refs import Ref
from fedreg.engine import dbos_context
from fedreg.services import intents as promises
from fedreg.services.audit import list_audit
from fedreg.services.copy import copy_version
from fedreg.services.gateway import Gateway
from fedreg.services.overflow import merge_overflow
from fedreg.services.pages import walk_versions
from fedreg.services.promotion import promote
from fedreg.settings import load_settings
from fedreg.store import chain
from fedreg.store.schema import claims

ACTOR = Actor(subject="ana", authenticated=True)
KEY = RequestKey(actor="ana", key="go", fingerprint="churn to production")
MODEL = "killed"
AUTHORITY, COPIED = "hub", ("mlflow", "azure-ws")  # where both versions are before the promotion that is killed
PATIENCE = 6.0  # seconds
Say = Callable[..., None]
IMPORTED = (
    *(f"fedreg_adapters.{kind}.adapter" for kind in ("azureml", "huggingface", "mlflow", "sagemaker", "vertex")),
    *("fedreg.engine.dbos_engine", "fedreg.api.app", "fedreg.api.server", "obstore.store", "charset_normalizer"),
    *("google.cloud.aiplatform_v1", "boto3", "azure.ai.ml", "azure.identity"),
)


def main() -> None:
    """Fork for each line of standard input; ends with it, and with the last process."""
    gc.disable()
    for module in IMPORTED:
        import_module(module)
    gc.freeze()  # a million objects, which each child would look through, and copy for it
    gc.enable()
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake)
    running: dict[int, int] = {}
    for line in _lines(woken):
        if line is not None:
            asked = json.loads(line)
            number = asked.pop("number")
            child = os.fork()
            if child == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                os._exit(_run(partial(_say, number), **asked))
            running[child] = number
            _say(number, pid=child)
        while running and (ended := os.waitpid(-1, os.WNOHANG))[0]:
            _say(running.pop(ended[0]), status=os.waitstatus_to_exitcode(ended[1]))


def _lines(woken: int) -> Iterator[str | None]:
    """The lines of standard input, and None where a process may have ended."""
    kept = b""
    while True:
        ready, _, _ = wait_for([0, woken], [], [])
        if woken in ready:
            os.read(woken, 4096)
            yield None
        if 0 in ready:
            read = os.read(0, 1 << 16)
            if not read:
                return
            *lines, kept = (kept + read).split(b"\n")
            yield from (line.decode() for line in lines)


def _say(number: int, **told: int | str) -> None:
    os.write(1, (json.dumps({"number": number, **told}) + "\n").encode())


def _run(say: Say, config: str, where: str, result: str, log: str) -> int:
    logging.getLogger("dbos").setLevel(logging.ERROR)
    if where == "serve":
        return _serve(say, config, Path(log))
    kind, _, amount = where.partition(":")
    _watch_steps(Path(log), kind, int(amount) if kind in ("after", "within") else 0)
    work = {"prepare": _prepare, "resume": _resume, "look": _nothing}.get(kind, _promote)
    try:
        told = asyncio.run(_in_gateway(config, work, *_trouble(kind, float(amount or 0), Path(config).parent)))
    except BaseException:
        Path(result).write_text(traceback.format_exc())
        return 1
    Path(result).write_text(json.dumps(told))
    return 0


def _serve(say: Say, config: str, log: Path) -> int:
    with log.open("a") as lines:
        os.dup2(lines.fileno(), sys.stderr.fileno())
    asyncio.run(serve_gateway(load_settings(Path(config), {}), port=0, ready=lambda url: say(url=url)))
    return 0


async def _nothing(gateway: Gateway) -> None:
    """It is only looked at."""


def _trouble(kind: str, amount: float, home: Path) -> tuple[float | None, int | None]:
    """After how many seconds the process is to die, and how large a file may be."""
    if kind == "full":
        return PATIENCE, max(file.stat().st_size for file in home.iterdir()) + int(amount)
    return (amount if kind == "time" else None), None


async def _in_gateway(
    config: str, work: Callable[[Gateway], Any], dies_after: float | None, largest: int | None
) -> Any:
    async with open_gateway(load_settings(Path(config), {})) as gateway:
        if largest is not None:
            await gateway.launched_engine()
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest, resource.RLIM_INFINITY))
        if dies_after is not None:
            dying = threading.Timer(dies_after, _die)
            dying.daemon = True
            dying.start()
        await work(gateway)
        return await _look(gateway)


async def _prepare(gateway: Gateway) -> None:
    """Version 1 in production everywhere, version 2 made, and copied to two of the members."""
    first, second = await _make(gateway, "one"), await _make(gateway, "two")
    await promote(gateway, first.ref, "production", actor=ACTOR)
    for registry in COPIED:
        await copy_version(gateway, second.ref, Ref(registry, MODEL), actor=ACTOR, allow_lossy=())


async def _promote(gateway: Gateway) -> None:
    adapter = await gateway.registries.get(AUTHORITY)
    [second] = [one async for one in walk_versions(adapter, MODEL) if one.description == "two"]
    await promote(gateway, second.ref, "production", actor=ACTOR, reason="killed", key=KEY)


async def _resume(gateway: Gateway) -> None:
    """What a gateway does at its start; then the caller, who got no answer, asks again with the same key."""
    for promised in await promises.reconcile(gateway):
        with contextlib.suppress(FedregError):  # how it ended is in its row, and looked at below
            await promises.wait(gateway, promised)
    await _promote(gateway)


async def _make(gateway: Gateway, text: str) -> Version:
    """A version, put into the authority past the services."""
    adapter = await gateway.registries.get(AUTHORITY)
    if text == "one":
        await adapter.create_model(ModelDraft(name=MODEL))
    files = {"weights.bin": text.encode() * 1000}
    draft = VersionDraft(model=MODEL, files={path: len(data) for path, data in files.items()}, description=text)
    state = await adapter.begin_upload(draft, f"seed-{text}")
    for path, data in files.items():
        sha256 = hashlib.sha256(data).hexdigest()
        await adapter.put_file(state, FileSource(path=path, size=len(data), open_at=_opener(data), sha256=sha256))
    made = await adapter.finish(state)
    assert isinstance(made, Version)
    return made


def _opener(data: bytes) -> Callable[[int], AsyncIterator[bytes]]:
    async def open_at(offset: int) -> AsyncIterator[bytes]:
        yield data[offset:]

    return open_at


async def _look(gateway: Gateway) -> dict[str, Any]:
    """What the store and the members say at the end."""
    stages = {}
    for registry in gateway.registries.names():
        adapter = await gateway.registries.get(registry)
        for one in await merge_overflow(gateway, [found async for found in walk_versions(adapter, MODEL)]):
            stages[f"{registry}:{one.description}:{len(stages)}"] = one.stage

    def read(conn: Connection) -> tuple[int, bool]:
        return conn.scalar(select(func.count()).select_from(claims)) or 0, chain.verify(conn).ok

    left, intact = await gateway.store.read(read)
    entries = [one.change for one in await list_audit(gateway, limit=1000)]
    return {
        "stages": stages,
        "claims": left,
        "intact": intact,
        "journal": sorted(
            f"{one.registry} {one.version}: {one.before} -> {one.after}" for one in entries if one.action == "stage_set"
        ),
    }


def _watch_steps(log: Path, kind: str, number: int) -> None:
    """Note each checkpointed step, and die at the one asked for. The engine itself has no such hook."""
    run = dbos_context._run
    seen = 0

    async def watched(reservation: Any, name: str, fn: Any, *rest: Any) -> Any:
        nonlocal seen
        seen += 1
        mine = seen

        async def within() -> Any:
            result = await fn()
            if kind == "within" and mine == number:
                _die()
            return result

        result = await run(reservation, name, within, *rest)
        with log.open("a") as lines:
            lines.write(f"{name}\n")
        if kind == "after" and mine == number:
            _die()
        return result

    dbos_context._run = watched


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
