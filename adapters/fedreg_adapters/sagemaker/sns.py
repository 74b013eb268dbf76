"""Messages that SNS posts: signed by a certificate of the topic's region, from one topic only.

Every topic of the world is signed by the same certificates, so the topic is what is trusted. Rules:
https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, HashAlgorithm
from cryptography.x509 import Certificate, load_pem_x509_certificate
from yarl import URL

from fedreg.domain.calls import Calls, Effect
from fedreg.domain.errors import Forbidden, InvalidRequest, RegistryError
from fedreg_adapters.sagemaker.manifest import TOPIC
from fedreg_adapters.shared.sessions import Endpoint, Session

TYPE_HEADER = "x-amz-sns-message-type"
NOTIFICATION, CONFIRMATION = "Notification", "SubscriptionConfirmation"
TOLERANCE = timedelta(hours=1)  # SNS repeats a message for so long, with the time of the first attempt
_SIGNED: Mapping[str, tuple[str, ...]] = {
    NOTIFICATION: ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    CONFIRMATION: ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    "UnsubscribeConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}
_HASHES: Mapping[str, type[HashAlgorithm]] = {"1": SHA1, "2": SHA256}
_CERTIFICATE = re.compile(r"/SimpleNotificationService-[0-9A-Za-z]+\.pem")
_LARGEST = 64 << 10


class Topic:
    """The one topic whose messages are believed. `endpoint_url` stands for the address of its region's SNS."""

    def __init__(self, registry: str, arn: str, calls: Calls, endpoint_url: str | None = None) -> None:
        self._registry, self._arn, self._calls = registry, arn, calls
        self._host = _host_of(arn)
        self._session = Session(registry, Endpoint(url=endpoint_url or f"https://{self._host}"))
        self._certificates: dict[str, Certificate] = {}

    async def read(self, body: bytes, now: datetime) -> Mapping[str, str]:
        """The message, verified. Raises Forbidden for one that is forged, old or of another topic."""
        message = _parse(body)
        if message is None or message.get("TopicArn") != self._arn:
            raise self._forged("it is no message of the topic that event_topic names")
        await self._check_signature(message)
        sent = _time(message["Timestamp"])
        if sent is None or abs(now - sent) > TOLERANCE:
            raise self._forged("it is too old, or from the future")
        return message

    async def confirm(self, message: Mapping[str, str]) -> None:
        """Subscribe, as a verified SubscriptionConfirmation asks. Raises InvalidRequest for an address not of SNS."""
        url = URL(message["SubscribeURL"])
        wanted = ("ConfirmSubscription", self._arn)
        if not self._is_ours(url) or (url.query.get("Action"), url.query.get("TopicArn")) != wanted:
            raise InvalidRequest("SubscribeURL is no address of SNS", registry=self._registry)
        await self._fetch("confirm_subscription", url, Effect.IDEMPOTENT)

    async def aclose(self) -> None:
        await self._session.aclose()

    async def _check_signature(self, message: Mapping[str, str]) -> None:
        algorithm = _HASHES.get(message.get("SignatureVersion", ""))
        url = URL(message.get("SigningCertURL", ""))
        if algorithm is None or not self._is_ours(url) or not _CERTIFICATE.fullmatch(url.path) or url.query:
            raise self._forged("its certificate is none of SNS")
        certificate = await self._certificate(url)
        key = certificate.public_key()
        names = _SIGNED[message["Type"]]
        signed = "".join(f"{name}\n{message[name]}\n" for name in names if name in message)
        try:
            signature = base64.b64decode(message["Signature"], validate=True)
            if not isinstance(key, RSAPublicKey):
                raise self._forged("its certificate is none of SNS")
            key.verify(signature, signed.encode(), PKCS1v15(), algorithm())
        except (InvalidSignature, ValueError, KeyError):
            raise self._forged("its signature is wrong") from None

    async def _certificate(self, url: URL) -> Certificate:
        known = self._certificates.get(url.path)
        now = datetime.now(UTC)
        if known is None:
            try:
                known = load_pem_x509_certificate(await self._fetch("get_certificate", url, Effect.READ))
            except ValueError as error:
                raise RegistryError("SNS gave no certificate", registry=self._registry) from error
            self._certificates = {url.path: known}  # there is one at a time
        if not known.not_valid_before_utc <= now <= known.not_valid_after_utc:
            raise self._forged("its certificate is not valid now")
        return known

    async def _fetch(self, operation: str, url: URL, effect: Effect) -> bytes:
        async def request() -> bytes:
            async with self._session.request("GET", url.path, params=dict(url.query)) as answer:
                if answer.status != 200:
                    raise RegistryError(f"SNS answered {answer.status}", registry=self._registry)
                return await answer.content.read(_LARGEST)

        return await self._calls.run(operation, request, effect=effect)

    def _is_ours(self, url: URL) -> bool:
        return (url.scheme, url.host, url.explicit_port, url.user) == ("https", self._host, None, None)

    def _forged(self, why: str) -> Forbidden:
        return Forbidden(f"the message of SNS is not believed: {why}", registry=self._registry)


def _host_of(arn: str) -> str:
    found = re.fullmatch(TOPIC, arn)
    assert found is not None  # the options were checked
    return f"sns.{found['region']}.amazonaws.com{'.cn' if found['partition'] == 'aws-cn' else ''}"


def _parse(body: bytes) -> Mapping[str, str] | None:
    """A message whose fields are text, of a type that is signed and with all that is signed; None for anything else."""
    try:
        message = json.loads(body)
    except ValueError:
        return None
    if not isinstance(message, dict) or not all(isinstance(value, str) for value in message.values()):
        return None
    names = _SIGNED.get(message.get("Type", ""), ("Type",))
    needed = {*names, "Signature"} - {"Subject"}
    return message if needed <= message.keys() else None


def _time(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else None
