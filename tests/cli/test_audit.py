"""`fedreg audit --verify` and `--key`, `inventory --as-of`: what the command line makes of the journal."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
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


def test_what_there_was(fedreg: Command, churn: str) -> None:
    early = datetime.now(UTC).isoformat()
    assert fedreg("inventory", "--registry", "left").code == 0
    before = datetime.now(UTC).isoformat()
    fedreg("promote", f"{churn}@1", "--to", "production")
    shown = fedreg("inventory", "--versions", "--registry", "left", "--as-of", before, "--json")
    assert shown.code == 0 and "left: the journal covers it since 20" in shown.err
    assert [(row["version"], row["stage"]) for row in json.loads(shown.out)] == [("1", "none"), ("2", "none")]
    assert "production" not in fedreg("inventory", "--registry", "left", "--as-of", before).out
    facets = fedreg("inventory", "--registry", "left", "--as-of", before, "--facets", "--json")
    assert json.loads(facets.out)["stages"] == {"none": 2}
    nothing = fedreg("inventory", "--registry", "left", "--as-of", early, "-o", "name")
    assert (nothing.code, nothing.out) == (4, "left:unknown\n")
    assert "is unknown: covered since" in nothing.err
    history = fedreg("history", f"{churn}@1")
    assert history.err.startswith("the journal covers left since 20") and "production" in history.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--as-of", "yesterday"), "--as-of 'yesterday' is no time"),
        (("--as-of", "2100-01-01"), "is in the future"),
        (("--as-of", "2026-01-01", "--refresh"), "--as-of asks for the past"),
        (("--as-of", "2026-01-01", "--max-age", "1h"), "--as-of asks for the past"),
    ],
)
def test_times_that_are_none(fedreg: Command, arguments: tuple[str, ...], message: str) -> None:
    done = fedreg("inventory", *arguments)
    assert done.code == 2 and message in done.err and "cure:" in done.err
