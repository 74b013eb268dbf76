"""File names that the artifact proxy would change, and the names they are stored under instead.

The proxy percent-decodes a path until nothing changes and takes it for a URL: `%41` becomes `A`, what follows `#` or an
empty `?` is lost, control characters go (mlflow.utils.uri.validate_path_is_safe). Such a path is stored escaped, as
`~x23~` for `#`; the version's tag `fedreg.paths` tells the names apart from names that merely look so.
"""

from __future__ import annotations

import re
from urllib.parse import unquote, urlparse, urlunparse

MARK = "~x"
_TEMPORARY = ".artifact.uploading."  # reserved by mlflow.store.artifact.local_artifact_repo
_UNSAFE = re.compile(r"[\x00-\x1f\x7f#%?;~]")
_ESCAPED = re.compile(r"~x([0-9a-f]{1,6})~")


def to_stored(path: str) -> str:
    """The spelling a path is stored under; the path itself wherever the proxy keeps it."""
    if _is_kept(path):
        return path
    escaped = _UNSAFE.sub(lambda found: f"{MARK}{ord(found.group()):x}~", path)
    parts = (f"{MARK}2e~{part[1:]}" if part.startswith(_TEMPORARY) else part for part in escaped.split("/"))
    return "/".join(parts)


def to_path(stored: str) -> str:
    """The path of a spelling that `to_stored` made."""
    return _ESCAPED.sub(lambda found: chr(int(found.group(1), 16)), stored)


def _is_kept(path: str) -> bool:
    whole = f"1/{path}"
    changed = unquote(whole) != whole or urlunparse(urlparse(whole)) != whole or "#" in path
    odd = MARK in path or any(ord(char) < 32 or ord(char) == 127 for char in path)
    return not (changed or odd or any(part.startswith(_TEMPORARY) for part in path.split("/")))
