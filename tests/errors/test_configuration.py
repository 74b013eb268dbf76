"""Mistakes in the configuration stop every command, `serve` and `fedreg.open` alike, before anything is touched."""

from __future__ import annotations

import pytest

import fedreg
from fedreg.cli.main import run

from .mistakes import MISTAKES
from .page import Row
from .verdict import compare, judge
from .world import Outcome, World

TABLE = [(name, surface) for name in MISTAKES for surface in ("command line", "serve", "Python")]


def open_on(world: World, surface: str) -> tuple[Outcome, str]:
    """Open a gateway in one of three ways; how it ended, and how a ConfigError ends there."""
    if surface == "Python":
        return world.python(lambda fed: fed.registries(ping=False)), "ConfigError"
    return world.cli(
        *(("registries", "--no-ping") if surface == "command line" else ("serve", "--port", "0"))
    ), "exit 2"


@pytest.mark.parametrize(("name", "surface"), TABLE)
def test_mistake_in_the_configuration(world: World, page: dict[Row, str], name: str, surface: str) -> None:
    mistake = MISTAKES[name]
    world.config.write_text(mistake.text)
    before = sorted(path.name for path in world.home.iterdir())
    outcome, ending = open_on(world, surface)
    judge(outcome, ending, mistake.names, mistake.cure)
    assert sorted(path.name for path in world.home.iterdir()) == before
    compare(page, name, surface, outcome, world.home)


@pytest.mark.parametrize("surface", ["command line", "serve", "Python"])
def test_no_configuration_at_all(
    world: World,
    page: dict[Row, str],
    surface: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (world.home / "empty").mkdir()
    monkeypatch.chdir(world.home / "empty")
    if surface == "Python":
        with pytest.raises(fedreg.FedregError) as caught:
            fedreg.open().__enter__()
        error = caught.value
        outcome, ending = Outcome(type(error).__name__, error.message, error.cure or "", text=str(error)), "ConfigError"
    else:
        code = run(["inventory"] if surface == "command line" else ["serve"])
        message, _, cure = capsys.readouterr().err.partition("\n  cure: ")
        outcome, ending = Outcome(f"exit {code}", message.strip(), cure.strip(), text=message + cure), "exit 2"
    judge(outcome, ending, ("--config", "FEDREG_CONFIG", "fedreg.yaml"), "fedreg init")
    compare(page, "no configuration at all", surface, outcome, world.home)
