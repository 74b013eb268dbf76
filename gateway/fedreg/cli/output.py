"""One way to print: `-o table|wide|json|ndjson|csv|name`. Results go to stdout, everything else to stderr."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import click
import msgspec

FORMATS = ("table", "wide", "json", "ndjson", "csv", "name")


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its title, where its value is found, and whether only `wide` (and csv) shows it."""

    title: str
    value: Callable[[Any], Any]
    wide: bool = False


def format_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`-o FORMAT`, and `--json` for `-o json`; the command gets `output`."""
    command = click.option(
        "--json", "output", flag_value="json", type=click.Choice(FORMATS), help="The same as -o json."
    )(command)
    return click.option(
        "-o", "--output", "output", type=click.Choice(FORMATS), default="table", show_default=True, help="Format."
    )(command)


def print_rows(
    rows: Iterable[Any], columns: Sequence[Column], output: str, *, name: Callable[[Any], str], title: str | None = None
) -> None:
    """Print rows in the format asked for. `name` is a row's one-word form."""
    items = list(rows)
    if output == "json":
        print_json(items)
    elif output == "ndjson":
        for item in items:
            click.echo(msgspec.json.encode(item))
    elif output == "name":
        for item in items:
            click.echo(name(item))
    elif output == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow([column.title for column in columns])
        writer.writerows([_text(column.value(item)) for column in columns] for item in items)
    else:
        _print_table(items, [column for column in columns if output == "wide" or not column.wide], title)


def print_json(value: Any) -> None:
    """Print one JSON document, indented."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))


def print_item(item: Any, fields: Mapping[str, Any], output: str, *, name: str) -> None:
    """Print one thing: as `field  value` lines, or in the format asked for."""
    if output in ("json", "ndjson"):
        print_json(item) if output == "json" else click.echo(msgspec.json.encode(item))
    elif output == "name":
        click.echo(name)
    elif output == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(fields)
        writer.writerow([_text(value) for value in fields.values()])
    else:
        shown = {key: _text(value) for key, value in fields.items() if value not in (None, "", (), [], {})}
        width = max((len(key) for key in shown), default=0)
        for key, text in shown.items():
            click.echo(f"{key:<{width}}  {text}")


def note(text: str) -> None:
    """Say something that is no result."""
    click.echo(text, err=True)


def human_size(count: int) -> str:
    """Bytes as people read them: `512 B`, `1.5 MiB`."""
    value, unit = float(count), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            break
        value /= 1024
    return f"{count} B" if unit == "B" else f"{value:.1f} {unit}"


def _print_table(items: Sequence[Any], columns: Sequence[Column], title: str | None) -> None:
    from rich.console import Console
    from rich.table import Table

    # Off a terminal nothing is cut: the reader is a pipe or a file.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 10_000)
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.title.upper(), overflow="fold")
    for item in items:
        table.add_row(*(_cell(_text(column.value(item))) for column in columns))
    console.print(table)


def _cell(text: str) -> Any:
    from rich.text import Text

    return Text(text)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%SZ")
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={_text(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple, set, frozenset)):
        return ", ".join(_text(item) for item in value)
    return str(value)
