"""`fedreg doctor`: what is wrong with each registry, with the cure, in the time it is given."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .conftest import Outcome

Command = Callable[..., Outcome]
SECRET = "hunter2-of-the-test"


@pytest.fixture
def silent() -> Iterator[str]:
    """An address that takes connections and never says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def add(config: Path, registry: str) -> None:
    config.write_text(f"{config.read_text()}  {registry}\n")


def test_all_is_well(fedreg: Command) -> None:
    outcome = fedreg("doctor")
    assert outcome.code == 0, outcome.err
    assert "REGISTRY" in outcome.out and "left" in outcome.out and "right" in outcome.out and "error" not in outcome.out
    [found] = json.loads(fedreg("doctor", "left", "-o", "json").out)
    assert found["registry"] == "left" and {finding["severity"] for finding in found["findings"]} == {"ok"}


def test_an_error_has_its_cure_and_exit_code(fedreg: Command, config: Path) -> None:
    add(config, f"down: {{kind: mlflow, url: 'http://127.0.0.1:9', token: {SECRET}, calls: {{max_attempts: 1}}}}")
    outcome = fedreg("doctor", "-o", "csv")
    assert outcome.code == 1
    [row] = [line for line in outcome.out.splitlines() if line.startswith("down,")]
    assert ",error," in row and "can't be reached" in row and "check that it runs" in row
    assert SECRET not in outcome.out + outcome.err and "Traceback" not in outcome.err
    assert fedreg("doctor", "left").code == 0


def test_warnings_have_their_cure(fedreg: Command, config: Path) -> None:
    add(config, "bare: {kind: sagemaker, region: eu-west-1, endpoint_url: 'http://127.0.0.1:9'}")
    found = json.loads(fedreg("doctor", "bare", "-o", "json").out)[0]["findings"]
    warnings = [finding for finding in found if finding["severity"] == "warning"]
    assert {finding["check"] for finding in warnings} >= {"artifact_root", "inference image"}
    assert all(finding["cure"] for finding in found if finding["severity"] != "ok")


def test_a_registry_that_hangs_does_not_hang_doctor(fedreg: Command, config: Path, silent: str) -> None:
    add(config, f"hangs: {{kind: mlflow, url: '{silent}'}}")
    outcome = fedreg("doctor", "--deadline", "0.5", "-o", "csv")
    assert outcome.code == 1
    assert "hangs,answer,error,no result within 0.5 s" in outcome.out
    assert "left," in outcome.out


def test_an_unknown_registry(fedreg: Command) -> None:
    outcome = fedreg("doctor", "lefft")
    assert outcome.code == 3 and "'lefft'" in outcome.err and "left" in outcome.err
