"""Ctrl-C at any moment: no traceback, at most one version, and the same call ends what was begun.

Whole processes, stopped at every step of a copy from MLflow to SageMaker, stand in tests/e2e/test_interrupted_copy.py.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from .page import Row, Said
from .test_copies import copy_on
from .verdict import compare, judge
from .world import COMMAND, FILES, PYTHON, REMOTE, SERVE, URL, Outcome, World, family, from_streams

CASE = "Ctrl-C"
GOES_ON = "what was begun goes on with the same"
# Interrupts `fedreg` while it imports what it needs.
IMPORTING = """
import sys
class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == "click":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupt())
from fedreg.cli import start
start()
"""


@pytest.fixture(autouse=True)
def usual_handler() -> Iterator[None]:
    """As a terminal starts a process; a loop of uvloop, closed by now, may have left its own."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupt_at(monkeypatch: pytest.MonkeyPatch, world: World, number: int) -> None:
    """Ctrl-C once, just before request `number` to the registry that is copied to."""
    vendor, seen = world.vendor("right"), iter(range(1, 1_000_000))
    for name in ("call", "put_blob"):
        original = getattr(vendor, name)

        async def request(*given: Any, original: Any = original, **named: Any) -> Any:
            if next(seen) == number:
                os.kill(os.getpid(), signal.SIGINT)
            return await original(*given, **named)

        monkeypatch.setattr(vendor, name, request)


def copy_interrupted(world: World, surface: str) -> Outcome:
    """A copy as its caller sees it, ended by Ctrl-C or not."""
    try:
        outcome = copy_on(world, surface)
    except KeyboardInterrupt:
        return Outcome("KeyboardInterrupt", "interrupted", f"{GOES_ON} call")
    message, _, cure = outcome.message.removeprefix("fedreg: ").partition("; ")
    return Outcome(outcome.ending, message, cure, text=outcome.text)


def interrupt_and_go_on(monkeypatch: pytest.MonkeyPatch, world: World, surface: str, number: int) -> Outcome:
    """Interrupt a copy, look at what is there, and ask for the same again."""
    before = world.state()
    with monkeypatch.context() as armed:  # a copy may end with fewer requests; the next one is not to be interrupted
        interrupt_at(armed, world, number)
        outcome = copy_interrupted(world, surface)
    releases = [shelf["releases"] for shelf in world.vendor("right").shelves.values()]
    assert sum(map(len, releases)) <= 1 and world.state()["left"] == before["left"]
    again = copy_on(world, surface)
    assert again.ending in ("exit 0", "done"), again.text
    [release] = world.vendor("right").shelves["churn"]["releases"].values()
    assert {path: data for path, data in release["blobs"].items() if path in FILES} == FILES
    assert len([row for row in world.state()["journal"] if "'copied'" in row]) == 1
    return outcome


@pytest.mark.parametrize("surface", [COMMAND, URL, PYTHON, REMOTE])
def test_an_interrupted_copy(
    world: World, page: dict[Row, Said], monkeypatch: pytest.MonkeyPatch, surface: str
) -> None:
    outcome = interrupt_and_go_on(monkeypatch, world, surface, 5)
    ending = {COMMAND: "exit 130", PYTHON: "KeyboardInterrupt"}[family(surface)]
    judge(outcome, ending, ("interrupted",), GOES_ON)
    compare(page, CASE, surface, outcome, world.home)


@pytest.mark.soak
@pytest.mark.parametrize("number", range(1, 17))
@pytest.mark.parametrize("surface", [COMMAND, URL, PYTHON, REMOTE])
def test_interrupted_before_every_request(
    world: World, monkeypatch: pytest.MonkeyPatch, surface: str, number: int
) -> None:
    outcome = interrupt_and_go_on(monkeypatch, world, surface, number)
    assert outcome.ending in ("exit 130", "KeyboardInterrupt", "exit 0", "done")
    assert "Traceback" not in outcome.text


def test_an_interrupted_gateway(world: World, page: dict[Row, Said]) -> None:
    command = [sys.executable, "-m", "fedreg.cli.main", "--config", str(world.config), "serve", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as serving:
        assert serving.stderr is not None
        said = next((line for line in serving.stderr if "listening" in line), "")
        serving.send_signal(signal.SIGINT)
        out, err = serving.communicate(timeout=60)
    assert said != ""
    assert "Traceback" not in out + err and "interrupted" not in err
    outcome = Outcome(f"exit {serving.returncode}", "stopped", "what was promised goes on at the next start")
    judge(outcome, "exit 0", (), "next start")
    compare(page, CASE, SERVE, outcome, world.home)


def test_interrupted_while_importing() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORTING], capture_output=True, text=True, timeout=60)
    outcome = from_streams(done.returncode, done.stdout, done.stderr)
    assert (outcome.ending, outcome.text) == ("exit 130", "fedreg: interrupted\n")
