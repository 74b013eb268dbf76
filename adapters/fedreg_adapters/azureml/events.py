"""Event Grid's events of a workspace, in its own schema or as CloudEvents.

Event Grid signs nothing: the subscription brings our secret, in the address's query (`?secret=…`), which its question
whether the subscription is meant brings too, or in a header (delivery properties).
https://learn.microsoft.com/azure/event-grid/end-point-validation-event-grid-events-schema and …-cloud-events-schema
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from fedreg.domain.capabilities import Change
from fedreg.domain.errors import Forbidden, InvalidRequest
from fedreg.domain.models import Handshake, RegistryEvent
from fedreg_adapters.azureml.manifest import CODEC
from fedreg_adapters.shared.pushed import EventReader

JSON = dict[str, Any]
SECRET_HEADER = "x-fedreg-event-secret"  # noqa: S105 - the header's name
SECRET_PARAMETER = "secret"  # noqa: S105 - the parameter's name
ORIGIN = "webhook-request-origin"
REGISTERED = "Microsoft.MachineLearningServices.ModelRegistered"
DEPLOYED = "Microsoft.MachineLearningServices.ModelDeployed"
HANDSHAKE = "Microsoft.EventGrid.SubscriptionValidationEvent"
_DEPLOYED_ID = re.compile(r"(?:.*/models/)?(?P<model>[^/:]+)(?::|/versions/)(?P<version>[^/:]+)")


class Events(EventReader):
    """What Event Grid delivers to one workspace."""

    def __init__(self, registry: str, secret: str | None) -> None:
        self._registry, self._secret = registry, secret

    async def parse(self, headers: Mapping[str, str], body: bytes, query: Mapping[str, str]) -> list[RegistryEvent]:
        check_secret(headers, query, self._secret, self._registry)
        return read_events(body, self._registry, CODEC.decode)

    async def answer(self, headers: Mapping[str, str], body: bytes, query: Mapping[str, str]) -> Handshake | None:
        """What Event Grid asks before it delivers; the question has to bring the secret too."""
        found = _find_question(headers, body)
        if found is not None:
            check_secret(headers, query, self._secret, self._registry)
        return found


def check_secret(headers: Mapping[str, str], query: Mapping[str, str], secret: str | None, registry: str) -> None:
    """Forbidden unless the header or the query holds the configured secret; compared in constant time."""
    if not secret:
        raise Forbidden(
            f"registry {registry!r} accepts no events", registry=registry, cure="set event_secret in its configuration"
        )
    given = headers.get(SECRET_HEADER) or query.get(SECRET_PARAMETER, "")
    if not hmac.compare_digest(given.encode("utf-8", "replace"), secret.encode()):
        raise Forbidden(
            f"event without the right {SECRET_HEADER} or ?{SECRET_PARAMETER}=",
            registry=registry,
            cure="put the secret into the address of the Event Grid subscription, or into its delivery properties",
        )


def _find_question(headers: Mapping[str, str], body: bytes) -> Handshake | None:
    """The answer to a code in its own schema, or to an origin for CloudEvents."""
    origin = headers.get(ORIGIN)
    if origin is not None and not body:
        return Handshake(headers={"WebHook-Allowed-Origin": origin, "WebHook-Allowed-Rate": "*"})
    for event in _read_body(body):
        data = event.get("data") if _is_event(event) and _type_of(event) == HANDSHAKE else None
        if isinstance(data, dict) and isinstance(data.get("validationCode"), str):
            return Handshake(body={"validationResponse": data["validationCode"]})
    return None


def read_events(body: bytes, registry: str, name_of: Callable[[str], str]) -> list[RegistryEvent]:
    """The events of a body: one of Event Grid's or a list of them. Those about something else give nothing.

    Raises InvalidRequest for anything that is no event.
    """
    found = _read_body(body)
    if not found or not all(_is_event(event) for event in found):
        raise InvalidRequest("the body is no event", registry=registry, cure="post Event Grid's events as they are")
    return [read for event in found for read in _read_event(event, name_of)]


def _read_body(body: bytes) -> list[Any]:
    try:
        content = json.loads(body)
    except ValueError:
        return [None]
    return content if isinstance(content, list) else [content]


def _is_event(event: object) -> bool:
    return isinstance(event, dict) and bool(event.get("id")) and bool(_type_of(event))


def _type_of(event: JSON) -> str:
    return str(event.get("eventType") or event.get("type") or "")


def _read_event(event: JSON, name_of: Callable[[str], str]) -> list[RegistryEvent]:
    kind, data = _type_of(event), event.get("data")
    if not isinstance(data, dict):
        return []
    if kind == REGISTERED and data.get("modelName"):
        return [_event(event, str(data["modelName"]), data.get("modelVersion"), Change.CREATED, name_of)]
    if kind == DEPLOYED:
        named = (_DEPLOYED_ID.fullmatch(part.strip()) for part in str(data.get("modelIds") or "").split(","))
        return [_event(event, m["model"], m["version"], Change.UPDATED, name_of) for m in named if m is not None]
    return []


def _event(event: JSON, native: str, version: object, change: Change, name_of: Callable[[str], str]) -> RegistryEvent:
    return RegistryEvent(
        id=str(event["id"]),
        model=name_of(native),
        version=None if version is None else str(version),
        kind=change.value,
        occurred_at=_time_of(event),
    )


def _time_of(event: JSON) -> datetime | None:
    text = str(event.get("eventTime") or event.get("time") or "")
    try:
        return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text))
    except ValueError:
        return None
