"""JSON in and out. The domain's dataclasses are encoded as they are; requests are structs that know no other fields."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, Literal, TypeVar, get_args, get_origin

import msgspec
from aiohttp import web

from fedreg.domain.errors import ConfigError, InvalidRequest
from fedreg.registries.manifests import nearest

T = TypeVar("T")
JSON = "application/json"
_JSON_HEADERS = {"Content-Type": JSON}
_AT = re.compile(r" - at `\$\.?(.*)`$")
_FIELD = re.compile(r"^Object (contains unknown|missing required) field '(.*)'$")
_EXPECTED = re.compile(r"^Expected '([^']*)'(.*?)(?:, got '.*')?$")
_TYPES = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "datetime": "a time with its zone, as in 2026-01-31T12:00:00Z",
}


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of bodies and query strings: a field it does not know is refused by name."""


R = TypeVar("R", bound=Request)


class Origin(Request, frozen=True, kw_only=True):
    """`from=index` answers from the last scan, without asking the registry."""

    source: Literal["live", "index"] = msgspec.field(default="live", name="from")


class Listing(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """A page: `next_cursor` gives the next one as `cursor`; null on the last page."""

    items: tuple[T, ...]
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Reply(Generic[T]):
    """An answer with headers, or with another status than its route's."""

    value: T
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def _encode_other(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is no JSON value")


# Sorted, so that the same item always has the same bytes, and with them the same ETag.
_ENCODER = msgspec.json.Encoder(order="deterministic", enc_hook=_encode_other)


def encode(value: Any) -> bytes:
    """JSON; aware datetimes as ISO 8601, `Z` for UTC."""
    return _ENCODER.encode(value)


def etag_of(encoded: bytes) -> str:
    """The strong ETag of an encoded item, quotes included."""
    return f'"{hashlib.sha256(encoded).hexdigest()[:32]}"'


def respond(encoded: bytes, status: int, headers: Mapping[str, str] | None = None) -> web.Response:
    """A response of encoded JSON."""
    return web.Response(body=encoded, status=status, headers={**_JSON_HEADERS, **headers} if headers else _JSON_HEADERS)


def body_reader(kind: type[R]) -> Callable[[bytes], R]:
    """A decoder of bodies. It raises InvalidRequest naming the field; an empty body counts as `{}`."""
    decoder = msgspec.json.Decoder(kind)
    known = tuple(item.encode_name for item in msgspec.structs.fields(kind))
    choices = _choices(kind)

    def read(body: bytes) -> R:
        raw = body or b"{}"
        try:
            return decoder.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise _explain_body(raw, error, known, choices) from None
        except ConfigError as error:  # what may stand in a configuration, too
            raise InvalidRequest(f"body: {error.message}", cure=error.cure) from None

    return read


def query_reader(kind: type[R]) -> Callable[[web.Request], R]:
    """A decoder of query strings. Fields that are tuples may come several times, others once."""
    fields = msgspec.structs.fields(kind)
    known = tuple(item.encode_name for item in fields)
    repeatable = {item.encode_name for item in fields if _is_tuple(item.type)}
    required = any(item.required for item in fields)
    choices = _choices(kind)
    nothing = None if required else msgspec.convert({}, kind)

    def read(request: web.Request) -> R:
        if nothing is not None and not request.query_string:
            return nothing
        given: dict[str, Any] = {}
        for name in request.query:
            values = request.query.getall(name)
            if len(values) > 1 and name in known and name not in repeatable:
                raise InvalidRequest(f"query: {name!r} is given {len(values)} times", cure="give it once")
            given[name] = values if name in repeatable else values[0]
        try:
            return msgspec.convert(given, kind, strict=False)
        except msgspec.ValidationError as error:
            raise _invalid("query", error, given, known, choices) from None

    return read


def _is_tuple(kind: Any) -> bool:
    kind = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    return get_origin(kind) is tuple


def _choices(kind: type[Request]) -> dict[str, tuple[str, ...]]:
    """The words that a field takes, for those that take certain ones only."""
    schema = msgspec.json.schema_components([kind])[1]
    properties = schema[kind.__name__].get("properties", {})
    return {name: words for name, field in properties.items() if (words := tuple(_words(field, schema)))}


def _words(field: Any, schema: Mapping[str, Any]) -> Iterator[str]:
    if "$ref" in field:
        field = schema[field["$ref"].rpartition("/")[2]]
    yield from (str(word) for word in field.get("enum", ()) if word is not None)
    for part in (*field.get("anyOf", ()), *([field["items"]] if isinstance(field.get("items"), dict) else ())):
        yield from _words(part, schema)


def _explain_body(
    raw: bytes, error: Exception, known: tuple[str, ...], choices: Mapping[str, tuple[str, ...]]
) -> InvalidRequest:
    try:
        given = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as malformed:
        return InvalidRequest(f"body: it is not JSON ({malformed})", cure="send one JSON object in UTF-8")
    return _invalid("body", error, given, known, choices)


def _invalid(
    where: str, error: Exception, given: Any, known: tuple[str, ...], choices: Mapping[str, tuple[str, ...]]
) -> InvalidRequest:
    text = str(error)
    at = _AT.search(text)
    place = at.group(1) if at else ""
    what = (text[: at.start()] if at else text).replace("`", "'")
    shown = f" (it is {given[place]!r:.60})" if isinstance(given, dict) and place in given else ""
    if shown and "'" in what and repr(given[place]) in what:
        shown = ""
    about = f"{where}{'.' if place else ''}{place}"
    if (named := _FIELD.match(what)) is not None:
        return _wrong_field(about, named[2], () if place else known, missing=named[1] == "missing required")
    words = choices.get(place.partition("[")[0], ()) if place else known
    return InvalidRequest(f"{about}: {what}{shown}", cure=_cure(what, words))


def _wrong_field(about: str, name: str, known: tuple[str, ...], *, missing: bool) -> InvalidRequest:
    """`known`: the fields of this place, where they are known."""
    if missing:
        return InvalidRequest(f"{about}: field {name!r} is missing", cure=f"add {name!r}")
    cure = nearest(name, known) if known else "leave it out, or correct its name: /docs has the fields"
    return InvalidRequest(f"{about}: field {name!r} is unknown", cure=cure)


def _cure(what: str, words: tuple[str, ...]) -> str:
    """What a place takes: one of `words`, else what msgspec has expected there."""
    if words:
        return f"it takes: {', '.join(words)}"
    if "RFC3339" in what:
        return f"give {_TYPES['datetime']}"
    if (expected := _EXPECTED.match(what)) is None:
        return "correct it: /docs has what it takes"
    kinds = " or ".join(_TYPES.get(kind, kind) for kind in expected[1].split(" | "))
    return f"give {kinds}{expected[2]}"
