"""Overrides from the environment: `FEDREG__SECTION__KEY=value`, two underscores between the parts of a key.

Parts are matched without regard to case, and `_` in a part matches `-` and `.`: FEDREG__REGISTRIES__SM_EU__REGION
sets `registries.sm-eu.region`. A part that matches nothing is taken in lower case. Numbers count list items from 0.
Values are literal (no `${…}`) and are read as YAML where no text is expected: `[reader, operator]`, `8080`, `false`.
A registry whose name holds `__` can't be reached.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from fedreg.domain.errors import ConfigError
from fedreg.settings.document import Document, Key, Text

PREFIX = "FEDREG__"


def apply_overrides(document: Document, env: Mapping[str, str]) -> None:
    """Set what the environment overrides, in place. ConfigError names the variable."""
    for name in sorted(env):
        if name.upper().startswith(PREFIX):
            _apply(document, name, env[name])


def _apply(document: Document, name: str, value: str) -> None:
    parts = name[len(PREFIX) :].split("__")
    if not all(parts):
        raise ConfigError(f"{name}: a part of the key is empty", cure=f"write {PREFIX}SECTION__KEY")
    parent: Any = document.data
    key: Key = ()
    for part in parts[:-1]:
        step = _step(parent, part, name)
        key = (*key, step)
        document.origins.setdefault(key, name)
        parent = _descend(parent, step)
    last = _step(parent, parts[-1], name)
    parent[last] = Text(value, value)
    document.origins[*key, last] = name


def _step(parent: Any, part: str, name: str) -> str | int:
    """The key or index that a part means."""
    if isinstance(parent, list):
        if not part.isdigit() or int(part) >= len(parent):
            raise ConfigError(
                f"{name}: {part!r} is no item of a list of {len(parent)}", cure="give an index, counted from 0"
            )
        return int(part)
    if not isinstance(parent, dict):
        raise ConfigError(f"{name}: {part!r} lies below a plain value", cure="override the value itself")
    if part.lower() in parent:
        return part.lower()
    matches = [key for key in parent if _plain(key) == _plain(part)]
    if len(matches) > 1:
        raise ConfigError(f"{name}: {part!r} could mean {' or '.join(matches)}", cure="set it in the file")
    return matches[0] if matches else part.lower()


def _descend(parent: Any, step: Any) -> Any:
    if isinstance(parent, dict) and parent.get(step) is None:
        parent[step] = {}
    return parent[step]


def _plain(text: str) -> str:
    return re.sub(r"[-.]", "_", text.lower())
