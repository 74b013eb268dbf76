"""The suite's plugin serves tests/adapters; its option `--kind` has to be known from the start."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

# Whoever starts the tests in the background may have Ctrl-C ignored, and children inherit that: some are interrupted.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = ["fedreg.testing.plugin"]

TESTS = Path(__file__).parent
# Slow ones come first, so that no process is left with them at the end; a file's tests stay together.
FIRST = ("e2e/test_demo.py", "e2e/", "translation/", "adapters/mlflow/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _rank(item.path.relative_to(TESTS).as_posix()))


def _rank(file: str) -> int:
    return next((rank for rank, first in enumerate(FIRST) if file.startswith(first)), len(FIRST))
