"""A link in a file of its own, as the configuration writes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from fedreg.domain.errors import ConfigError, InvalidRequest
from fedreg.domain.links import Link
from fedreg.settings.binding import bind
from fedreg.settings.document import Document


def read_link(text: str, file: Path) -> Link:
    """Raises InvalidRequest naming the place, the key and the cure."""
    try:
        data: Any = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InvalidRequest(f"{file}: it is not YAML: {error}", cure="correct it") from error
    if not isinstance(data, dict):
        raise InvalidRequest(f"{file}: it is no mapping", cure="write `members: […]`, `authority: …` and so on")
    try:
        link: Link = bind(Document(file, data), Link, data, ())
    except ConfigError as error:
        raise InvalidRequest(error.message, cure=error.cure) from error
    return link
