"""A gateway that dies in the middle of a linked promotion, or one that finishes it: `killed_gateway CONFIG WHAT`.

WHAT is `die`: a model is made and copied, promoted once and then promoted once more, in the middle of which the process
kills itself; it has said `{"undisturbed": seconds}` before. Or `resume`: what was left is finished, and it says
`{"opened", "ended"}`, seconds of the machine's monotonic clock.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import signal
import sys
import time
from functools import partial
from pathlib import Path

from benchmarks.memory_registry import CONTENT, open_content
from fedreg.bootstrap import open_gateway
from fedreg.domain.models import FileSource, ModelDraft, PageRequest, Version, VersionDraft
from fedreg.domain.records import Actor, EffectState, IntentState
from fedreg.domain.refs import Ref
from fedreg.domain.stages import PRODUCTION, STAGING
from fedreg.services import intents as promises
from fedreg.services.copy import copy_version
from fedreg.services.gateway import Gateway
from fedreg.services.promotion import promote
from fedreg.settings import load_settings
from fedreg.store.effects import list_effects

ACTOR = Actor(subject="benchmark")
MEMBERS = ("hub", "hub-eu")
LOOK_EVERY = 0.002


async def main() -> None:
    """Do it."""
    logging.getLogger("dbos").setLevel(logging.ERROR)
    config, what = sys.argv[1:]
    settings = load_settings(Path(config), {})
    opened = time.monotonic()
    async with open_gateway(settings) as gateway:
        if what == "die":
            await _die(gateway)
        else:
            await _resume(gateway, opened)


async def _die(gateway: Gateway) -> None:
    made = await _make(gateway)
    await copy_version(gateway, made.ref, Ref(MEMBERS[1], made.model), actor=ACTOR, allow_lossy=())
    started = time.monotonic()
    await promote(gateway, made.ref, STAGING, actor=ACTOR)
    _say(undisturbed=time.monotonic() - started)
    report = await promote(gateway, made.ref, PRODUCTION, actor=ACTOR, wait=False)
    assert report.operation is not None
    read = partial(list_effects, intent_id=report.operation)
    while not any(one.state is EffectState.DONE for one in await gateway.store.read(read)):
        await asyncio.sleep(LOOK_EVERY)
    os.kill(os.getpid(), signal.SIGKILL)


async def _make(gateway: Gateway) -> Version:
    """A version at the authority, with one small file."""
    authority = await gateway.registries.get(MEMBERS[0])
    await authority.create_model(ModelDraft(name="churn"))
    state = await authority.begin_upload(VersionDraft(model="churn", files={"weights.bin": len(CONTENT)}), "seed")
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    source = FileSource(path="weights.bin", size=len(CONTENT), open_at=open_content, sha256=sha256)
    await authority.put_file(state, source)
    made = await authority.finish(state)
    assert isinstance(made, Version)
    return made


async def _resume(gateway: Gateway, opened: float) -> None:
    """As a gateway does at its start. Fails where nothing was left, or where a member lacks the stage at the end."""
    [left] = await promises.reconcile(gateway)
    ended = await promises.wait(gateway, left)
    _say(opened=opened, ended=time.monotonic())
    assert ended.state is IntentState.SUCCEEDED
    for name in MEMBERS:
        adapter = await gateway.registries.get(name)
        [only] = (await adapter.list_versions("churn", PageRequest())).items
        assert only.stage == PRODUCTION


def _say(**told: float) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())
