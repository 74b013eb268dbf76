"""Messages of SNS: signed as its documentation says, believed from one topic only, confirmed at SNS only."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from fedreg.domain.errors import Forbidden, InvalidRequest
from fedreg.domain.models import Handshake
from fedreg_adapters.sagemaker.adapter import SageMakerAdapter

from .backend import SageMakerBackend
from .fixtures import adapter as adapter
from .fixtures import backend as backend
from .fixtures import s3 as s3
from .fixtures import start as start

TOPIC = "arn:aws:sns:eu-west-1:123456789012:models"
HOST = "https://sns.eu-west-1.amazonaws.com"
CERTIFICATE = "/SimpleNotificationService-0123abcd.pem"
SIGNED = ("Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
KEY = rsa.generate_private_key(65537, 2048)
EVENT = {
    "id": "e-1",
    "source": "aws.sagemaker",
    "detail-type": "SageMaker Model Package State Change",
    "time": "2026-01-01T00:00:00Z",
    "detail": {"ModelPackageGroupName": "churn", "ModelPackageVersion": 3},
}


def certificate(valid_for: timedelta = timedelta(days=1)) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(KEY.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=2))
        .not_valid_after(now + valid_for)
    )
    return made.sign(KEY, SHA256()).public_bytes(Encoding.PEM)


@dataclass
class Sns:
    """What SNS serves: the certificate, and the confirmation of a subscription."""

    certificate: bytes = field(default_factory=certificate)
    asked: list[Mapping[str, str]] = field(default_factory=list)

    async def serve(self, request: web.Request) -> web.Response:
        if request.path == CERTIFICATE:
            return web.Response(body=self.certificate)
        self.asked.append(dict(request.query))
        return web.Response(text="<ConfirmSubscriptionResponse/>")


@pytest.fixture
async def sns() -> AsyncIterator[tuple[Sns, str]]:
    app, served = web.Application(), Sns()
    app.router.add_get("/{path:.*}", served.serve)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield served, f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.fixture
async def listening(backend: SageMakerBackend, sns: tuple[Sns, str]) -> AsyncIterator[SageMakerAdapter]:
    adapter = await backend.open_adapter(event_secret=None, event_topic=TOPIC, sns_endpoint_url=sns[1])
    yield adapter
    await adapter.aclose()


def message(kind: str = "Notification", *, version: str = "2", **changes: Any) -> tuple[dict[str, str], bytes]:
    content = {
        "Type": kind,
        "MessageId": "m-1",
        "TopicArn": TOPIC,
        "Message": json.dumps(EVENT),
        "Timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "SignatureVersion": version,
        "SigningCertURL": HOST + CERTIFICATE,
        "UnsubscribeURL": f"{HOST}/?Action=Unsubscribe",
    }
    if kind != "Notification":
        content |= {"Token": "t", "SubscribeURL": f"{HOST}/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=t"}
    content |= changes
    signed = "".join(f"{name}\n{content[name]}\n" for name in SIGNED if name in content).encode()
    algorithm = SHA1() if version == "1" else SHA256()
    content.setdefault("Signature", base64.b64encode(KEY.sign(signed, PKCS1v15(), algorithm)).decode())
    return {"x-amz-sns-message-type": kind}, json.dumps(content).encode()


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("more", [{}, {"Subject": "models"}])
async def test_a_notification_is_read(listening: SageMakerAdapter, version: str, more: dict[str, str]) -> None:
    headers, body = message(version=version, **more)
    assert await listening.answer_handshake(headers, body) is None
    [event] = await listening.parse_event(headers, body)
    assert (event.id, event.model, event.version) == ("e-1", "churn", "3")


FORGED: dict[str, dict[str, Any]] = {
    "another topic": {"TopicArn": TOPIC.replace("models", "other")},
    "another host": {"SigningCertURL": f"https://sns.eu-west-1.amazonaws.com.evil.example{CERTIFICATE}"},
    "another region": {"SigningCertURL": f"https://sns.us-east-1.amazonaws.com{CERTIFICATE}"},
    "a user before the host": {"SigningCertURL": f"https://sns.eu-west-1.amazonaws.com@evil.example{CERTIFICATE}"},
    "no TLS": {"SigningCertURL": f"http://sns.eu-west-1.amazonaws.com{CERTIFICATE}"},
    "no certificate of SNS": {"SigningCertURL": f"{HOST}/bucket/mine.pem"},
    "a port": {"SigningCertURL": f"https://sns.eu-west-1.amazonaws.com:444{CERTIFICATE}"},
    "a wrong signature": {"Signature": base64.b64encode(b"x" * 256).decode()},
    "no base64": {"Signature": "%"},
    "an unknown version": {"SignatureVersion": "3"},
    "an old one": {"Timestamp": "2020-01-01T00:00:00.000Z"},
    "no time": {"Timestamp": "yesterday"},
    "a number for text": {"Message": 1},
}


@pytest.mark.parametrize("changes", FORGED.values(), ids=FORGED.keys())
async def test_forged(listening: SageMakerAdapter, changes: dict[str, Any]) -> None:
    headers, body = message(**changes)
    with pytest.raises(Forbidden):
        await listening.parse_event(headers, body)


async def test_a_message_changed_on_its_way(listening: SageMakerAdapter) -> None:
    headers, body = message()
    for changed in (body.replace(b"churn", b"fraud"), b"", b"[]", b"{}", b'{"Type": "Other"}'):
        with pytest.raises(Forbidden):
            await listening.parse_event(headers, changed)


async def test_a_certificate_that_has_expired(listening: SageMakerAdapter, sns: tuple[Sns, str]) -> None:
    sns[0].certificate = certificate(timedelta(hours=-1))
    with pytest.raises(Forbidden, match="not valid now"):
        await listening.parse_event(*message())


async def test_a_subscription_is_confirmed_at_sns_only(listening: SageMakerAdapter, sns: tuple[Sns, str]) -> None:
    headers, body = message("SubscriptionConfirmation")
    assert await listening.answer_handshake(headers, body) == Handshake()
    assert sns[0].asked == [{"Action": "ConfirmSubscription", "TopicArn": TOPIC, "Token": "t"}]
    elsewhere = message("SubscriptionConfirmation", SubscribeURL="https://169.254.169.254/latest/meta-data")
    with pytest.raises(InvalidRequest):
        await listening.answer_handshake(*elsewhere)
    with pytest.raises(Forbidden):
        await listening.answer_handshake(*message("SubscriptionConfirmation", TopicArn="arn:aws:sns:x:1:y"))
    assert len(sns[0].asked) == 1
    assert await listening.parse_event(*message("UnsubscribeConfirmation")) == []


async def test_without_a_topic_sns_is_not_believed(adapter: SageMakerAdapter) -> None:
    for kind in ("Notification", "SubscriptionConfirmation"):
        headers, body = message(kind)
        with pytest.raises(Forbidden):
            await (adapter.parse_event if kind == "Notification" else adapter.answer_handshake)(headers, body)


async def test_records_of_sqs(adapter: SageMakerAdapter, backend: SageMakerBackend) -> None:
    """As a Lambda function gets them and hands them on: events of EventBridge, or SNS's notifications of such."""
    secret = {"x-fedreg-event-secret": backend.options().event_secret or ""}
    notified = json.dumps({"Type": "Notification", "Message": json.dumps({**EVENT, "id": "e-2"})})
    records = [{"messageId": "1", "body": json.dumps(EVENT)}, {"messageId": "2", "body": notified}]
    events = await adapter.parse_event(secret, json.dumps({"Records": records}).encode())
    assert [(event.id, event.model) for event in events] == [("e-1", "churn"), ("e-2", "churn")]
    for broken in ([], [{"body": 1}], [{"body": "{"}], [1]):
        with pytest.raises(InvalidRequest):
            await adapter.parse_event(secret, json.dumps({"Records": broken}).encode())
    with pytest.raises(Forbidden):
        await adapter.parse_event({}, json.dumps({"Records": records}).encode())
