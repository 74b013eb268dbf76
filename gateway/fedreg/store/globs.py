"""Model globs in SQLite's dialect, and what of them narrows a search."""

from __future__ import annotations

import re

_PART = re.compile(r"\[(!?+)(\][^\]]*|[^\]]+)\]|(.)", re.DOTALL)


def to_sqlite_glob(glob: str) -> str:
    """The pattern for SQLite's GLOB that matches what `fnmatch.fnmatchcase` matches.

    SQLite negates with `^` instead of `!`, and never matches a `[` that is not closed, where Python means it literally.
    """
    return "".join(_to_part(match) for match in _PART.finditer(glob))


def literal_prefix(glob: str) -> str:
    """The text every match begins with."""
    return re.split(r"[*?\[]", glob, maxsplit=1)[0]


def literal_parts(glob: str) -> list[str]:
    """Texts that every match contains."""
    plain = _PART.sub(lambda match: match[3] if match[3] and match[3] not in "*?" else "\0", glob)
    return [part for part in plain.split("\0") if part]


def is_pattern(glob: str) -> bool:
    """Whether it can match anything but itself."""
    return any(match[3] is None or match[3] in "*?" for match in _PART.finditer(glob))


def _to_part(match: re.Match[str]) -> str:
    negated, inside, char = match.groups()
    if char is not None:
        return "[[]" if char == "[" else char
    if not negated and inside.startswith("^"):  # a literal '^' to Python, a negation to SQLite
        inside = "^" if inside == "^" else f"{inside[1:]}^"
        return "^" if inside == "^" else f"[{inside}]"
    return f"[{'^' if negated else ''}{inside}]"
