"""Files of a migration: the plan (JSON lines or YAML), the name map (YAML or CSV), the report (JSON lines or CSV).

A plan begins with a header (`fedreg_plan`, `source`, `target`, `options`, `counts`); every further line or item is a
row. Errors name file, line and field.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, fields
from io import StringIO
from pathlib import Path
from typing import IO, Any

import msgspec

from fedreg.domain.errors import InvalidRequest
from fedreg.domain.migrations import MigratedVersion, MigrationPlan, PlannedVersion

FORMAT = 1
HEADER = ("fedreg_plan", "source", "target", "options", "counts")
COUNTS = ("models", "to_move", "already_there", "with_losses", "with_problems", "files", "bytes", "leaving")
REPORT_COLUMNS = ("source", "target", "state", "digest", "files", "bytes", "losses", "error")
LINES, YAML, CSV = (".jsonl", ".ndjson"), (".yaml", ".yml"), (".csv",)
_ROW = {item.name: item for item in fields(PlannedVersion)}


def check_file(path: Path, kinds: Sequence[str], what: str) -> None:
    """InvalidRequest for an ending that says no known form, and for a folder that is not there."""
    if path.suffix.lower() not in kinds:
        raise InvalidRequest(f"{what}: '{path}' has no known ending", cure=f"use one of {', '.join(kinds)}")
    if not path.parent.is_dir():
        raise InvalidRequest(f"{what}: folder '{path.parent}' does not exist", cure="make it first")


# -- plans ---------------------------------------------------------------------------------------------


def write_plan(path: Path, plan: MigrationPlan) -> None:
    """Write a plan; the file appears whole or not at all."""
    header = {
        "fedreg_plan": FORMAT,
        "source": plan.source,
        "target": plan.target,
        "options": msgspec.to_builtins(plan.options),
        "counts": {"versions": len(plan.rows), **{name: getattr(plan, name) for name in COUNTS}},
    }
    show = _yaml_item if path.suffix.lower() in YAML else _json_line
    with _replacing(path) as file:
        file.write(show(header))
        file.writelines(show(_row_fields(row)) for row in plan.rows)


def read_plan(path: Path) -> tuple[str, str, tuple[PlannedVersion, ...]]:
    """Source, target and rows. Raises InvalidRequest naming line and field."""
    check_file(path, (*LINES, *YAML), "plan")
    text = _read(path, "plan")
    items = _yaml_items(path, text) if path.suffix.lower() in YAML else _json_items(path, text)
    line, header = next(items, (1, {}))
    if header.get("fedreg_plan") != FORMAT:
        raise InvalidRequest(
            f"{path}:{line}: it has no header of a plan this release reads (fedreg_plan: {FORMAT})",
            cure="a plan, and every part of one, begins with the header that --plan-out writes",
        )
    _refuse_unknown(path, line, header, HEADER)
    source, target = (_text(path, line, header, name) for name in ("source", "target"))
    return source, target, tuple(_to_row(path, number, item) for number, item in items)


def _row_fields(row: PlannedVersion) -> dict[str, Any]:
    """A row without what is as if it were not said."""
    given = {name: getattr(row, name) for name in _ROW}
    return {
        name: msgspec.to_builtins(value)
        for name, value in given.items()
        if _ROW[name].default is MISSING or value != _ROW[name].default
    }


def _to_row(path: Path, line: int, item: Mapping[str, Any]) -> PlannedVersion:
    _refuse_unknown(path, line, item, tuple(_ROW))
    try:
        return msgspec.convert(item, PlannedVersion)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"{path}:{line}: {str(error).replace('`', chr(39))}", cure="correct the row") from None


def _refuse_unknown(path: Path, line: int, item: Mapping[str, Any], known: Sequence[str]) -> None:
    for name in item:
        if name not in known:
            raise InvalidRequest(f"{path}:{line}: field {name!r} is unknown", cure=f"known are {', '.join(known)}")


def _text(path: Path, line: int, header: Mapping[str, Any], name: str) -> str:
    value = header.get(name)
    if not isinstance(value, str):
        raise InvalidRequest(f"{path}:{line}: {name} is no text", cure="name a registry")
    return value


def _json_line(item: Mapping[str, Any]) -> str:
    return json.dumps(item, ensure_ascii=False) + "\n"


def _json_items(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for line, content in enumerate(text.split("\n"), 1):
        if not content.strip():
            continue
        try:
            item = json.loads(content)
        except ValueError as error:
            raise InvalidRequest(f"{path}:{line}: it is not JSON ({error})", cure="one JSON object a line") from None
        yield line, _mapping(path, line, item)


def _yaml_item(item: Mapping[str, Any]) -> str:
    import yaml

    shown = yaml.safe_dump([dict(item)], allow_unicode=True, sort_keys=False, width=10_000)
    return str(shown)


def _yaml_items(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    import yaml

    loader = yaml.SafeLoader(StringIO(text))
    try:
        node = loader.get_single_node()
        if not isinstance(node, yaml.SequenceNode):
            raise InvalidRequest(f"{path}: it is no list", cure="a plan is a YAML list: the header, then the rows")
        for item in node.value:
            line = item.start_mark.line + 1
            yield line, _mapping(path, line, loader.construct_object(item, deep=True))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        at = f":{mark.line + 1}" if mark is not None else ""
        raise InvalidRequest(
            f"{path}{at}: it is not YAML ({getattr(error, 'problem', None) or error})", cure="correct it there"
        ) from None
    finally:
        loader.dispose()


def _mapping(path: Path, line: int, item: Any) -> dict[str, Any]:
    if not isinstance(item, dict) or not all(isinstance(name, str) for name in item):
        raise InvalidRequest(f"{path}:{line}: it is no row of fields", cure="write `source: …`, `target: …`")
    return item


# -- names ---------------------------------------------------------------------------------------------


def read_names(path: Path) -> dict[str, str]:
    """A name map: source name (or glob) -> target name (or template)."""
    check_file(path, (*YAML, *CSV), "map")
    text = _read(path, "map")
    pairs = _csv_pairs(path, text) if path.suffix.lower() in CSV else _yaml_pairs(path, text)
    names: dict[str, str] = {}
    for line, source, target in pairs:
        if not isinstance(source, str) or not isinstance(target, str):
            raise InvalidRequest(f"{path}:{line}: {source!r}: {target!r} are no names", cure="put them in quotes")
        if source in names:
            raise InvalidRequest(f"{path}:{line}: {source!r} comes twice", cure="keep one of the lines")
        names[source] = target
    return names


def _csv_pairs(path: Path, text: str) -> Iterator[tuple[int, str, str]]:
    reader = csv.reader(StringIO(text))
    for cells in reader:
        if not cells or (reader.line_num == 1 and cells == ["source", "target"]):
            continue
        if len(cells) != 2:
            raise InvalidRequest(f"{path}:{reader.line_num}: {len(cells)} columns", cure="write source,target")
        yield reader.line_num, cells[0], cells[1]


def _yaml_pairs(path: Path, text: str) -> Iterator[tuple[int, Any, Any]]:
    import yaml

    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise InvalidRequest(
            f"{path}: it is not YAML ({getattr(error, 'problem', error)})", cure="correct it"
        ) from None
    if not isinstance(node, yaml.MappingNode):
        raise InvalidRequest(f"{path}: it is no mapping", cure="write lines of `source: target`")
    for key, value in node.value:
        yield key.start_mark.line + 1, getattr(key, "value", None), getattr(value, "value", None)


# -- reports -------------------------------------------------------------------------------------------


async def write_report(path: Path, rows: AsyncIterator[MigratedVersion]) -> int:
    """Write a row for every version, as they come; returns how many. The file appears whole or not at all."""
    count = 0
    with _replacing(path) as file:
        write = _csv_writer(file) if path.suffix.lower() in CSV else _line_writer(file)
        async for row in rows:
            write(row)
            count += 1
    return count


def _line_writer(file: IO[str]) -> Callable[[MigratedVersion], object]:
    return lambda row: file.write(_json_line(msgspec.to_builtins(row)))


def _csv_writer(file: IO[str]) -> Callable[[MigratedVersion], object]:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(REPORT_COLUMNS)

    def write(row: MigratedVersion) -> None:
        losses = "; ".join(f"{loss.field} {loss.kind.value}" for loss in row.losses)
        error = "" if row.error is None else str(row.error.get("message", ""))
        writer.writerow([row.source, row.target, row.state.value, row.digest, row.files, row.bytes, losses, error])

    return write


def _read(path: Path, what: str) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")  # spreadsheets put a byte order mark before it
    except OSError as error:
        raise InvalidRequest(f"{what}: '{path}' can't be read: {error.strerror}", cure="check the path") from None
    except UnicodeDecodeError:
        raise InvalidRequest(f"{what}: '{path}' is not UTF-8", cure="save it as UTF-8") from None


@contextmanager
def _replacing(path: Path) -> Iterator[IO[str]]:
    """A file beside the path that takes its place at the end, and is gone where that fails."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("w", encoding="utf-8", newline="") as file:
            yield file
        part.replace(path)
    except OSError as error:
        raise InvalidRequest(f"'{path}' can't be written: {error.strerror}", cure="check folder and space") from None
    finally:
        part.unlink(missing_ok=True)
