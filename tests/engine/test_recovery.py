"""A killed process loses no finished step: real processes, SIGKILL, a new process on the same file."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from fedreg.domain.errors import RegistryUnavailable

SOURCES = Path(__file__).parents[2] / "gateway"
PROCESS = Path(__file__).with_name("durable_process.py")


def spawn(tmp_path: Path, stop_at: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(PROCESS), str(tmp_path / "engine.db"), str(tmp_path / "notes"), stop_at],
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(SOURCES)},
        cwd=tmp_path,
    )


def kill_at(tmp_path: Path, stop_at: str) -> None:
    with spawn(tmp_path, stop_at) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"at {stop_at}\n"
        process.kill()


def finish(tmp_path: Path) -> dict[str, Any]:
    with spawn(tmp_path, "-") as process:
        out, _ = process.communicate(timeout=30)
        assert process.returncode == 0
    result: dict[str, Any] = json.loads(out)
    return result


def executed(tmp_path: Path) -> list[str]:
    return (tmp_path / "notes").read_text().split()


RESULT = {
    "first": "result of first",
    "files": ["result of a", "result of b", "result of c", "result of d"],
    "failure": {
        "code": "registry_unavailable",
        "message": "down",
        "cure": RegistryUnavailable.usual_cure,
        "registry": "r1",
        "retryable": True,
        "outcome": "not_applied",
        "retry_after": 7.5,
    },
    "on_main_loop": True,
}


def test_killed_again_and_again_it_repeats_only_what_was_under_way(tmp_path: Path) -> None:
    kill_at(tmp_path, "in first")
    assert executed(tmp_path) == ["first"]

    kill_at(tmp_path, "in a")  # two at a time: the others may have ended beside it
    assert executed(tmp_path)[1] == "first"
    before = executed(tmp_path)

    kill_at(tmp_path, "after fail")
    assert "a" in executed(tmp_path)[len(before) :]
    assert "first" not in executed(tmp_path)[len(before) :]
    before = executed(tmp_path)
    assert set(before) == {"first", "a", "b", "c", "d", "fail"}

    assert finish(tmp_path) == RESULT  # from checkpoints alone, the error among them
    assert executed(tmp_path) == before
