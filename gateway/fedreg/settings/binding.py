"""Binding parsed values to dataclasses, strictly: unknown keys, missing ones and wrong types are refused.

A field's metadata may say `path=True`: a relative file path that resolves against the configuration file. A field
with `repr=False` is a secret: messages show `***`.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import yaml

from fedreg.domain.errors import FedregError
from fedreg.registries.manifests import nearest
from fedreg.settings.document import Document, Key, Text
from fedreg.settings.redaction import MASK, mask_url

_SCALARS: Mapping[type, tuple[tuple[type, ...], str]] = {
    bool: ((bool,), "true or false"),
    int: ((int,), "a whole number"),
    float: ((int, float), "a number"),
    str: ((str,), "text"),
}


def bind(document: Document, target: Any, data: Any, key: Key, *, secret: bool = False) -> Any:
    """`data` as the type `target`. ConfigError naming the place, the key, the value and the cure."""
    origin = get_origin(target)
    if target is Any:
        return data
    if origin in (Union, types.UnionType):
        return _bind_union(document, get_args(target), data, key, secret)
    if origin is Literal:
        return _bind_choice(document, {str(word): word for word in get_args(target)}, data, key, secret)
    if isinstance(target, type) and issubclass(target, Enum):
        return _bind_choice(document, {str(item.value): item for item in target}, data, key, secret)
    if is_dataclass(target):
        return bind_dataclass(document, target, data, key)
    if origin is not None and issubclass(origin, Mapping):
        return _bind_mapping(document, get_args(target)[1], data, key, secret)
    if origin in (tuple, list, frozenset, set) or (origin is not None and issubclass(origin, Sequence)):
        return _bind_items(document, target, data, key, secret)
    if target is Path:
        return resolve(document, bind(document, str, data, key, secret=secret))
    return _bind_scalar(document, target, data, key, secret)


def bind_dataclass(document: Document, target: Any, data: Any, key: Key, *, also: Sequence[str] = ()) -> Any:
    """A mapping as a dataclass. `also` are keys that the caller reads itself."""
    data = structure(document, data, key, dict, "a mapping")
    known = {item.name: item for item in fields(target) if item.init}
    for name in data:
        if name not in known and name not in also:
            raise document.error((*key, name), "unknown key", nearest(name, (*known, *also)))
    hints = _hints(target)
    values = {
        name: _bind_field(document, known[name], hints[name], data[name], (*key, name))
        for name in data
        if name in known
    }
    for name, item in known.items():
        if name not in values and item.default is MISSING and item.default_factory is MISSING:
            raise document.error(key, f"{name!r} is missing", f"add `{name}: …`")
    return construct(document, target, values, key)


def construct(document: Document, target: Callable[..., Any], values: Mapping[str, Any], key: Key) -> Any:
    """Call a dataclass; what its own checks say is told with the place."""
    try:
        return target(**values)
    except FedregError as error:
        raise document.error(key, error.message, error.cure) from error
    except ValueError as error:
        raise document.error(key, str(error)) from error


def resolve(document: Document, path: str) -> Path:
    """A path of the file, absolute. `~` is the home directory."""
    return document.directory / Path(path).expanduser()


def _bind_field(document: Document, item: Field[Any], hint: Any, data: Any, key: Key) -> Any:
    value = bind(document, hint, data, key, secret=not item.repr)
    if item.metadata.get("path") and isinstance(value, str) and value:
        return str(resolve(document, value))
    return value


def _bind_union(document: Document, options: tuple[Any, ...], data: Any, key: Key, secret: bool) -> Any:
    """Optional values, and plain values with a longer form. An interpolation that comes out empty is None."""
    rest = [option for option in options if option is not type(None)]
    if len(rest) < len(options) and (data is None or (isinstance(data, Text) and not data)):
        return None
    structured = [option for option in rest if is_dataclass(option) == isinstance(data, dict)]
    return bind(document, (structured or rest)[0], data, key, secret=secret)


def _bind_choice(document: Document, choices: Mapping[str, Any], data: Any, key: Key, secret: bool) -> Any:
    if isinstance(data, str) and data in choices:
        return choices[data]
    message = f"{show(data, secret)} is none of {', '.join(choices)}"
    raise document.error(key, message, nearest(str(data), tuple(choices)) if not secret else None)


def _bind_mapping(document: Document, target: Any, data: Any, key: Key, secret: bool) -> dict[str, Any]:
    data = structure(document, data, key, dict, "a mapping")
    return {name: bind(document, target, value, (*key, name), secret=secret) for name, value in data.items()}


def _bind_items(document: Document, target: Any, data: Any, key: Key, secret: bool) -> Any:
    data = structure(document, data, key, list, "a list")
    item = get_args(target)[0]
    bound = [bind(document, item, value, (*key, at), secret=secret) for at, value in enumerate(data)]
    origin: Any = get_origin(target)
    return origin(bound) if origin in (list, set, frozenset) else tuple(bound)


def _bind_scalar(document: Document, target: Any, data: Any, key: Key, secret: bool) -> Any:
    accepted, words = _SCALARS.get(target, ((target,), getattr(target, "__name__", str(target))))
    value = _read(data) if isinstance(data, Text) and target is not str else data
    if isinstance(value, accepted) and (target is bool or not isinstance(value, bool)):
        return float(value) if target is float else str(value) if target is str else value
    cure = "put it in quotes" if target is str and value is not None and not isinstance(value, dict | list) else None
    raise document.error(key, f"{show(data, secret)} is not {words}", cure or f"give {words}")


def structure(document: Document, data: Any, key: Key, wanted: type, words: str) -> Any:
    """A mapping or a list; an empty section (`auth:`) is an empty one."""
    value = _read(data) if isinstance(data, Text) else data
    if value is None:
        return wanted()
    if not isinstance(value, wanted):
        raise document.error(key, f"{show(data, secret=False)} is not {words}", f"give {words}")
    return value


def _read(text: Text) -> Any:
    """Text of an interpolation or the environment where something else is wanted; itself if it is no YAML."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def show(data: Any, secret: bool) -> str:
    """A value as messages show it."""
    if secret:
        return MASK
    if isinstance(data, dict | list):
        return "a mapping" if isinstance(data, dict) else "a list"
    if data is None:
        return "nothing"
    return repr(mask_url(str(data.source if isinstance(data, Text) else data))[:60])


@cache
def _hints(target: Any) -> dict[str, Any]:
    return get_type_hints(target)
