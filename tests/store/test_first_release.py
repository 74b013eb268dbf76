"""A store that release 0.1.0 made, killed within a promotion: this release brings it up to date and finishes it.

`releases/0.1.0` holds its two databases as SQL, and what its registry held when it was killed: the effect planned and
the workflow at its second step, before the write.
"""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, func, select

from fedreg.bootstrap import open_gateway
from fedreg.domain.errors import ConfigError
from fedreg.domain.records import Change, EffectState, IntentState
from fedreg.domain.refs import Ref
from fedreg.domain.reports import Verification
from fedreg.services import intents as promises
from fedreg.services.audit import list_audit, list_history
from fedreg.services.gateway import Gateway
from fedreg.services.selectors import resolve
from fedreg.settings import Settings, load_settings
from fedreg.store import chain, effects
from fedreg.store.schema import claims
from fedreg.store.upgrade import HEAD
from fedreg_adapters.memory.standin import Vendor, drop_space, open_space

RELEASE = Path(__file__).parent / "releases" / "0.1.0"
UNFINISHED = "promotion-cda69f687d6f42e5965ddf00af1bf97e"
KNOWN = [  # to the first release; the hash of the last entry seals them all
    "ana 1 stage_set: none -> production",
    "bob 2 tags_set: {'dataset': None} -> {'dataset': 'may'}",
    "ana 1 alias_set: None -> {'alias': 'champion', 'version': '1'}",
    "bob 2 stage_set: none -> staging",
]
SEAL = "48ca35c587d4df87f7d20fc754c664ef5a3d9958429273882d8f70a9c2e6e367"
FINISHED = ["bob 2 stage_set: staging -> production", "bob 1 stage_set: production -> none"]


@dataclass(frozen=True)
class Left:
    """What the first release has left: its store, as configured now, and the registry with what it heard so far."""

    settings: Settings
    vendor: Vendor
    home: Path

    def heard(self) -> list[tuple[int | None, str]]:
        """What has been changed at the registry since, as its feed tells it."""
        known = len(json.loads((RELEASE / "vendor.json").read_text())["feed"])
        return [(one["number"], one["what"]) for one in self.vendor.feed[known:]]

    def backups(self) -> list[str]:
        return sorted(file.name for file in self.home.glob("*.bak"))


@pytest.fixture
def left(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Left]:
    for name in ("fedreg", "fedreg.engine"):
        with closing(sqlite3.connect(tmp_path / f"{name}.db")) as database:
            database.executescript((RELEASE / f"{name}.sql").read_text())
    space = request.node.nodeid
    config = tmp_path / "fedreg.yaml"
    config.write_text(
        f"store: {{url: 'sqlite:///fedreg.db'}}\nregistries:\n  lab: {{kind: memory, space: '{space}'}}\n"
    )
    vendor = open_space(space)
    held = json.loads((RELEASE / "vendor.json").read_text(), object_hook=_restore)
    vendor.shelves, vendor.feed = held["shelves"], held["feed"]
    yield Left(load_settings(config, {}), vendor, tmp_path)
    drop_space(space)


def _restore(found: dict[str, Any]) -> Any:
    """JSON has no bytes, and no numbers as keys."""
    if set(found) == {"base64"}:
        return base64.b64decode(found["base64"])
    return {int(key) if key.isdecimal() else key: value for key, value in found.items()}


async def test_it_is_refused_to_readers_before_the_upgrade(left: Left) -> None:
    with pytest.raises(ConfigError, match=f"revision 0002, this release reads {HEAD}") as caught:
        async with open_gateway(left.settings, read_only=True):
            pytest.fail("it was opened")
    assert "fedreg store upgrade" in str(caught.value.cure)
    assert left.backups() == []


async def test_its_promotion_is_finished(left: Left) -> None:
    await _finish(left)
    assert left.heard() == [(2, "pointer"), (2, "phase")]  # each write of a promotion, once


async def test_its_promotion_had_reached_the_registry(left: Left) -> None:
    """Killed a moment later: after the write, before the journal."""
    shelf = left.vendor.shelves["churn"]
    shelf["pointers"]["production"], shelf["releases"][2]["phase"] = 2, None
    await _finish(left)
    assert left.heard() == []


async def test_its_promotion_goes_on_as_soon_as_something_is_written(left: Left) -> None:
    """Commands need no gateway that reconciles: the engine's launch is enough."""
    async with open_gateway(left.settings) as gateway:
        intent = await promises.wait(gateway, UNFINISHED)
    assert intent.state is IntentState.SUCCEEDED
    assert left.heard() == [(2, "pointer"), (2, "phase")]


async def test_its_promotion_had_failed_without_a_word_in_the_store(left: Left) -> None:
    """As with a full disk: the workflow has failed, the operation is still to be finished."""
    with closing(sqlite3.connect(left.home / "fedreg.engine.db")) as database, database:
        failed = database.execute("UPDATE workflow_status SET status = 'ERROR' WHERE workflow_uuid = ?", (UNFINISHED,))
        assert failed.rowcount == 1
    await _finish(left)
    assert left.heard() == [(2, "pointer"), (2, "phase")]


async def test_opened_again_nothing_changes(left: Left) -> None:
    await _finish(left)
    heard = left.heard()
    async with open_gateway(left.settings) as gateway:
        before = [one.hash for one in await list_audit(gateway, limit=100)]
        assert await promises.reconcile(gateway) == []
        await gateway.launched_engine()
        assert [one.hash for one in await list_audit(gateway, limit=100)] == before
    assert left.heard() == heard
    assert left.backups() == ["fedreg.db.0002.bak"]


async def _finish(left: Left) -> None:
    """Open the store, let its promotion end, and look at all it should have done."""
    async with open_gateway(left.settings) as gateway:
        assert left.backups() == ["fedreg.db.0002.bak"]
        assert await promises.reconcile(gateway) == [UNFINISHED]
        intent = await promises.wait(gateway, UNFINISHED)
        assert (intent.state, intent.error) == (IntentState.SUCCEEDED, None)
        await _check_store(gateway)
        stages = [(await resolve(gateway, Ref("lab", "churn").at_version(one))).stage for one in "12"]
        assert stages == ["none", "production"]
    assert left.vendor.shelves["churn"]["pointers"] == {"champion": 1, "production": 2}


async def _check_store(gateway: Gateway) -> None:
    def read(conn: Connection) -> tuple[Verification, int, list[EffectState]]:
        taken = conn.scalar(select(func.count()).select_from(claims)) or 0
        return chain.verify(conn), taken, [one.state for one in effects.list_effects(conn, UNFINISHED)]

    verdict, taken, states = await gateway.store.read(read)
    assert (verdict.ok, taken, states) == (True, 0, [EffectState.DONE])
    journal = await list_audit(gateway, limit=100)
    assert [_show(one.change) for one in journal] == KNOWN + FINISHED
    assert journal[len(KNOWN) - 1].hash == SEAL
    assert {one.change.intent_id for one in journal[len(KNOWN) :]} == {UNFINISHED}
    history = await list_history(gateway, Ref("lab", "churn").at_version("2"))
    assert [_show(one.change) for one in history] == [KNOWN[1], KNOWN[3], FINISHED[0]]


def _show(change: Change) -> str:
    return f"{change.actor.subject} {change.version} {change.action}: {change.before} -> {change.after}"
