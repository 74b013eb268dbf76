"""`fedreg migrate`: what it prints, writes and ends with."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from fedreg.cli.migration_progress import plain

from .conftest import Outcome

Command = Callable[..., Outcome]
MIGRATE = ("migrate", "left", "right")


def test_all_versions_arrive_and_the_second_run_moves_none(fedreg: Command, churn: str, tmp_path: Path) -> None:
    report = tmp_path / "report.jsonl"
    first = fedreg(*MIGRATE, "--report", str(report))
    assert first.code == 0, first.err
    assert "moved          2, 11 B" in first.out and "complete       yes" in first.out
    rows = [json.loads(line) for line in report.read_text().splitlines()]
    assert [(row["source"], row["target"], row["state"]) for row in rows] == [
        (f"left:churn@version:{number}", f"right:churn@version:{number}", "moved") for number in (1, 2)
    ]
    table = tmp_path / "report.csv"
    second = json.loads(fedreg(*MIGRATE, "--report", str(table), "--json").out)
    assert (second["moved"], second["already_there"], second["source_versions"]) == (0, 2, 2)
    with table.open() as file:
        assert [row["state"] for row in csv.DictReader(file)] == ["already_there", "already_there"]
    named = fedreg(*MIGRATE, "-o", "name")
    assert named.out.split() == ["right:churn@version:1", "right:churn@version:2"]


@pytest.mark.parametrize("ending", ["jsonl", "yaml"])
def test_a_plan_is_written_edited_and_run(fedreg: Command, churn: str, tmp_path: Path, ending: str) -> None:
    plan = tmp_path / f"plan.{ending}"
    made = fedreg(*MIGRATE, "--with", "stages,aliases", "--plan-out", str(plan))
    assert made.code == 0, made.err
    assert "to move         2, 2 files, 11 B" in made.out and "leaving left    11 B" in made.out
    assert fedreg("inventory", "--registry", "right", "-o", "name").out == ""
    assert fedreg(*MIGRATE, "--plan", str(plan), "--dry-run", "-o", "name").out.split() == [
        "left:churn@version:1",
        "left:churn@version:2",
    ]
    plan.write_text(plan.read_text().replace("right:churn", "right:leavers"))
    done = fedreg(*MIGRATE, "--plan", str(plan))
    assert done.code == 0, done.err
    assert fedreg("inventory", "--versions", "--registry", "right", "-o", "name").out.split() == [
        "right:leavers@version:1",
        "right:leavers@version:2",
    ]


@pytest.mark.parametrize("ending", ["jsonl", "yaml"])
def test_a_plan_that_is_wrong_is_refused_by_line_and_field(
    fedreg: Command, churn: str, tmp_path: Path, ending: str
) -> None:
    plan = tmp_path / f"plan.{ending}"
    fedreg(*MIGRATE, "--plan-out", str(plan))
    good = plan.read_text()
    plan.write_text(
        good.replace('"target": "right:churn"', '"traget": "x"').replace("target: right:churn", "traget: x")
    )
    wrong = fedreg(*MIGRATE, "--plan", str(plan))
    line = 2 if ending == "jsonl" else good[: good.index("- source")].count("\n") + 1
    assert wrong.code == 2 and f"{plan}:{line}: field 'traget' is unknown" in wrong.err
    plan.write_text(good.replace('"files": 1', '"files": "many"').replace("files: 1", "files: many"))
    assert fedreg(*MIGRATE, "--plan", str(plan)).code == 2
    plan.write_text("\n".join(good.splitlines()[1:]) if ending == "jsonl" else good[good.index("- source") :])
    headless = fedreg(*MIGRATE, "--plan", str(plan))
    assert headless.code == 2 and "no header" in headless.err
    plan.write_text("{nonsense")
    assert fedreg(*MIGRATE, "--plan", str(plan)).code == 2
    plan.write_text(good)
    assert "is for left to right" in fedreg("migrate", "right", "left", "--plan", str(plan)).err


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("names.yaml", '"*": "team-{model}"\n'),
        ("names.csv", "source,target\n*,team-{model}\n"),
        ("names.csv", "\ufeffchurn,team-churn\r\n"),
    ],
    ids=["yaml", "csv", "spreadsheet"],
)
def test_names_come_from_a_file(fedreg: Command, churn: str, tmp_path: Path, name: str, text: str) -> None:
    file = tmp_path / name
    file.write_text(text, newline="")
    done = fedreg(*MIGRATE, "--map", str(file), "--last", "1", "-o", "name")
    assert (done.code, done.out) == (0, "right:team-churn@version:1\n"), done.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--plan", "p.jsonl", "--model", "x"), "leave --model out"),
        (("--plan", "p.jsonl", "--with", "stages"), "leave --with out"),
        (("--plan", "p.jsonl", "--plan-out", "q.jsonl"), "--plan and --plan-out"),
        (("--plan", "no-such.jsonl"), "can't be read"),
        (("--plan", "plan.txt"), "no known ending"),
        (("--plan-out", "no/such/plan.jsonl"), "does not exist"),
        (("--report", "report.txt"), "no known ending"),
        (("--map", "names.yaml"), "can't be read"),
        (("--with", "stages,notes"), "'notes'"),
        (("--jobs", "0"), "--jobs"),
        (("--model", "[", "--stage", "Prod"), "'Prod'"),
    ],
    ids=[str(number) for number in range(11)],
)
def test_bad_input_is_named(
    fedreg: Command, churn: str, arguments: tuple[str, ...], words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    refused = fedreg(*MIGRATE, *arguments)
    assert refused.code == 2 and words in refused.err
    assert "Traceback" not in refused.err


def test_nothing_to_move_is_said(fedreg: Command, churn: str) -> None:
    ended = fedreg(*MIGRATE, "--stage", "staging")
    assert ended.code == 0 and "nothing to move: no version of left" in ended.err
    misspelt = fedreg(*MIGRATE, "--model", "chrun*", "--dry-run")
    assert misspelt.code == 2 and "no model of registry 'left' matches 'chrun*'" in misspelt.err


def test_a_version_that_does_not_arrive_is_exit_code_7(fedreg: Command, churn: str, tmp_path: Path) -> None:
    fedreg("create", "right:churn")
    fedreg("copy", f"{churn}@version:2", "right:churn")
    ended = fedreg(*MIGRATE, "--preserve-versions", "--keep-going")
    assert ended.code == 7
    assert "NOT MOVED" in ended.out.upper() and "can't be preserved" in ended.out
    operations = json.loads(fedreg("operations", "list", "--json").out)
    assert [view["state"] for view in operations if view["kind"] == "migration"] == ["failed"]


def test_plain_progress_says_bytes_and_the_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    now = 0.0
    report = plain("left to right", every=5, clock=lambda: now)
    for seconds, done in ((0.0, 0), (6.0, 10), (7.0, 11), (60.0, 50)):
        now = seconds
        report({"versions": 100, "versions_done": done, "failed": 0, "bytes": None, "bytes_done": done * 1024})
    report({"versions": 100, "versions_done": 60, "failed": 1, "bytes": 102400, "bytes_done": 51200})
    assert capsys.readouterr().err.splitlines() == [
        "left to right: 10 of 100 versions, 10.0 KiB, 54 s left",
        "left to right: 50 of 100 versions, 50.0 KiB, 1 min left",
    ]
