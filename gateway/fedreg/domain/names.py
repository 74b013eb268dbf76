"""Name and version codecs: any name in, a spelling the registry accepts out, and back.

A codec keeps what the registry's alphabet allows and escapes the rest. Where the escaped form is longer
than the registry allows, the spelling ends in a hash and the adapter stores the original beside it.
No two names share a spelling: escapes are injective, a literal escape mark is itself escaped, and no
escaped name can contain the hash form. A spelling that somebody else made and that no name encodes to is
still reachable, as the name `~native~` + spelling.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache

from fedreg.domain.errors import InvalidRequest, NotFound

NATIVE_PREFIX = "~native~"
_HASH_DIGITS = "0123456789abcdefghijklmnopqrstuv"
_HASH_LENGTH = 26  # 128 bits in base 32


@dataclass(frozen=True, slots=True, kw_only=True)
class NameCodec:
    """A reversible escape into a registry's alphabet.

    - `max_length`: of a spelling, in characters.
    - `mark`: opens an escape, as in `mark` + hex code point + `z`. Its characters are allowed ones, its
      first is alphanumeric, occurs in it once, and is neither `z` nor a hex digit.
    - `allowed`: characters that stand as they are; `None` means every printable one but `forbidden`.
    - `inner_only`: allowed characters that may stand neither first nor last (SageMaker's `-`).
    - `not_first`: allowed characters that may not stand first (Vertex's digits).
    - `reserved`: whole spellings the registry refuses (`.` and `..`, say); their first character is escaped.
    """

    max_length: int
    mark: str
    allowed: frozenset[str] | None = None
    forbidden: frozenset[str] = frozenset()
    inner_only: frozenset[str] = frozenset()
    reserved: frozenset[str] = frozenset()
    not_first: frozenset[str] = frozenset()

    def encode(self, name: str) -> str:
        """The registry's spelling of `name`. Raises InvalidRequest for the empty name."""
        if not name:
            raise InvalidRequest("name '' is empty", cure="give a name of at least one character")
        native = name.removeprefix(NATIVE_PREFIX)
        if native != name and native and self._could_be(native) and self._is_foreign(native):
            return native
        return self._encode_plain(name)

    def decode(self, native: str, original: str | None = None) -> str:
        """The name of a spelling. `original` is what the registry stores beside it, if anything.

        A stored original counts only where it encodes to this very spelling: somebody may have edited it.
        """
        if original and self.encode(original) == native:
            return original
        if self._is_foreign(native):
            return NATIVE_PREFIX + native
        return self._unescape(native)

    def is_hashed(self, native: str) -> bool:
        """Whether the spelling ends in a hash, so that the original has to be stored with it."""
        return re.search(f"{re.escape(self.mark)}h[{_HASH_DIGITS}]{{{_HASH_LENGTH}}}$", native) is not None

    def _could_be(self, native: str) -> bool:
        """Whether the registry could hold the spelling at all: nothing else is ever sent to it raw."""
        return len(native) <= self.max_length and (self.allowed is None or self.allowed >= set(native))

    def _is_foreign(self, native: str) -> bool:
        """Whether no plain name can be read out of the spelling."""
        name = self._unescape(native)
        return not name or self._encode_plain(name) != native

    def _encode_plain(self, name: str) -> str:
        return _encode_plain(self, name)

    def _fit(self, name: str) -> str:
        escaped = self._escape(name)
        if len(escaped) <= self.max_length:
            return escaped
        tail = f"{self.mark}h{_hash(name)}"
        head = escaped[: self.max_length - len(tail)]
        opened = head.rfind(self.mark)
        if opened >= 0 and "z" not in head[opened:]:
            head = head[:opened]
        return head + tail

    def _escape(self, name: str) -> str:
        last = len(name) - 1
        return "".join(
            char if self._stands(name, position, last) else f"{self.mark}{ord(char):x}z"
            for position, char in enumerate(name)
        )

    def _stands(self, name: str, position: int, last: int) -> bool:
        char = name[position]
        if char in self.inner_only and position in (0, last):
            return False
        if position == 0 and char in self.not_first:
            return False
        if name.startswith(self.mark, position) or (position == 0 and name in self.reserved):
            return False
        return char in self.allowed if self.allowed is not None else self._printable(char)

    def _printable(self, char: str) -> bool:
        return char not in self.forbidden and char.isprintable()

    def _unescape(self, native: str) -> str:
        pattern = re.escape(self.mark) + "([0-9a-f]{1,6})z"
        try:
            return re.sub(pattern, lambda found: chr(int(found.group(1), 16)), native)
        except ValueError:  # past U+10FFFF: nothing of ours
            return ""


@lru_cache(maxsize=8192)
def _encode_plain(codec: NameCodec, name: str) -> str:
    """A read encodes its model's name several times, and the same models are read again and again."""
    return codec._fit(name)


def _hash(name: str) -> str:
    number = int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[:16], "big")
    return "".join(_HASH_DIGITS[(number >> shift) & 31] for shift in range(125, -1, -5))


def parse_integer_version(version: str, *, registry: str, model: str) -> int:
    """The number of a version in a registry that counts versions 1, 2, 3, …

    Raises NotFound for anything else: such a version can't exist there.
    """
    if re.fullmatch(r"[1-9][0-9]{0,17}", version):
        return int(version)
    raise NotFound(
        f"version {version!r} of model {model!r} does not exist",
        registry=registry,
        cure="versions of this registry are whole numbers from 1",
    )
