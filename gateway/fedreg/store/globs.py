"""Model globs in the words of SQLite and of PostgreSQL, and what of them narrows a search."""

from __future__ import annotations

import re

_NEVER = "["  # what SQLite matches with nothing
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
    if any(len(part) == 3 and part[0] > part[2] for part in _list_parts(inside)):  # SQLite would match its beginning
        inside = "".join(part for part in _list_parts(inside) if len(part) == 1 or part[0] <= part[2])
        if not inside:
            return "?" if negated else _NEVER
    if not negated and inside.startswith("^"):  # a literal '^' to Python, a negation to SQLite
        inside = f"{inside.lstrip('^')}^"
        return "^" if inside == "^" else f"[{inside}]"
    return f"[{'^' if negated else ''}{inside}]"


def to_regex(glob: str) -> str:
    """The same as an advanced regular expression of PostgreSQL's, anchored at both ends."""
    return f"^(?:{''.join(_to_regex_part(match) for match in _PART.finditer(glob))})$"


def _to_regex_part(match: re.Match[str]) -> str:
    negated, inside, char = match.groups()
    if char is not None:
        return {"*": ".*", "?": "."}.get(char) or _escape(char)
    ranges = "".join(f"{_escape(p[0])}-{_escape(p[-1])}" for p in _list_parts(inside) if p[0] <= p[-1])
    if not ranges:  # nothing is in it
        return "." if negated else "(?!.?)"
    return f"[{'^' if negated else ''}{ranges}]"


def _list_parts(inside: str) -> list[str]:
    """Characters and ranges, as `a-c`; one that ends before it begins holds nothing, as in Python."""
    return re.findall(r".-.|.", inside, re.DOTALL)


def _escape(char: str) -> str:
    """A character by its number, which is the same inside brackets and outside."""
    return char if char.isascii() and char.isalnum() else f"\\U{ord(char):08x}"
