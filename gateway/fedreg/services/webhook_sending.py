"""One attempt to deliver a message: to an allowed address, never past a redirect, and no longer than it may take."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from fedreg.domain.errors import ConfigError
from fedreg.domain.webhooks import Attempt
from fedreg.services.addresses import AddressRefused, AddressRules, make_connector
from fedreg.services.webhook_messages import Message, sign
from fedreg.settings.sections import WebhookSettings
from fedreg.version import __version__

SAMPLE = 256  # bytes of an answer that are kept, of a refusal only
LONGEST_PAUSE = 3600.0


class Sender:
    """Posts messages. Make it with `open_sender`."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def send(self, url: str, message: Message, secret: str, now: datetime) -> Attempt:
        """Post a message once. Anything but a 2xx in time is a failed attempt; nothing is raised for it."""
        try:
            async with self._session.post(
                URL(url, encoded=True), data=message.body, headers=sign(message, secret, now), allow_redirects=False
            ) as answer:
                if 200 <= answer.status < 300:
                    return Attempt(delivered=True, status=answer.status)
                return Attempt(
                    delivered=False,
                    status=answer.status,
                    error=f"answered {answer.status}: {await _sample(answer)}".rstrip(": "),
                    retry_after=_retry_after(answer.headers.get("Retry-After")),
                )
        except TimeoutError:
            return Attempt(delivered=False, error="no answer in time")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Attempt(delivered=False, error=_explain(error))


@asynccontextmanager
async def open_sender(settings: WebhookSettings, resolver: AbstractResolver | None = None) -> AsyncIterator[Sender]:
    """A sender under the rules of the settings. Raises ConfigError for a ca_bundle that can't be read."""
    connector = make_connector(AddressRules(settings.allow_private), _tls(settings.ca_bundle), resolver)
    async with aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=settings.timeout),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": f"fedreg/{__version__}"},
        auto_decompress=False,
        trust_env=False,  # a proxy's address would be checked in the receiver's place
    ) as session:
        yield Sender(session)


def _tls(ca_bundle: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_bundle is not None:
        try:
            context.load_verify_locations(cafile=ca_bundle)
        except OSError as error:
            raise ConfigError(
                f"webhooks.ca_bundle can't be loaded: {error.strerror or error}", cure="name a readable PEM file"
            ) from error
    return context


async def _sample(answer: aiohttp.ClientResponse) -> str:
    """The beginning of a body, on one line."""
    found = (await answer.content.read(SAMPLE)).decode("utf-8", "replace")
    return " ".join("".join(char if char.isprintable() else " " for char in found).split())


def _retry_after(text: str | None) -> float | None:
    """Seconds, where the header gives them so."""
    return min(float(text), LONGEST_PAUSE) if text is not None and text.isascii() and text.isdigit() else None


def _explain(error: BaseException) -> str:
    """What went wrong, without the address: it may have a token in it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, AddressRefused):
            return f"refused: {cause}"
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"its certificate is not trusted: {error.certificate_error}"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"can't be reached: {error.os_error.strerror or type(error.os_error).__name__}"
    return f"the connection failed ({type(error).__name__})"
