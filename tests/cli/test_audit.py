"""`fedreg audit --verify` and `--key`; what is found is tested in tests/services and tests/store."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from .conftest import Outcome

Command = Callable[..., Outcome]


@pytest.fixture
def signed(config: Path) -> Path:
    config.write_text(config.read_text() + "audit: {key: audit.pem, anchors: [{file: heads.jsonl}]}\n")
    return config.parent


def test_a_broken_journal_is_named_with_exit_1(fedreg: Command, churn: str, signed: Path) -> None:
    for stage in ("staging", "production", "archived"):
        assert fedreg("promote", f"{churn}@1", "--to", stage).code == 0
    (signed / "audit.pub").write_text(fedreg("audit", "--key").out)
    whole = fedreg("audit", "--verify")
    assert (whole.code, whole.out.splitlines()[0]) == (0, "journal        whole")
    with closing(sqlite3.connect(signed / "fedreg.db")) as db:
        db.execute("DROP TRIGGER journal_no_delete")
        db.execute("DELETE FROM journal WHERE sequence = 3")
        db.execute("DELETE FROM heads")
        db.commit()
    kept = ("--anchors", str(signed / "heads.jsonl"), "--public-key", str(signed / "audit.pub"))
    found = fedreg("audit", "--verify", *kept, "--json")
    assert found.code == 1
    said = json.loads(found.out)
    assert (said["ok"], said["broken_at"], said["fault"]) == (False, 3, "cut off")
    assert said["detail"] == "cut off after 2: entry 3 was signed"
    assert fedreg("audit", "--verify", "-o", "name").out == "BROKEN\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--verify", "--key"), "--verify and --key"),
        (("--anchors", "heads.jsonl"), "--anchors is of use with --verify only"),
        (("--public-key", "key.pub"), "--public-key is of use with --verify only"),
        (("--verify", "--anchors", "missing.jsonl"), "'missing.jsonl' can't be read"),
    ],
)
def test_wrong_usage(fedreg: Command, arguments: tuple[str, ...], message: str) -> None:
    done = fedreg("audit", *arguments)
    assert done.code == 2 and message in done.err and "cure:" in done.err


def test_without_the_section_there_is_no_key(fedreg: Command) -> None:
    done = fedreg("audit", "--key")
    assert done.code == 3 and "audit is not configured" in done.err
    assert fedreg("audit", "--verify").code == 0
