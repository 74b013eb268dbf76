"""EventBridge events: `SageMaker Model Package State Change`, as an API destination posts them.

EventBridge signs nothing: the connection of the API destination must add the header with our secret.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Mapping
from datetime import datetime

from fedreg.domain.capabilities import Change
from fedreg.domain.errors import Forbidden, InvalidRequest
from fedreg.domain.models import RegistryEvent
from fedreg_adapters.sagemaker.client import JSON

SECRET_HEADER = "x-fedreg-event-secret"  # noqa: S105 - the header's name
DETAIL_TYPE = "SageMaker Model Package State Change"
_CHANGES = {"ModelLifeCycle": Change.STAGE, "ModelApprovalStatus": Change.APPROVAL}


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
            cure="add the header to the connection of the EventBridge API destination",
        )


def read_events(body: bytes, registry: str, name_of: Callable[[str], str]) -> list[RegistryEvent]:
    """The events of a body: one of EventBridge's or a list of them. Those about something else give nothing.

    Raises InvalidRequest for anything that is no event.
    """
    try:
        content = json.loads(body)
    except ValueError:
        content = None
    found = content if isinstance(content, list) else [content]
    if not found or not all(_is_event(event) for event in found):
        raise InvalidRequest("the body is no event", registry=registry, cure="post EventBridge's event as it is")
    events = (_read_event(event, name_of) for event in found)
    return [event for event in events if event is not None]


def _is_event(event: object) -> bool:
    """Whether it has the envelope that every EventBridge event has."""
    return isinstance(event, dict) and all(event.get(name) for name in ("id", "source", "detail-type"))


def _read_event(event: JSON, name_of: Callable[[str], str]) -> RegistryEvent | None:
    detail = event.get("detail")
    if (event["source"], event["detail-type"]) != ("aws.sagemaker", DETAIL_TYPE) or not isinstance(detail, dict):
        return None
    native, version = detail.get("ModelPackageGroupName"), detail.get("ModelPackageVersion")
    if not native:  # a package without a group is no version of ours
        return None
    return RegistryEvent(
        id=str(event["id"]),
        model=name_of(str(native)),
        version=None if version is None else str(version),
        kind=_kind_of(detail),
        occurred_at=_time_of(event),
    )


def _kind_of(detail: JSON) -> str:
    updated = detail.get("UpdatedModelPackageFields") or ()
    return next((change for field, change in _CHANGES.items() if field in updated), Change.UPDATED).value


def _time_of(event: JSON) -> datetime | None:
    try:
        return datetime.fromisoformat(str(event.get("time")))
    except ValueError:
        return None
