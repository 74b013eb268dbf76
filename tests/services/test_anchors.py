"""Signed heads: when they are made, where they go, and what verifying makes of those that come back."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import stat
import subprocess
from base64 import b64decode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from fedreg.bootstrap import open_gateway
from fedreg.domain.errors import ConfigError, InvalidRequest
from fedreg.domain.evidence import Fault
from fedreg.domain.records import Actor, Change
from fedreg.domain.reports import Verification
from fedreg.services import anchors, audit
from fedreg.services.gateway import Gateway
from fedreg.services.signing import create_key, show_key
from fedreg.settings import Settings, load_settings
from fedreg.store import heads, journal

Configure = Callable[..., Settings]


@pytest.fixture
def configure(tmp_path: Path) -> Configure:
    def make(more: str = "") -> Settings:
        config = tmp_path / "fedreg.yaml"
        config.write_text(
            "store: {url: 'sqlite:///fedreg.db'}\n"
            f"audit: {{key: audit.pem, anchors: [{{file: heads.jsonl}}{more}]}}\n"
            "registries: {left: {kind: memory, space: anchors}}\n"
        )
        return load_settings(config, {})

    return make


async def write(gateway: Gateway, count: int = 1) -> None:
    change = Change(action="stage_set", registry="left", model="churn", version="1", actor=Actor(subject="ada"))
    await gateway.store.write(lambda tx: journal.append_all(tx, [change] * count, gateway.now()))


async def verify(settings: Settings, **given: str) -> Verification:
    async with open_gateway(settings, read_only=True) as gateway:
        return await audit.verify_audit(gateway, **given)


@pytest.fixture
async def three(configure: Configure) -> Settings:
    """A journal of three runs with four entries each, signed at the end of each run."""
    settings = configure()
    for _ in range(3):
        async with open_gateway(settings) as gateway:
            await write(gateway, 4)
    return settings


def tamper(settings: Settings, *statements: str) -> None:
    with closing(sqlite3.connect(settings.file.with_name("fedreg.db"))) as db:
        for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            db.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            db.execute(statement)
        db.commit()


async def test_each_process_signs_what_it_has_written(three: Settings, tmp_path: Path) -> None:
    lines = [json.loads(line) for line in (tmp_path / "heads.jsonl").read_text().splitlines()]
    assert [line["sequence"] for line in lines] == [4, 8, 12]
    assert stat.S_IMODE((tmp_path / "audit.pem").stat().st_mode) == 0o600
    async with open_gateway(three):
        pass
    assert len((tmp_path / "heads.jsonl").read_text().splitlines()) == 3, "nothing has moved"
    assert await verify(three) == Verification(ok=True, entries=12, heads=6, vouched_until=12)


async def test_heads_can_be_checked_with_other_tools(three: Settings, tmp_path: Path) -> None:
    """The lines of docs/audit.md."""
    async with open_gateway(three) as gateway:
        (tmp_path / "key.pub").write_text((await anchors.get_audit_key(gateway)).public_key)
    fields = json.loads((tmp_path / "heads.jsonl").read_text().splitlines()[1])
    (tmp_path / "signature").write_bytes(b64decode(fields.pop("signature")))
    (tmp_path / "signed").write_text(json.dumps(fields, sort_keys=True, separators=(",", ":")))
    command = "openssl pkeyutl -verify -pubin -inkey key.pub -rawin -in signed -sigfile signature"
    done = subprocess.run(command.split(), cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


async def test_a_cut_tail_is_seen_by_the_file_outside_alone(three: Settings, tmp_path: Path) -> None:
    kept = (tmp_path / "heads.jsonl").read_text()
    async with open_gateway(three) as gateway:
        public = (await anchors.get_audit_key(gateway)).public_key
    tamper(three, "DELETE FROM journal WHERE sequence > 9", "DELETE FROM heads WHERE sequence > 9")
    (tmp_path / "heads.jsonl").unlink()
    (tmp_path / "audit.pem").unlink()
    assert (await verify(three)).ok, "all that tells is gone"
    found = await verify(three, anchors=kept, public_key=public)
    assert (found.ok, found.broken_at, found.fault) == (False, 10, Fault.CUT_OFF)
    assert found.detail == "cut off after 9: entry 12 was signed"


async def test_forged_and_unsigned_lines_are_named(three: Settings, tmp_path: Path) -> None:
    path = tmp_path / "heads.jsonl"
    first, second, third = path.read_text().splitlines()
    other = json.loads(first)
    stranger = show_key(create_key(tmp_path / "other.pem").public_key()).key_id
    path.write_text(
        "\n".join(
            [
                first.replace('"sequence":4', '"sequence":5'),
                "not json",
                json.dumps({**other, "key_id": stranger}),
                json.dumps({**other, "more": 1}),
                json.dumps({**other, "signature": "%%"}),
                second,
                third,
            ]
        )
    )
    found = await verify(three)
    assert (found.ok, found.fault, found.entries, found.vouched_until) == (False, Fault.FORGED, 12, 12)
    assert [head.place for head in found.bad_heads] == [f"heads.jsonl:{line}" for line in (1, 2, 3, 4, 5)]
    words = ("not of this head", "unsigned", stranger, "unsigned", "not of this head")
    assert all(word in head.why for word, head in zip(words, found.bad_heads, strict=True))
    assert found.detail == f"heads.jsonl:1: {found.bad_heads[0].why}"


async def test_heads_of_another_store_prove_nothing(three: Settings) -> None:
    tamper(three, "UPDATE meta SET value = 'another' WHERE name = 'store_id'")
    found = await verify(three)
    assert not found.ok and "another store" in found.bad_heads[0].why and len(found.bad_heads) == 6


async def test_a_forged_head_in_the_store_and_a_missing_file_are_named(three: Settings, tmp_path: Path) -> None:
    tamper(three, "UPDATE heads SET hash = 'x' WHERE sequence = 8")
    (tmp_path / "heads.jsonl").unlink()
    found = await verify(three)
    assert [head.place for head in found.bad_heads] == ["store:8", "heads.jsonl"]


async def test_what_was_signed_and_is_gone_is_not_signed_over(
    three: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    tamper(three, "DELETE FROM journal WHERE sequence > 9")
    async with open_gateway(three) as gateway:
        await write(gateway, 5)
    assert "entry 12 of the journal is not the one that was signed" in caplog.text
    found = await verify(three)
    assert (found.ok, found.broken_at, found.vouched_until) == (False, 12, 8)


async def test_a_lost_key_is_not_made_anew(three: Settings, tmp_path: Path) -> None:
    (tmp_path / "audit.pem").unlink()
    async with open_gateway(three) as gateway:
        with pytest.raises(ConfigError, match="was signed with key"):
            await anchors.get_audit_key(gateway)
    assert not (tmp_path / "audit.pem").exists()


async def test_anchors_without_a_key_are_refused(configure: Configure, tmp_path: Path) -> None:
    settings = configure()
    async with open_gateway(settings) as gateway:
        await write(gateway)
    (tmp_path / "audit.pem").unlink()
    with pytest.raises(InvalidRequest, match="without a key"):
        await verify(settings, anchors="")
    with pytest.raises(InvalidRequest, match="public_key"):
        await verify(settings, public_key="-----BEGIN PUBLIC KEY-----\nx\n-----END PUBLIC KEY-----")


@pytest.mark.parametrize("text", ["", "no key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
async def test_a_file_that_is_no_key(configure: Configure, tmp_path: Path, text: str) -> None:
    (tmp_path / "audit.pem").write_text(text)
    async with open_gateway(configure()) as gateway:
        with pytest.raises(ConfigError, match=r"audit\.key"):
            await anchors.check_key(gateway)


async def test_an_anchor_file_gets_what_it_lacks(three: Settings, tmp_path: Path) -> None:
    path = tmp_path / "heads.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text(f"{lines[0]}torn li")
    async with open_gateway(three):
        pass
    assert path.read_text() == f"{lines[0]}torn li\n{lines[1]}{lines[2]}"


# -- addresses --------------------------------------------------------------------------------------------


class Receiver:
    """Takes heads; `answers` are the statuses of the next requests, 200 where none is left."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.got: list[dict[str, object]] = []
        self.arrived = asyncio.Event()

    async def take(self, request: web.Request) -> web.Response:
        status = self.answers.pop(0) if self.answers else 200
        if status == 200 and request.headers["Authorization"] == "Bearer secret":
            self.got.append(await request.json())
            self.arrived.set()
        return web.Response(status=status)


@pytest.fixture
async def receiver() -> AsyncIterator[tuple[Receiver, str]]:
    taking, app = Receiver(), web.Application()
    app.router.add_post("/heads", taking.take)
    async with TestServer(app) as server:
        yield taking, f", {{url: '{server.make_url('/heads')}', headers: {{Authorization: Bearer secret}}}}"


async def test_an_address_gets_heads_and_is_asked_again(
    configure: Configure, receiver: tuple[Receiver, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    taking, anchor = receiver
    taking.answers = [503]
    settings = configure(anchor)
    assert "secret" not in repr(settings)
    async with open_gateway(settings) as gateway:
        await write(gateway, 2)
        signed = await anchors.sign_head(gateway)
        assert signed is not None
        assert [(head["sequence"], head["signature"]) for head in taking.got] == [(2, signed.signature)]
        await anchors.sign_head(gateway)
        assert len(taking.got) == 1, "it has got this one"


async def test_an_address_that_refuses_spoils_nothing(
    configure: Configure, receiver: tuple[Receiver, str], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    taking, anchor = receiver
    taking.answers = [403]
    async with open_gateway(configure(anchor)) as gateway:
        await write(gateway)
        await anchors.sign_head(gateway)
        assert taking.got == [] and "it answered 403" in caplog.text and "secret" not in caplog.text
        assert len((tmp_path / "heads.jsonl").read_text().splitlines()) == 1
        await anchors.sign_head(gateway)
        assert len(taking.got) == 1, "what it lacks comes with the next round"


async def test_a_running_gateway_signs_by_itself(configure: Configure, receiver: tuple[Receiver, str]) -> None:
    taking, anchor = receiver
    async with open_gateway(configure(anchor)) as gateway:
        await write(gateway, 3)
        signing = asyncio.create_task(anchors.sign_for_ever(gateway))
        await _within(taking.arrived.wait())
        signing.cancel()
        last = await gateway.store.read(heads.get_last)
        assert last is not None and last.sequence == 3


async def _within(waiting: Awaitable[object]) -> None:
    await asyncio.wait_for(waiting, 20)
