"""The Hub's webhooks, version 3. The header X-Webhook-Secret is the secret itself and signs nothing."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from typing import Any

from fedreg.domain.errors import Forbidden, InvalidRequest
from fedreg.domain.models import RegistryEvent
from fedreg_adapters.huggingface.manifest import OWN
from fedreg_adapters.huggingface.spelling import CODEC

SECRET_HEADER = "x-webhook-secret"  # noqa: S105 - the header's name
Json = dict[str, Any]


def check_secret(headers: Mapping[str, str], secret: str | None, registry: str) -> None:
    """Forbidden unless the header is the configured secret; compared in constant time."""
    given = headers.get(SECRET_HEADER, "").encode("utf-8", "replace")
    if not secret or not hmac.compare_digest(given, secret.encode()):
        raise Forbidden(
            f"event without the right {SECRET_HEADER}",
            registry=registry,
            cure="give the webhook at the Hub the same secret as webhook_secret",
        )


def read_events(body: bytes, registry: str, namespace: str, is_stage: Callable[[str], bool]) -> list[RegistryEvent]:
    """One event for each tag and branch that changed, else one for the repository; none for another namespace.

    The Hub numbers no deliveries: an event's id is made of what it says. Raises InvalidRequest for no event.
    """
    try:
        message: Json = json.loads(body)
        event, repo = message["event"], message["repo"]
        kind = f"{event['scope']}.{event['action']}"
        owner, _, native = str(repo["name"]).partition("/")
        about = (str(repo["type"]), owner)
        refs = [(str(ref["ref"]), ref.get("newSha")) for ref in message.get("updatedRefs") or ()]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InvalidRequest(
            "the body is no webhook of the Hub", registry=registry, cure="post the Hub's message as it is"
        ) from None
    if about != ("model", namespace) or not native:
        return []
    found = [(ref, sha) for ref, sha in refs if not ref.startswith(f"refs/heads/{OWN}")]
    if refs and not found:  # only an upload under way
        return []
    stem = hashlib.sha256(body).hexdigest()[:32]
    return [
        RegistryEvent(
            id=f"{stem}-{number}",
            model=CODEC.decode(native),
            version=ref.removeprefix("refs/tags/") if ref.startswith("refs/tags/") else None,
            kind=_kind_of(ref, kind, is_stage),
            unique=False,
        )
        for number, (ref, _) in enumerate(found or [("", None)])
    ]


def _kind_of(ref: str, kind: str, is_stage: Callable[[str], bool]) -> str:
    """What may have changed, in the words of an incremental scan where there is one."""
    if not ref.startswith("refs/heads/") or ref == "refs/heads/main":
        return kind
    return "stage" if is_stage(ref.removeprefix("refs/heads/")) else "alias"
