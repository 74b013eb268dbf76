"""Shell completion is click's own: a script for each shell, and words found without importing a command."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SCRIPT = (
    "import sys\n"
    "from fedreg.cli.main import run\n"
    "try:\n"
    "    run([])\n"
    "finally:\n"
    "    heavy = ('aiohttp', 'sqlalchemy', 'dbos', 'rich', 'msgspec', 'fedreg.cli.inventory', 'fedreg.cli.copies')\n"
    "    print([name for name in heavy if name in sys.modules], file=sys.stderr)\n"
)


def complete(instruction: str, **words: str) -> tuple[str, str]:
    """What completion prints, and what it has imported of the heavy modules."""
    env = {**os.environ, "_FEDREG_COMPLETE": instruction, **words}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=env, capture_output=True, text=True, timeout=60)
    return done.stdout, done.stderr.splitlines()[-1]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_its_script(shell: str) -> None:
    out, imported = complete(f"{shell}_source")
    assert f"_FEDREG_COMPLETE={shell}_complete" in out and "_fedreg_completion" in out
    assert imported == "[]"


@pytest.mark.parametrize(
    ("shell", "words", "expected"),
    [
        ("bash", {"COMP_WORDS": "fedreg in", "COMP_CWORD": "1"}, ["plain,init", "plain,inventory"]),
        ("zsh", {"COMP_WORDS": "fedreg prom", "COMP_CWORD": "1"}, ["plain", "promote", "Give a version a stage."]),
        ("fish", {"COMP_WORDS": "fedreg down", "COMP_CWORD": "down"}, ["plain,download\tWrite a version's files"]),
    ],
)
def test_names_of_commands_complete_without_importing_them(
    shell: str, words: dict[str, str], expected: list[str]
) -> None:
    out, imported = complete(f"{shell}_complete", **words)
    for line in expected:
        assert line in out
    assert imported == "[]"


def test_options_of_a_command_complete() -> None:
    out, _ = complete("bash_complete", COMP_WORDS="fedreg promote --d", COMP_CWORD="2")
    assert out.split() == ["plain,--dry-run"]
