"""Names of repositories: any unified name in, one that the Hub accepts out, and back."""

from __future__ import annotations

from fedreg.domain.errors import InvalidRequest
from fedreg.domain.names import NameCodec

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


class RepositoryCodec(NameCodec):
    """huggingface_hub's validate_repo_id: at most 96 of letters, digits and `._-`; no `--`, no `..`, no `.git` at
    the end, neither `-` nor `.` at either end."""

    def _stands(self, name: str, position: int, last: int) -> bool:
        char = name[position]
        if char in "-." and position > 0 and name[position - 1] == char:
            return False
        if name[position:] == ".git":
            return False
        return super()._stands(name, position, last)


CODEC = RepositoryCodec(max_length=96, mark="Qx_", allowed=frozenset(_ALPHABET + "._-"), inner_only=frozenset("-."))


def native_of(name: str) -> str:
    """The repository's name, without its namespace. InvalidRequest for a name that does not fit with its escapes."""
    native = CODEC.encode(name)
    if CODEC.is_hashed(native):
        raise InvalidRequest(
            f"name {name[:40]!r}… is longer than a repository's name, spelt with the Hub's letters",
            cure="shorten it, or use fewer characters other than A-Z, a-z, 0-9, '.', '_' and '-'",
        )
    return native
