"""Audit log entries of Vertex AI, as a log sink and a push subscription of Pub/Sub deliver them.

Vertex pushes nothing of its registry by itself. Pub/Sub signs each push with an ID token of the service account that
the subscription names: https://cloud.google.com/pubsub/docs/authenticate-push-subscriptions
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from fedreg.domain.calls import Calls
from fedreg.domain.capabilities import Change
from fedreg.domain.errors import Forbidden, InvalidRequest, RegistryError
from fedreg.domain.models import RegistryEvent
from fedreg_adapters.shared.pushed import EventReader
from fedreg_adapters.shared.sessions import Endpoint, Session
from fedreg_adapters.vertex.manifest import VertexOptions
from fedreg_adapters.vertex.mapping import name_of

CERTIFICATES = "/oauth2/v1/certs"
ISSUERS = frozenset({"accounts.google.com", "https://accounts.google.com"})
SKEW = 10  # seconds
KEPT, AGAIN = 3600.0, 60.0  # seconds: how long certificates are used, how soon an unknown one is looked for again
# Writes only: a look reads, and a log of reads would make each look the reason for another.
METHODS: Mapping[str, Change] = {
    "UploadModel": Change.CREATED,
    "CopyModel": Change.CREATED,
    "UpdateModel": Change.UPDATED,
    "MergeVersionAliases": Change.ALIAS,
    "DeleteModel": Change.UPDATED,
    "DeleteModelVersion": Change.UPDATED,
    "ImportModelEvaluation": Change.UPDATED,
}
_MODEL = re.compile(r"projects/[^/]+/locations/(?P<location>[^/]+)/models/(?P<model>[^/@]+)(?:@(?P<version>[^/]+))?")
JSON = dict[str, Any]


class Events(EventReader):
    """What Pub/Sub pushes to one registry."""

    def __init__(self, registry: str, options: VertexOptions, calls: Calls) -> None:
        self._registry, self._location = registry, options.location
        self._tokens = Tokens(registry, options, calls)

    async def parse(self, headers: Mapping[str, str], body: bytes, query: Mapping[str, str]) -> list[RegistryEvent]:
        await self._tokens.check(headers)
        return read_events(body, self._registry, self._location)

    async def aclose(self) -> None:
        await self._tokens.aclose()


class Tokens:
    """Checks the ID tokens of one subscription. Raises Forbidden for any other's."""

    def __init__(self, registry: str, options: VertexOptions, calls: Calls) -> None:
        self._registry, self._calls = registry, calls
        self._audience, self._email = options.event_audience, options.event_email
        self._session = Session(registry, Endpoint(url=options.certs_endpoint))
        self._certificates: Mapping[str, str] = {}
        self._fetched = float("-inf")

    async def check(self, headers: Mapping[str, str]) -> None:
        """Signature, audience, issuer, service account and time."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        key_id = await asyncio.to_thread(_read_key_id, token)
        certificates = {} if key_id is None else await self._find_certificates(key_id)
        claims = await asyncio.to_thread(_verify, token, certificates, self._audience)
        if claims is None:
            raise self._forged()
        owner = (claims.get("email"), claims.get("email_verified"))
        if scheme.lower() != "bearer" or claims.get("iss") not in ISSUERS or owner != (self._email, True):
            raise self._forged()

    async def aclose(self) -> None:
        await self._session.aclose()

    async def _find_certificates(self, key_id: str) -> Mapping[str, str]:
        age = time.monotonic() - self._fetched
        if age > KEPT or (key_id not in self._certificates and age > AGAIN):
            self._certificates = await self._calls.run("get_certificates", self._fetch)
            self._fetched = time.monotonic()
        return self._certificates

    async def _fetch(self) -> Mapping[str, str]:
        async with self._session.request("GET", CERTIFICATES) as answer:
            found = await answer.json() if answer.status == 200 else None
        if not isinstance(found, dict):
            raise RegistryError("Google gave no certificates for ID tokens", registry=self._registry)
        return found

    def _forged(self) -> Forbidden:
        return Forbidden(
            "the message brings no ID token of the configured subscription",
            registry=self._registry,
            cure="compare event_audience and event_email with the push subscription",
        )


def _read_key_id(token: str) -> str | None:
    """The id of the key that signed a token; None for what is none."""
    from google.auth import exceptions, jwt  # loaded by the first message

    try:
        return str(jwt.decode_header(token).get("kid"))
    except (ValueError, TypeError, AttributeError, exceptions.GoogleAuthError):
        return None


def _verify(token: str, certificates: Mapping[str, str], audience: str | None) -> Mapping[str, Any] | None:
    """The claims of a token that one of the keys has signed, for this audience and now; else None."""
    from google.auth import exceptions, jwt

    try:
        found: Mapping[str, Any] = jwt.decode(
            token, certs=dict(certificates), audience=audience, clock_skew_in_seconds=SKEW
        )
    except (ValueError, TypeError, AttributeError, exceptions.GoogleAuthError):
        return None
    return found


def read_events(body: bytes, registry: str, location: str) -> list[RegistryEvent]:
    """The event of a push; none where its log entry tells of no write to a model of this location.

    Raises InvalidRequest for a body that is no push of Pub/Sub with a log entry.
    """
    try:
        message = json.loads(body)["message"]
        entry = json.loads(base64.b64decode(message["data"], validate=True))
        payload, number = entry.get("protoPayload"), entry.get("insertId") or message["messageId"]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InvalidRequest(
            "the body is no log entry pushed by Pub/Sub", registry=registry, cure="leave payload unwrapping off"
        ) from None
    change = METHODS.get(_method(payload)) if isinstance(payload, dict) else None
    if change is None:
        return []
    named = next(_find_models(payload, location), None)
    if named is None:
        return []
    model, version = named
    return [
        RegistryEvent(
            id=f"{number}-{entry.get('timestamp', '')}",
            model=model,
            version=version,
            kind=change.value,
            occurred_at=_time(entry.get("timestamp")),
        )
    ]


def _method(payload: JSON) -> str:
    service, _, method = str(payload.get("methodName", "")).rpartition(".")
    return method if service.endswith("ModelService") else ""


def _find_models(payload: JSON, location: str) -> Iterator[tuple[str, str | None]]:
    """(model, version) wherever an entry names them. The first entry of an upload may name neither."""
    request, response = _part(payload, "request"), _part(payload, "response")
    draft = _part(request, "model")
    shown = draft.get("displayName")
    display_name = shown if isinstance(shown, str) else None
    names = (payload.get("resourceName"), response.get("model"), request.get("name"), draft.get("name"))
    for name in (*names, request.get("parentModel")):
        match = _MODEL.match(name) if isinstance(name, str) else None
        if match is not None and match["location"] == location:
            version = match["version"] or response.get("modelVersionId")
            number = version if isinstance(version, str) and version.isdigit() else None
            yield name_of(match["model"], display_name), number
    given = request.get("modelId")
    if isinstance(given, str) and given:
        yield name_of(given, display_name), None


def _part(of: JSON, name: str) -> JSON:
    found = of.get(name)
    return found if isinstance(found, dict) else {}


def _time(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", str(text)))
    except ValueError:
        return None
