"""A configuration file as parsed: its values, and where each of them stands.

YAML by PyYAML's safe loader, with duplicate keys refused and lines remembered.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from fedreg.domain.errors import ConfigError

Key = tuple[str | int, ...]


class Text(str):
    """Text from an interpolation or the environment. It is read as YAML where no text is expected.

    `source` is what messages show in its place: an interpolated value may be a secret in the wrong field.
    """

    source: str

    def __new__(cls, value: str, source: str) -> Text:
        text = super().__new__(cls, value)
        text.source = source
        return text


@dataclass
class Document:
    """`data` is the top mapping, `origins` says where a key stands: `FILE:LINE` or an environment variable."""

    file: Path
    data: dict[str, Any]
    origins: dict[Key, str] = field(default_factory=dict)

    @property
    def directory(self) -> Path:
        """What relative paths resolve against."""
        return self.file.absolute().parent

    def error(self, key: Key, message: str, cure: str | None = None) -> ConfigError:
        """A ConfigError that names the place, the full key and the cure."""
        name = dotted(key)
        where = self.origin(key)
        details = {"file": str(self.file), "key": name, "origin": where}
        return ConfigError(f"{where}: {name}: {message}" if name else f"{where}: {message}", cure=cure, details=details)

    def origin(self, key: Key) -> str:
        """Where a key stands, or the nearest key around it."""
        for length in range(len(key), -1, -1):
            if key[:length] in self.origins:
                return self.origins[key[:length]]
        return str(self.file)


def dotted(key: Key) -> str:
    """`registries.prod.url`, `auth.tokens[0].sha256`."""
    text = ""
    for part in key:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def read_document(file: Path) -> Document:
    """Parse a file. ConfigError for a missing, unreadable or empty one, and for what is not a YAML mapping."""
    try:
        return parse_document(file.read_text(encoding="utf-8"), file)
    except FileNotFoundError:
        raise ConfigError(
            f"{file}: no such file", cure="give another --config, or write one with `fedreg init`"
        ) from None
    except OSError as error:
        raise ConfigError(f"{file}: can't be read ({error.strerror})", cure="check the path and its rights") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: is not UTF-8 text", cure="save it as UTF-8") from error


def parse_document(text: str, file: Path) -> Document:
    """As read_document, from text."""
    document = Document(file, {})
    try:
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                raise ConfigError(f"{file}: is empty", cure="`fedreg init` writes one to start from")
            if not isinstance(node, yaml.MappingNode):
                raise document.error((), "is not a mapping of sections", "start with `registries:`")
            document.data = _construct(loader, node, (), document)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        # only the problem itself: the excerpt that PyYAML adds may quote a secret
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        line = f":{mark.line + 1}" if mark is not None else ""
        message = f"{file}{line}: is not YAML: {problem or 'it holds characters that no text has'}"
        raise ConfigError(message, cure="correct the file there") from error
    return document


def _construct(loader: yaml.SafeLoader, node: Any, key: Key, document: Document) -> Any:
    """The value of a node. Anchors are followed; one inside itself is refused by its depth."""
    document.origins.setdefault(key, f"{document.file}:{node.start_mark.line + 1}")
    if len(key) > 20:
        raise document.error(key[:3], "is nested too deeply", "an anchor may not contain itself")
    if isinstance(node, yaml.SequenceNode):
        return [_construct(loader, item, (*key, at), document) for at, item in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        return _construct_mapping(loader, node, key, document)
    return loader.construct_object(node)


def _construct_mapping(loader: yaml.SafeLoader, node: yaml.MappingNode, key: Key, document: Document) -> dict[str, Any]:
    seen: dict[str, int] = {}
    for name_node, _ in node.value:
        name, line = name_node.value, name_node.start_mark.line + 1
        document.origins[*key, str(name)] = f"{document.file}:{line}"
        if name in seen and name != "<<":
            raise document.error((*key, name), f"is given twice, first in line {seen[name]}", "remove one of them")
        seen[name] = line
    loader.flatten_mapping(node)  # merge keys (<<)
    found: dict[str, Any] = {}
    for name_node, value_node in node.value:
        name = loader.construct_object(name_node)
        if not isinstance(name, str):
            raise document.error((*key, str(name_node.value)), f"is read as {name!r}, not as text", "put it in quotes")
        found[name] = _construct(loader, value_node, (*key, name), document)
    return found
