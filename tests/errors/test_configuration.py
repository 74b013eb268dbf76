"""Mistakes in the configuration stop every command, `serve` and `fedreg.open` alike, before anything is touched."""

from __future__ import annotations

import sys

import pytest

import fedreg
from fedreg.cli.main import run

from .cases import AT_START
from .mistakes import MISTAKES
from .page import Row, Said
from .verdict import compare, judge
from .world import COMMAND, PYTHON, Outcome, World, from_streams

TABLE = [(name, surface) for name in MISTAKES for surface in AT_START]


def open_on(world: World, surface: str) -> tuple[Outcome, str]:
    """Open a gateway in one of three ways; how it ended, and how a ConfigError ends there."""
    if surface == PYTHON:
        return world.python(lambda fed: fed.registries(ping=False)), "ConfigError"
    return world.cli(*(("registries", "--no-ping") if surface == COMMAND else ("serve", "--port", "0"))), "exit 2"


@pytest.mark.parametrize(("name", "surface"), TABLE)
def test_mistake_in_the_configuration(world: World, page: dict[Row, Said], name: str, surface: str) -> None:
    mistake = MISTAKES[name]
    world.config.write_text(mistake.text)
    before = sorted(path.name for path in world.home.iterdir())
    outcome, ending = open_on(world, surface)
    judge(outcome, ending, mistake.names, mistake.cure)
    assert sorted(path.name for path in world.home.iterdir()) == before
    compare(page, name, surface, outcome, world.home)


@pytest.mark.parametrize("surface", AT_START)
def test_a_configuration_file_that_is_not_there(world: World, page: dict[Row, Said], surface: str) -> None:
    world.config.unlink()
    before = sorted(path.name for path in world.home.iterdir())
    outcome, ending = open_on(world, surface)
    judge(outcome, ending, ("fedreg.yaml", "no such file"), "fedreg init")
    assert sorted(path.name for path in world.home.iterdir()) == before
    compare(page, "configuration file that is not there", surface, outcome, world.home)


@pytest.mark.parametrize("surface", AT_START)
def test_telemetry_without_its_packages(
    world: World, page: dict[Row, Said], surface: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "fedreg.telemetry.exporting", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    world.config.write_text(f"{world.config.read_text()}telemetry: {{endpoint: 'http://collector:4318'}}\n")
    before = world.state()
    outcome, ending = open_on(world, surface)
    judge(outcome, ending, ("telemetry", "http://collector:4318", "opentelemetry"), "fedreg[telemetry]")
    assert world.state() == before
    compare(page, "telemetry without its packages", surface, outcome, world.home)


@pytest.mark.parametrize("surface", AT_START)
def test_no_configuration_at_all(
    world: World,
    page: dict[Row, Said],
    surface: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (world.home / "empty").mkdir()
    monkeypatch.chdir(world.home / "empty")
    if surface == PYTHON:
        with pytest.raises(fedreg.FedregError) as caught:
            fedreg.open().__enter__()
        error = caught.value
        outcome, ending = Outcome(type(error).__name__, error.message, error.cure or "", text=str(error)), "ConfigError"
    else:
        code = run(["inventory"] if surface == COMMAND else ["serve"])
        outcome, ending = from_streams(code, "", capsys.readouterr().err), "exit 2"
    judge(outcome, ending, ("--config", "FEDREG_CONFIG", "fedreg.yaml"), "fedreg init")
    compare(page, "no configuration at all", surface, outcome, world.home)
