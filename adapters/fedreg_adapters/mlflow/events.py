"""MLflow's webhooks: is a message genuine, and which model does it speak of?

Signature and headers: mlflow.webhooks.delivery, `v1,` + base64 of HMAC-SHA256 over `{delivery id}.{seconds}.{body}`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime

from fedreg.domain.errors import Forbidden, InvalidRequest
from fedreg.domain.models import RegistryEvent
from fedreg_adapters.mlflow.manifest import CODEC

TOLERANCE = 300.0  # seconds
SIGNATURE, TIMESTAMP, DELIVERY = "x-mlflow-signature", "x-mlflow-timestamp", "x-mlflow-delivery-id"
_ENTITIES = frozenset(
    {"registered_model", "model_version", "model_version_tag", "model_version_alias", "registered_model_tag"}
)


def parse_event(
    headers: Mapping[str, str], body: bytes, *, secret: str, registry: str, now: datetime
) -> list[RegistryEvent]:
    """The event of a message; none for entities that are no models (prompts, say).

    `headers` are lower-case. Raises Forbidden for a wrong or missing signature and for a message older or newer
    than five minutes, InvalidRequest for a signed body that is no event.
    """
    check_signature(headers, body, secret=secret, registry=registry, now=now)
    try:
        message = json.loads(body)
        entity, action, data = str(message["entity"]), str(message["action"]), message["data"]
        if entity not in _ENTITIES:
            return []
        return [
            RegistryEvent(
                id=headers[DELIVERY],
                model=CODEC.decode(str(data["name"])),
                version=str(data["version"]) if data.get("version") else None,
                kind=f"{entity}.{action}",
                occurred_at=_time(message.get("timestamp")),
            )
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidRequest("the message is no MLflow webhook event", registry=registry) from error


def check_signature(headers: Mapping[str, str], body: bytes, *, secret: str, registry: str, now: datetime) -> None:
    """Forbidden unless the message was signed with the secret, within the tolerance."""
    delivery, stamp = headers.get(DELIVERY, ""), headers.get(TIMESTAMP, "")
    given = headers.get(SIGNATURE, "")
    expected = f"v1,{_sign(secret, delivery, stamp, body)}"
    if not hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode()):
        raise Forbidden(
            "the message's signature is missing or wrong",
            registry=registry,
            cure="give the webhook in MLflow the same secret as webhook_secret",
        )
    if not re.fullmatch(r"[0-9]{1,12}", stamp) or abs(now.timestamp() - int(stamp)) > TOLERANCE:
        raise Forbidden("the message is too old or from the future", registry=registry, cure="check the clocks")


def _sign(secret: str, delivery: str, stamp: str, body: bytes) -> str:
    signed = f"{delivery}.{stamp}.".encode("utf-8", "surrogatepass") + body
    return base64.b64encode(hmac.new(secret.encode(), signed, hashlib.sha256).digest()).decode()


def _time(text: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(text)) if text else None
    except ValueError:
        return None
    return found.astimezone(UTC) if found and found.tzinfo else None
