"""EventBridge events: `SageMaker Model Package State Change`, as an API destination posts them.

EventBridge signs nothing: the connection of the API destination must add the header with our secret. So must whoever
hands on batches of SQS (`Records`, as a Lambda function gets them), of EventBridge's events or SNS's notifications.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from fedreg.domain.calls import Calls
from fedreg.domain.capabilities import Change
from fedreg.domain.errors import Forbidden, InvalidRequest
from fedreg.domain.models import Handshake, RegistryEvent
from fedreg_adapters.sagemaker.client import JSON
from fedreg_adapters.sagemaker.manifest import SageMakerOptions
from fedreg_adapters.sagemaker.sns import CONFIRMATION, NOTIFICATION, TYPE_HEADER, Topic
from fedreg_adapters.shared.pushed import EventReader

SECRET_HEADER = "x-fedreg-event-secret"  # noqa: S105 - the header's name
DETAIL_TYPE = "SageMaker Model Package State Change"
_CHANGES = {"ModelLifeCycle": Change.STAGE, "ModelApprovalStatus": Change.APPROVAL}


class Events(EventReader):
    """What is pushed to one registry: with a secret in a header, or by the topic of SNS that was configured."""

    def __init__(self, registry: str, options: SageMakerOptions, calls: Calls, name_of: Callable[[str], str]) -> None:
        self._registry, self._secret, self._name_of = registry, options.event_secret, name_of
        arn = options.event_topic
        self._topic = None if arn is None else Topic(registry, arn, calls, options.sns_endpoint_url)

    async def parse(self, headers: Mapping[str, str], body: bytes, query: Mapping[str, str]) -> list[RegistryEvent]:
        """The events of a message; none for one of SNS about the subscription itself."""
        if TYPE_HEADER not in headers:
            check_secret(headers, self._secret, self._registry)
        elif (await self._require_topic().read(body, datetime.now(UTC)))["Type"] != NOTIFICATION:
            return []
        return read_events(body, self._registry, self._name_of)

    async def answer(self, headers: Mapping[str, str], body: bytes, query: Mapping[str, str]) -> Handshake | None:
        """SNS's question whether the subscription is meant, answered by confirming it."""
        if headers.get(TYPE_HEADER) != CONFIRMATION:
            return None
        topic = self._require_topic()
        message = await topic.read(body, datetime.now(UTC))
        if message["Type"] != CONFIRMATION:
            return None
        await topic.confirm(message)
        return Handshake()

    async def aclose(self) -> None:
        if self._topic is not None:
            await self._topic.aclose()

    def _require_topic(self) -> Topic:
        if self._topic is None:
            raise Forbidden(
                f"registry {self._registry!r} takes no messages of SNS",
                registry=self._registry,
                cure="set event_topic in its configuration",
            )
        return self._topic


def check_secret(headers: Mapping[str, str], secret: str | None, registry: str) -> None:
    """Forbidden unless the header holds the configured secret; compared in constant time."""
    if not secret:
        raise Forbidden(
            f"registry {registry!r} accepts no events", registry=registry, cure="set event_secret in its configuration"
        )
    if not hmac.compare_digest(headers.get(SECRET_HEADER, "").encode("utf-8", "replace"), secret.encode()):
        raise Forbidden(
            f"event without the right {SECRET_HEADER}",
            registry=registry,
            cure="add the header to the connection of the EventBridge API destination",
        )


def read_events(body: bytes, registry: str, name_of: Callable[[str], str]) -> list[RegistryEvent]:
    """The events of a body: one of EventBridge's or a list of them. Those about something else give nothing.

    Raises InvalidRequest for anything that is no event.
    """
    found = _unwrap(body)
    if not found or not all(_is_event(event) for event in found):
        raise InvalidRequest("the body is no event", registry=registry, cure="post EventBridge's event as it is")
    events = (_read_event(event, name_of) for event in found if isinstance(event, dict))
    return [event for event in events if event is not None]


def _unwrap(body: bytes) -> list[object]:
    """What is in a body: an event, a list of them, a notification of SNS that holds such, or records of SQS."""
    content = _open_notification(_decode(body))
    if isinstance(content, dict) and isinstance(content.get("Records"), list):
        held = [_decode(record.get("body")) for record in content["Records"] if isinstance(record, dict)]
        return [event for one in held for event in _listed(_open_notification(one))]
    return _listed(content)


def _open_notification(content: object) -> object:
    if isinstance(content, dict) and content.get("Type") == "Notification":
        return _decode(content.get("Message"))
    return content


def _listed(content: object) -> list[object]:
    return content if isinstance(content, list) else [content]


def _decode(text: object) -> object:
    """JSON of text; None for anything else."""
    try:
        return json.loads(text) if isinstance(text, str | bytes) else None
    except (ValueError, RecursionError):
        return None


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
