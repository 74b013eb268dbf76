"""Progress of a migration: a bar on a terminal, plain lines elsewhere, with bytes and the time left; on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from fedreg.cli.output import human_size, note
from fedreg.cli.progress import PLAIN_SECONDS

Report = Callable[[Mapping[str, Any]], None]


@contextmanager
def show_migration(title: str) -> Iterator[Report]:
    """Gives the function to call with `versions`, `versions_done`, `failed`, `bytes` (None: unknown), `bytes_done`."""
    if sys.stderr.isatty():
        with _bar(title) as report:
            yield report
    else:
        yield plain(title)


def plain(title: str, *, every: float = PLAIN_SECONDS, clock: Callable[[], float] = time.monotonic) -> Report:
    """A line now and then, at most one in `every` seconds."""
    last, rate = clock(), Rate(clock)

    def report(state: Mapping[str, Any]) -> None:
        nonlocal last
        left = rate.left(state)
        if clock() - last >= every:
            last = clock()
            note(f"{title}: {_describe(state)}" + ("" if left is None else f", {_duration(left)} left"))

    return report


class Rate:
    """The time left, from what was done since the first report; by bytes where their sum is known."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._first: tuple[float, float] | None = None

    def left(self, state: Mapping[str, Any]) -> float | None:
        """Seconds; None where nothing tells."""
        done, whole = float(state["versions_done"]), float(state["versions"])
        if state["bytes"] and state["bytes_done"] < state["bytes"]:
            done, whole = float(state["bytes_done"]), float(state["bytes"])
        now = self._clock()
        if self._first is None:
            self._first = (now, done)
        began, before = self._first
        if done <= before or not whole:
            return None
        return (now - began) * (whole - done) / (done - before)


@contextmanager
def _bar(title: str) -> Iterator[Report]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[more]}"))
    rate = Rate()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=None, more="listing")

        def report(state: Mapping[str, Any]) -> None:
            left = rate.left(state)
            more = _bytes(state) + ("" if left is None else f", {_duration(left)} left")
            progress.update(task, total=state["versions"], completed=state["versions_done"], more=more)

        yield report


def _describe(state: Mapping[str, Any]) -> str:
    return f"{state['versions_done']} of {state['versions']} versions, {_bytes(state)}"


def _bytes(state: Mapping[str, Any]) -> str:
    whole = "" if state["bytes"] is None else f" of {human_size(state['bytes'])}"
    failed = f", {state['failed']} failed" if state["failed"] else ""
    return f"{human_size(state['bytes_done'])}{whole}{failed}"


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60} min"
