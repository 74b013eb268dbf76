"""Progress of a copy: a bar on a terminal, plain lines elsewhere; always on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from fedreg.cli.output import human_size, note

PLAIN_SECONDS = 5.0


@contextmanager
def show_progress(title: str) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Gives the function to call with `files`, `files_done`, `bytes` and `bytes_done`."""
    if sys.stderr.isatty():
        with _bar(title) as report:
            yield report
    else:
        yield _plain(title)


@contextmanager
def _bar(title: str) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=None)
        yield lambda state: progress.update(task, total=state["bytes"], completed=state["bytes_done"])


def _plain(title: str) -> Callable[[Mapping[str, Any]], None]:
    last = time.monotonic()

    def report(state: Mapping[str, Any]) -> None:
        nonlocal last
        if time.monotonic() - last >= PLAIN_SECONDS:
            last = time.monotonic()
            done, whole = human_size(state["bytes_done"]), human_size(state["bytes"])
            note(f"{title}: {state['files_done']} of {state['files']} files, {done} of {whole}")

    return report
