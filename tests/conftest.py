"""The suite's plugin serves tests/adapters; its option `--kind` has to be known from the start."""

from __future__ import annotations

import gc
import signal
from pathlib import Path
from typing import Any

import pytest

# Whoever starts the tests in the background may have Ctrl-C ignored, and children inherit that: some are interrupted.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = ["fedreg.testing.plugin"]

TESTS = Path(__file__).parent
# Slow ones come first, so that no process is left with them at the end. A file's tests stay in one process; those of
# a folder named here do too, for they share servers that take long to start.
FIRST = ("e2e/test_demo.py", "e2e/", "translation/", "adapters/mlflow/")


def pytest_collection(session: pytest.Session) -> None:
    gc.disable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _rank(item.path.relative_to(TESTS).as_posix()))


def pytest_collection_finish(session: pytest.Session) -> None:
    gc.freeze()  # the vendors' SDKs and the tests themselves: millions of objects that stay to the end
    gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """`--dist loadfile`, with the folders above as one file each."""
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            rank = _rank((config.rootpath / file).relative_to(TESTS).as_posix())
            return FIRST[rank] if rank < len(FIRST) else file

    return Scheduling(config, log)


def _rank(file: str) -> int:
    return next((rank for rank, first in enumerate(FIRST) if file.startswith(first)), len(FIRST))
