"""What a webhook is sent: a journal entry as a CloudEvent in structured mode, signed as Standard Webhooks says.

https://github.com/cloudevents/spec (1.0), https://github.com/standard-webhooks/standard-webhooks
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import msgspec
from standardwebhooks.webhooks import Webhook as Signer

from fedreg.domain.records import Change, JournalEntry
from fedreg.domain.refs import Ref

MEDIA_TYPE = "application/cloudevents+json; charset=utf-8"
TYPE_PREFIX = "dev.fedreg."
TEST_TYPE = f"{TYPE_PREFIX}webhook_tested"
SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class Message:
    """A body, and the id by which a receiver knows it when it comes twice."""

    id: str
    body: bytes


def make_secret() -> str:
    """A new secret, in the form that libraries of Standard Webhooks take."""
    return f"whsec_{base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()}"


def to_message(entry: JournalEntry, source: str) -> Message:
    """The message of a journal entry. Its id has the entry's place and hash, and never changes."""
    change = entry.change
    message_id = f"{entry.sequence}-{entry.hash[:16]}"
    data = {**msgspec.to_builtins(change), "sequence": entry.sequence, "hash": entry.hash}
    about = {"type": f"{TYPE_PREFIX}{change.action}", "subject": _subject(change), "time": entry.recorded_at}
    return Message(message_id, _encode(message_id, source, {**about, "data": data}))


def to_test(webhook_id: str, source: str, now: datetime) -> Message:
    """A message that tells of nothing, to try an address and its secret."""
    message_id = f"test-{secrets.token_hex(8)}"
    about = {"type": TEST_TYPE, "subject": webhook_id, "time": now, "data": {"webhook": webhook_id}}
    return Message(message_id, _encode(message_id, source, about))


def sign(message: Message, secret: str, now: datetime) -> Mapping[str, str]:
    """The headers that prove a message, good for the minutes that receivers allow."""
    return {
        "Content-Type": MEDIA_TYPE,
        "webhook-id": message.id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Signer(secret).sign(message.id, now, message.body.decode()),
    }


def _encode(message_id: str, source: str, about: Mapping[str, object]) -> bytes:
    head = {"specversion": "1.0", "id": message_id, "source": source, "datacontenttype": "application/json"}
    return msgspec.json.encode({**head, **about})


def _subject(change: Change) -> str:
    if not change.registry:  # of a webhook itself
        return f"webhook:{(change.after or change.before)['webhook']}"
    ref = Ref(change.registry, change.model)
    return str(ref if change.version is None else ref.at_version(change.version))
