"""Event Grid's events of a workspace, in its own schema or as CloudEvents.

Event Grid signs nothing: the subscription must add the header with our secret (delivery properties).
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
from fedreg.domain.models import RegistryEvent

JSON = dict[str, Any]
SECRET_HEADER = "x-fedreg-event-secret"  # noqa: S105 - the header's name
REGISTERED = "Microsoft.MachineLearningServices.ModelRegistered"
DEPLOYED = "Microsoft.MachineLearningServices.ModelDeployed"
HANDSHAKE = "Microsoft.EventGrid.SubscriptionValidationEvent"
_DEPLOYED_ID = re.compile(r"(?:.*/models/)?(?P<model>[^/:]+)(?::|/versions/)(?P<version>[^/:]+)")


def check_secret(headers: Mapping[str, str], secret: str | None, registry: str) -> None:
    """Forbidden unless the header holds the configured secret; compared in constant time."""
    if not secret:
        raise Forbidden(
            f"registry {registry!r} accepts no events", registry=registry, cure="set event_secret in its configuration"
        )
    if not hmac.compare_digest(headers.get(SECRET_HEADER, "").encode(), secret.encode()):
        raise Forbidden(
            f"event without the right {SECRET_HEADER}",
            registry=registry,
            cure="add the header to the delivery properties of the Event Grid subscription",
        )


def read_events(body: bytes, registry: str, name_of: Callable[[str], str]) -> list[RegistryEvent]:
    """The events of a body: one of Event Grid's or a list of them. Those about something else give nothing.

    Raises InvalidRequest for anything that is no event, and for the handshake, which a person must answer.
    """
    try:
        content = json.loads(body)
    except ValueError:
        content = None
    found = content if isinstance(content, list) else [content]
    if not found or not all(_is_event(event) for event in found):
        raise InvalidRequest("the body is no event", registry=registry, cure="post Event Grid's events as they are")
    if any(_type_of(event) == HANDSHAKE for event in found):
        raise InvalidRequest(
            "Event Grid asks whether its subscription is meant",
            registry=registry,
            cure="open the validationUrl that the subscription shows, within five minutes",
        )
    return [read for event in found for read in _read_event(event, name_of)]


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
