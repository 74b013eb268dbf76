"""Checks a request against botocore's own shapes, and enforces what botocore's client leaves to the server.

The client checks required members and minimum sizes only. The service also enforces patterns (on the whole
value), maximum sizes, ranges and enums, and lists every violation in one ValidationException.
"""

import functools
import itertools
import json
import re
import sys
import unicodedata
from collections.abc import Iterator
from typing import Any

import botocore.session
from botocore.model import ServiceModel, Shape

from .standin_errors import ServiceError, invalid

JSON = dict[str, Any]

NUMBERS = frozenset({"integer", "long", "float", "double"})
_PATTERN_TOKEN = re.compile(r"\\p\{(?P<category>\w+)\}|\\.|\[|\]|\.", re.DOTALL)


@functools.cache
def load_service_model(service: str = "sagemaker") -> ServiceModel:
    """Return the service model that boto3 itself uses."""
    return botocore.session.get_session().get_service_model(service)


def check_request(shape: Shape, value: JSON) -> None:
    """Raise ValidationException naming every violated constraint, or SerializationException on a wrong type."""
    found = list(_violations(shape, value, ""))
    if found:
        noun = "error" if len(found) == 1 else "errors"
        raise invalid(f"{len(found)} validation {noun} detected: {'; '.join(found)}")


def project(shape_name: str, document: JSON) -> JSON:
    """Return the members of `document` that the named shape has: what a summary or a description shows."""
    members = load_service_model().shape_for(shape_name).members
    return {name: document[name] for name in members if document.get(name) is not None}


def parse_body(body: bytes) -> JSON:
    """Decode a JSON-1.1 body; null members are absent, as the protocol has it."""
    try:
        value = json.loads(body or b"{}")
    except ValueError as error:
        raise ServiceError("SerializationException", f"Could not parse request body into JSON: {error}") from None
    if not isinstance(value, dict):
        raise ServiceError("SerializationException", "Start of structure or map found where not expected.")
    dropped = _drop_nulls(value)
    return {str(key): member for key, member in dropped.items()}


def _drop_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _drop_nulls(member) for key, member in value.items() if member is not None}
    return [_drop_nulls(member) for member in value] if isinstance(value, list) else value


def _violations(shape: Shape, value: Any, path: str) -> Iterator[str]:
    kind = shape.type_name
    if kind == "structure":
        yield from _structure_violations(shape, _typed(value, dict, kind, path), path)
    elif kind == "list":
        members = _typed(value, list, kind, path)
        yield from _size_violations(shape, value, len(members), path)
        for number, member in enumerate(members, 1):
            yield from _violations(shape.member, member, f"{path}.{number}.member")
    elif kind == "map":
        yield from _map_violations(shape, _typed(value, dict, kind, path), path)
    elif kind == "string":
        text = _typed(value, str, kind, path)
        for constraint in _text_constraints(shape, text):
            yield _say(shape, value, path, constraint)
    elif kind in NUMBERS or kind == "timestamp":
        yield from _number_violations(shape, value, path)
    elif kind == "boolean":
        _typed(value, bool, kind, path)


def _structure_violations(shape: Shape, value: JSON, path: str) -> Iterator[str]:
    for name in shape.required_members:
        if name not in value:
            yield f"Value null at '{_join(path, name)}' failed to satisfy constraint: Member must not be null"
    for name, member in value.items():
        if name not in shape.members:
            yield f"Value at '{_join(path, name)}' failed to satisfy constraint: Member is not known"
        else:
            yield from _violations(shape.members[name], member, _join(path, name))


def _map_violations(shape: Shape, value: JSON, path: str) -> Iterator[str]:
    yield from _size_violations(shape, value, len(value), path)
    for key, member in value.items():
        if found := list(_text_constraints(shape.key, key)):
            yield _say(shape, value, path, f"Map keys must satisfy constraint: [{', '.join(found)}]")
        if shape.value.type_name != "string":
            yield from _violations(shape.value, member, f"{path}.{key}.member")
        elif found := list(_text_constraints(shape.value, _typed(member, str, "string", path))):
            yield _say(shape, value, path, f"Map value must satisfy constraint: [{', '.join(found)}]")


def _text_constraints(shape: Shape, text: str) -> Iterator[str]:
    limits = shape.metadata
    if len(text) < limits.get("min", 0):
        yield f"Member must have length greater than or equal to {limits['min']}"
    if len(text) > limits.get("max", len(text)):
        yield f"Member must have length less than or equal to {limits['max']}"
    if "enum" in limits and text not in limits["enum"]:
        yield f"Member must satisfy enum value set: [{', '.join(limits['enum'])}]"
    if "pattern" in limits and not _compile_pattern(limits["pattern"]).fullmatch(text):
        yield f"Member must satisfy regular expression pattern: {limits['pattern']}"


def _size_violations(shape: Shape, value: Any, size: int, path: str) -> Iterator[str]:
    limits = shape.metadata
    if size < limits.get("min", 0):
        yield _say(shape, value, path, f"Member must have length greater than or equal to {limits['min']}")
    if size > limits.get("max", size):
        yield _say(shape, value, path, f"Member must have length less than or equal to {limits['max']}")


def _number_violations(shape: Shape, value: Any, path: str) -> Iterator[str]:
    whole = shape.type_name in {"integer", "long"}
    number = _typed(value, int if whole else (int, float), shape.type_name, path)
    limits = shape.metadata
    if number < limits.get("min", number):
        yield _say(shape, value, path, f"Member must have value greater than or equal to {limits['min']}")
    if number > limits.get("max", number):
        yield _say(shape, value, path, f"Member must have value less than or equal to {limits['max']}")


def _typed(value: Any, wanted: type | tuple[type, ...], kind: str, path: str) -> Any:
    is_stray_bool = isinstance(value, bool) and wanted is not bool
    if is_stray_bool or not isinstance(value, wanted):
        raise ServiceError(
            "SerializationException", f"{type(value).__name__} can not be converted to {kind} at '{path}'"
        )
    return value


def _say(shape: Shape, value: Any, path: str, constraint: str) -> str:
    shown = "***" if shape.metadata.get("sensitive") else value
    return f"Value '{shown}' at '{path.lstrip('.')}' failed to satisfy constraint: {constraint}"


def _join(path: str, name: str) -> str:
    return f"{path}.{name[:1].lower()}{name[1:]}".lstrip(".")


@functools.cache
def _compile_pattern(pattern: str) -> re.Pattern[str]:
    r"""Translate a Java pattern: `\p{L}` classes, a dot that stops at every line end, the model's `${1,128}` slip."""
    in_class = False

    def replace(match: re.Match[str]) -> str:
        nonlocal in_class
        text = match[0]
        if category := match["category"]:
            body = _character_ranges()[category]
            return body if in_class else f"[{body}]"
        if text == "." and not in_class:
            return r"[^\n\r\x85\u2028\u2029]"
        if text in "[]":
            in_class = text == "["
        return text

    return re.compile(_PATTERN_TOKEN.sub(replace, re.sub(r"\$\{\d+,\d+\}$", "", pattern)))


@functools.cache
def _character_ranges() -> dict[str, str]:
    """Return the body of a regex class for each major Unicode category, and for POSIX Alnum."""
    ranges: dict[str, list[str]] = {}
    for major, run in itertools.groupby(range(sys.maxunicode + 1), lambda code: unicodedata.category(chr(code))[0]):
        codes = list(run)
        ranges.setdefault(major, []).append(f"\\U{codes[0]:08x}-\\U{codes[-1]:08x}")
    return {major: "".join(parts) for major, parts in ranges.items()} | {"Alnum": "A-Za-z0-9"}
