"""Changes of webhooks as the journal tells them: no secret, and no whole address, which may have a token in it."""

from __future__ import annotations

import hashlib
from typing import Any
from urllib.parse import urlsplit

from fedreg.domain.records import Actor, Change
from fedreg.domain.webhooks import Delivery, Webhook


def to_setting(before: Webhook | None, after: Webhook, actor: Actor) -> Change:
    """A webhook was made or changed; `new_secret` where one was made with it."""
    shown = {**_settings(after), "new_secret": after.secret is not None}
    return _change("webhook_set", actor, None if before is None else _settings(before), shown)


def to_deletion(before: Webhook, actor: Actor) -> Change:
    """A webhook was removed."""
    return _change("webhook_deleted", actor, _settings(before), None)


def to_redelivery(before: Delivery, after: Delivery, actor: Actor) -> Change:
    """A message is to be sent again; `entry` is the sequence of what it tells."""
    return _change("webhook_redelivered", actor, _delivery(before), _delivery(after))


def _settings(webhook: Webhook) -> dict[str, Any]:
    """The address by its host, and by a hash that shows whether the rest of it has changed."""
    parts = urlsplit(webhook.url)
    return {
        "webhook": webhook.id,
        "host": f"{parts.scheme}://{parts.netloc}",
        "url_sha256": hashlib.sha256(webhook.url.encode()).hexdigest(),
        "actions": list(webhook.actions),
        "registries": list(webhook.registries),
        "model": webhook.model,
    }


def _delivery(delivery: Delivery) -> dict[str, Any]:
    return {"webhook": delivery.webhook_id, "entry": delivery.sequence, "state": delivery.state.value}


def _change(action: str, actor: Actor, before: dict[str, Any] | None, after: dict[str, Any] | None) -> Change:
    return Change(action=action, registry="", model="", actor=actor, before=before, after=after)
