"""The methods of the Python interface that commands call, and the parameters that options become."""

from __future__ import annotations

import inspect
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, redirect_stderr
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import click

from fedreg.cli.main import COMMANDS, fedreg
from fedreg.domain.errors import FedregError
from surfaces.methods import METHODS

WIDTH = 100
# option or argument -> two words for it that differ
WORDS = {
    "ref": ("left:churn", "right:leavers"),
    "src": ("left:churn", "right:leavers"),
    "dst": ("left:churn", "right:leavers"),
    "tag": ("key=left", "key=right"),
    "pairs": ("key=left", "key=right"),
    "metrics": ("key=1", "key=2"),
    "params": ("key=left", "key=right"),
    "since": ("2026-01-01", "2026-01-02"),
    "until": ("2026-01-01", "2026-01-02"),
    "as_of": ("2026-01-01", "2026-01-02"),
    "max_age": ("1h", "2h"),
    "carry": ("stages", "aliases"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """A command, or a command with an option, that calls a method; `options` is parameter -> spellings."""

    command: str
    method: str
    options: Mapping[str, tuple[str, ...]]


def iter_commands() -> Iterator[tuple[str, click.Command, click.Context]]:
    """Every command by its full name, groups before their own commands."""
    root = click.Context(fedreg, info_name="fedreg", help_option_names=["-h", "--help"], terminal_width=WIDTH)
    yield "fedreg", fedreg, root
    for name in sorted(COMMANDS):
        command = fedreg.get_command(root, name)
        if command is None:
            raise LookupError(f"command {name!r} is listed and can't be loaded")
        yield from _with_children(name, command, root)


def _with_children(
    name: str, command: click.Command, parent: click.Context
) -> Iterator[tuple[str, click.Command, click.Context]]:
    ctx = click.Context(command, info_name=name, parent=parent)
    yield ctx.command_path, command, ctx
    children = command.commands if isinstance(command, click.Group) else {}
    for child in sorted(children):
        yield from _with_children(child, children[child], ctx)


@cache
def list_commands() -> dict[str, click.Command]:
    """Every command that does something itself."""
    return {path: command for path, command, _ in iter_commands() if not isinstance(command, click.Group)}


def list_options(path: str) -> list[str]:
    """A command's options and arguments, as they are written."""
    return [_spell(parameter) for parameter in _parameters(list_commands()[path])]


@cache
def find_uses(path: str) -> tuple[Use, ...]:
    """What a command calls at a gateway, alone and with each option that makes it call something else.

    Empty where it refuses to work with a gateway.
    """
    with TemporaryDirectory() as folder:
        trial = _Trial(path, Path(folder))
        single: list[dict[str, int]] = [{str(parameter.name): 0} for parameter in trial.parameters]
        # one that has to be told something is tried with the first parameter that will do
        base, called = next(((given, call) for given in ({}, *single) if (call := trial.run(given))), ({}, None))
        if called is None:
            return ()
        uses = [trial.use(path, base)]
        for parameter, given in zip(trial.parameters, single, strict=True):
            other = trial.run(given)
            if other is not None and other[0] != called[0]:
                uses.append(trial.use(f"{path} {_spell(parameter)}", given))
        return tuple(uses)


Call = tuple[str, dict[str, Any]]


class Called(Exception):
    """A method was called, with these arguments."""

    def __init__(self, method: str, given: dict[str, Any]) -> None:
        super().__init__(method)
        self.call: Call = (method, given)


class _Caller:
    """A client that only tells what it is asked for."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = METHODS[name]

        def call(*args: Any, **named: Any) -> None:
            bound = inspect.signature(method).bind(self, *args, **named)
            bound.apply_defaults()
            raise Called(name, _flat(bound.arguments))

        return call


def _flat(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments without `self` and without functions, the fields of a group of options among them."""
    found: dict[str, Any] = {}
    for name, value in arguments.items():
        if is_dataclass(value) and name in ("query", "options"):
            found |= {field.name: getattr(value, field.name) for field in fields(value)}
        elif name != "self" and not callable(value):
            found[name] = value
    return found


class _Trial:
    """Runs of one command; which word of a parameter is given is 0 or 1."""

    def __init__(self, path: str, folder: Path) -> None:
        self._path = path.split()[1:]
        self._folder = folder
        self.parameters = _parameters(list_commands()[path])
        self._always = {str(one.name): 0 for one in self.parameters if one.required or one.name == "yes"}

    def use(self, command: str, given: Mapping[str, int]) -> Use:
        """What is called with these, and which parameter changes with which option."""
        plain = self.run(given)
        assert plain is not None
        found: dict[str, list[str]] = {}
        for parameter in self.parameters:
            word = int(str(parameter.name) in {**self._always, **given})
            changed = self.run({**given, str(parameter.name): word})
            if changed is None or changed[0] != plain[0]:
                continue
            for name, value in changed[1].items():
                if value != plain[1][name]:
                    found.setdefault(name, []).append(_spell(parameter))
        return Use(command=command, method=plain[0], options={name: tuple(words) for name, words in found.items()})

    def run(self, given: Mapping[str, int]) -> Call | None:
        """The first method that is called; None where the command refuses its arguments."""
        words = ["--url", "http://gateway", *self._path]
        for parameter in self.parameters:
            which = {**self._always, **given}.get(str(parameter.name))
            if which is not None:
                words += self._words(parameter, which)
        try:
            with patch("fedreg.client.remote.open_remote", _open), redirect_stderr(StringIO()):
                fedreg.main(args=words, prog_name="fedreg", standalone_mode=False)
        except Called as called:
            return called.call
        except (FedregError, click.ClickException):
            return None
        raise LookupError(f"{' '.join(words)} calls nothing")

    def _words(self, parameter: click.Parameter, which: int) -> list[str]:
        if isinstance(parameter, click.Option) and (parameter.is_flag or parameter.count):
            return [parameter.opts[0]]
        value = self._value(parameter, which)
        return [value] if isinstance(parameter, click.Argument) else [f"{_spell(parameter)}={value}"]

    def _value(self, parameter: click.Parameter, which: int) -> str:
        kind, name = parameter.type, str(parameter.name)
        if isinstance(kind, click.Choice):
            return str(list(kind.choices)[-which])
        if isinstance(kind, click.types.IntRange | click.types.FloatRange):
            return ("7", "8")[which]
        if isinstance(kind, click.Path):
            return str(self._file(name, which))
        if parameter.metavar in ("SRC_REGISTRY", "DST_REGISTRY"):
            return ("left", "right")[which]
        return WORDS.get(name, ("left", "right"))[which]

    def _file(self, name: str, which: int) -> Path:
        """A path, with a file where one is read."""
        if name == "names":
            path = self._folder / f"names{which}.yaml"
            path.write_text(f"churn: churn{which}\n")
        elif name == "file":
            path = self._folder / f"link{which}.yaml"
            path.write_text(f"members: ['left:churn', 'right:churn']\nauthority: {('left', 'right')[which]}\n")
        elif name == "plan_file":
            path = self._folder / "plan.jsonl"
            header = {"fedreg_plan": 1, "source": "left", "target": "left", "options": {}, "counts": {}}
            path.write_text(json.dumps(header) + "\n")
        else:
            path = self._folder / f"{name}{which}.jsonl"
            if name in ("anchors", "public_key"):
                path.write_text(f"{name}{which}")
        return path


@asynccontextmanager
async def _open(url: str, token: str | None = None) -> AsyncIterator[_Caller]:
    yield _Caller()


def _parameters(command: click.Command) -> list[click.Parameter]:
    """What is given to the command itself; `--config` and `--url` say where it works."""
    return [one for one in command.params if one.expose_value]


def _spell(parameter: click.Parameter) -> str:
    if isinstance(parameter, click.Argument):
        return parameter.make_metavar(click.Context(click.Command(""))).strip("[]….")
    return max(parameter.opts, key=len)
