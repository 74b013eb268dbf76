"""Starting the command line: `fedreg --help` against an interpreter that does nothing."""

from __future__ import annotations

import compileall
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from statistics import median

from benchmarks.options import Options
from benchmarks.processes import BenchmarkFailed
from benchmarks.table import Row, at_most

CEILING = 8.0
TURNS = 7  # of either, a round
HELP = "import sys; from fedreg.cli.main import main; sys.argv = ['fedreg', '--help']; main()"


def measure(options: Options) -> list[Row]:
    """One row. Everything is bytecode before the clock starts, as after an installation."""
    _compile("fedreg", "click")
    helping, idle = _command(), [sys.executable, "-c", "pass"]
    mine, theirs = [], []
    for _ in range(options.rounds * TURNS):
        theirs.append(_seconds(idle))
        mine.append(_seconds(helping))
    ratio = median(mine) / median(theirs)
    return [
        Row(
            name="fedreg --help",
            figure=f"{median(mine) * 1000:.0f} ms",
            reference=f"{median(theirs) * 1000:.0f} ms  python -c pass",
            ratio=ratio,
            value=ratio,
            unit="ratio",
            **at_most(ratio, CEILING),
        )
    ]


def _command() -> list[str]:
    """The installed command, or where there is none what it does."""
    installed = Path(sys.executable).with_name("fedreg")
    return [str(installed), "--help"] if installed.exists() else [sys.executable, "-c", HELP]


def _compile(*packages: str) -> None:
    for name in packages:
        spec = find_spec(name)
        for directory in (spec.submodule_search_locations or ()) if spec else ():
            compileall.compile_dir(directory, quiet=2)


def _seconds(command: Sequence[str]) -> float:
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    if done.returncode:
        raise BenchmarkFailed(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return seconds
