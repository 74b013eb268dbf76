"""References: `REGISTRY:MODEL` and `REGISTRY:MODEL@SELECTOR`.

Split at the first `:` and the last `@`. In a model name `%`, `@` and control characters are
percent-escaped when written; anything else, slashes and further colons included, stands as it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from urllib.parse import unquote

from fedreg.domain.errors import InvalidRequest

REGISTRY_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
FORM = "REGISTRY:MODEL or REGISTRY:MODEL@SELECTOR, for example prod:churn@version:3"


class SelectorKind(StrEnum):
    """What a selector names; `any` is a bare one that must match exactly one version across all kinds."""

    VERSION = "version"
    ALIAS = "alias"
    STAGE = "stage"
    ANY = "any"


NAMED_KINDS = (SelectorKind.VERSION, SelectorKind.ALIAS, SelectorKind.STAGE)


@dataclass(frozen=True, slots=True)
class Selector:
    """One way to point at a version of a model."""

    kind: SelectorKind
    value: str

    def __str__(self) -> str:
        text = _escape(self.value)
        if self.kind is not SelectorKind.ANY:
            return f"{self.kind}:{text}"
        kind, colon, value = text.partition(":")
        return f"{kind}%3A{value}" if colon and kind in NAMED_KINDS else text


@dataclass(frozen=True, slots=True)
class Ref:
    """A model, or one of its versions where `selector` is given."""

    registry: str
    model: str
    selector: Selector | None = None

    @classmethod
    def parse(cls, text: str) -> Ref:
        """Read a written reference. Raises InvalidRequest naming the part at fault."""
        registry, colon, rest = text.partition(":")
        if not colon or not rest:
            raise InvalidRequest(f"reference {text!r} has no model", cure=f"write {FORM}")
        if not REGISTRY_NAME.fullmatch(registry):
            raise InvalidRequest(f"reference {text!r}: {registry!r} is no registry name", cure=f"write {FORM}")
        model, at, selector = rest.rpartition("@") if "@" in rest else (rest, "", "")
        if not model or (at and not selector):
            raise InvalidRequest(f"reference {text!r}: model or selector is empty", cure=f"write {FORM}")
        return cls(registry, _unescape(model), parse_selector(selector) if at else None)

    def __str__(self) -> str:
        base = f"{self.registry}:{_escape(self.model)}"
        return base if self.selector is None else f"{base}@{self.selector}"

    def require_selector(self) -> Selector:
        """The selector. Raises InvalidRequest for a reference to a model."""
        if self.selector is None:
            raise InvalidRequest(
                f"reference '{self}' names a model, not a version",
                cure=f"add a selector: {self}@version:1, {self}@alias:champion or {self}@stage:production",
            )
        return self.selector

    def at_version(self, version: str) -> Ref:
        """The same model, pinned to one version."""
        return replace(self, selector=Selector(SelectorKind.VERSION, version))


def parse_selector(text: str) -> Selector:
    """Read `version:3`, `alias:champion`, `stage:production` or a bare value."""
    kind, colon, value = text.partition(":")
    if colon and kind in NAMED_KINDS:
        if not value:
            raise InvalidRequest(f"selector {text!r} has no value", cure=f"write {FORM}")
        return Selector(SelectorKind(kind), _unescape(value))
    return Selector(SelectorKind.ANY, _unescape(text))


def _escape(text: str) -> str:
    return "".join(_escape_char(char) for char in text)


def _escape_char(char: str) -> str:
    if char in "%@" or ord(char) < 0x20 or ord(char) == 0x7F:
        return "".join(f"%{byte:02X}" for byte in char.encode())
    return char


def _unescape(text: str) -> str:
    try:
        return unquote(text, errors="strict") if "%" in text else text
    except UnicodeDecodeError as error:
        raise InvalidRequest(
            f"{text!r} has percent escapes that are not UTF-8", cure="write a literal '%' as '%25'"
        ) from error
