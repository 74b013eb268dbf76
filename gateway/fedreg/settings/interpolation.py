"""`${VAR}`, `${VAR:-default}`, `${file:/run/secrets/x}` in the strings of a document; `$$` is a `$`.

A default applies to an unset and to an empty variable. A file's last line break is left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from fedreg.settings.document import Document, Key, Text

_PLACE = re.compile(r"\$\$|\$\{(?P<body>[^}]*)(?P<end>\}?)")
_VARIABLE = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<default>:-.*)?", re.DOTALL)


def interpolate(document: Document, env: Mapping[str, str]) -> None:
    """Replace every placeholder, in place. ConfigError for a missing variable or file, and a malformed one."""
    document.data = _walk(document.data, (), document, env)


def _walk(value: Any, key: Key, document: Document, env: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _walk(item, (*key, name), document, env) for name, item in value.items()}
    if isinstance(value, list):
        return [_walk(item, (*key, at), document, env) for at, item in enumerate(value)]
    if isinstance(value, str) and not isinstance(value, Text) and "$" in value:
        return _expand(value, key, document, env)
    return value


def _expand(text: str, key: Key, document: Document, env: Mapping[str, str]) -> str:
    def fill(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        if not match["end"]:
            raise document.error(key, "`${` is not closed", "write ${NAME}, or $$ for a plain $")
        return _fill(match["body"], key, document, env)

    filled = _PLACE.sub(fill, text)
    return Text(filled, text) if "${" in text.replace("$$", "") else filled


def _fill(body: str, key: Key, document: Document, env: Mapping[str, str]) -> str:
    if body.startswith("file:"):
        return _read_file(body.removeprefix("file:"), key, document)
    match = _VARIABLE.fullmatch(body)
    if match is None:
        raise document.error(
            key, f"`${{{body[:40]}}}` is no placeholder", "write ${NAME}, ${NAME:-default}, ${file:PATH}, or $$ for a $"
        )
    name, default = match["name"], match["default"]
    value = env.get(name)
    if default is not None and not value:
        return default.removeprefix(":-")
    if value is None:
        raise document.error(key, f"variable {name} is not set", f"set it, or write ${{{name}:-default}}")
    return value


def _read_file(name: str, key: Key, document: Document) -> str:
    path = document.directory / name
    try:
        return path.read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise document.error(key, f"file {path} can't be read ({reason})", "check the path and its rights") from error
