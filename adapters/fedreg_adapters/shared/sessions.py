"""One HTTP session per registry: credentials, TLS, and transport failures as the domain's errors.

No time limit and no retry in here: both belong to `Calls`. Redirects are not followed, so that credentials never
leave the configured address.
"""

from __future__ import annotations

import base64
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import aiohttp
from yarl import URL

from fedreg.domain.errors import (
    ConfigError,
    FedregError,
    Outcome,
    RegistryError,
    RegistryTimeout,
    RegistryUnavailable,
)

CHUNK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """An address and how to be let in: a bearer token, or user and password, or a client certificate.

    `ca_bundle`, `client_cert` and `client_key` are paths of PEM files. Credentials in the URL count too.
    """

    url: str
    token: str | None = field(default=None, repr=False)
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    client_cert: str | None = None
    client_key: str | None = None
    ca_bundle: str | None = None
    verify: bool = True
    concurrency: int = 8


class Session:
    """A lazily connected client of one endpoint. Paths are given percent-encoded, relative to the endpoint's own."""

    def __init__(self, registry: str, endpoint: Endpoint) -> None:
        self._registry = registry
        self._endpoint = endpoint
        self._base = _base_url(endpoint.url)
        self._client: aiohttp.ClientSession | None = None

    @property
    def base(self) -> URL:
        """The endpoint's address, without credentials."""
        return self._base

    @asynccontextmanager
    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | list[tuple[str, str]] | None = None,
        json: Any = None,
        data: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request; the answer's body is read inside the block. Raises transport failures only, never a status.

        `RegistryUnavailable` is `not_applied` where no connection came about, `unknown` where it was lost later.
        """
        url = URL(f"{str(self._base).rstrip('/')}/{path.lstrip('/')}", encoded=True)
        if params:
            url = url.with_query(params)
        with transport_errors(self._registry, str(self._base)):
            async with self._open().request(
                method, url, json=json, data=data, headers=headers, allow_redirects=False
            ) as answer:
                yield answer

    async def aclose(self) -> None:
        """Close the connections. Safe to call twice."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._client is None:
            self._client = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=_tls(self._endpoint), limit=0),  # `Calls` limits
                headers=_authorization(self._endpoint),
                read_bufsize=CHUNK,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=None, sock_read=None),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._client


@contextmanager
def transport_errors(registry: str, address: str) -> Iterator[None]:
    """Translate what goes wrong below HTTP. The domain's own errors pass."""
    try:
        yield
    except FedregError:
        raise
    except aiohttp.ClientConnectorCertificateError as error:
        raise RegistryError(
            f"{address}: its certificate is not trusted: {error.certificate_error}",
            registry=registry,
            cure="set ca_bundle to the certificate authority's PEM file",
        ) from error
    except aiohttp.ClientConnectorSSLError as error:
        raise RegistryError(
            f"{address}: no TLS connection: {error.strerror or type(error).__name__}",
            registry=registry,
            cure="check url, ca_bundle, client_cert and client_key",
        ) from error
    except aiohttp.ClientConnectorError as error:
        raise RegistryUnavailable(
            f"{address} can't be reached: {error.strerror or error}",
            registry=registry,
            cure="check that it runs, its address and the network",
        ) from error
    except (TimeoutError, aiohttp.ServerTimeoutError) as error:
        raise RegistryTimeout(
            f"{address} did not answer in time", registry=registry, outcome=Outcome.UNKNOWN
        ) from error
    except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, ConnectionError) as error:
        raise RegistryUnavailable(
            f"{address}: the connection was lost ({type(error).__name__})", registry=registry, outcome=Outcome.UNKNOWN
        ) from error
    except aiohttp.ClientError as error:
        raise RegistryError(
            f"{address} answered no valid HTTP ({type(error).__name__})", registry=registry, outcome=Outcome.UNKNOWN
        ) from error


def encode_path(path: str) -> str:
    """A path percent-encoded for a URL; `/` stays."""
    return quote(path, safe="/")


def _base_url(url: str) -> URL:
    base = URL(url)
    if base.scheme not in ("http", "https") or not base.host:
        raise ConfigError(f"url {_hide(base)!r} is no address", cure="give http://host[:port] or https://host[:port]")
    return base.with_user(None).with_query(None).with_fragment(None)


def _hide(url: URL) -> str:
    return str(url.with_password("***")) if url.password else str(url)


def _authorization(endpoint: Endpoint) -> dict[str, str]:
    given = URL(endpoint.url)
    username, password = endpoint.username, endpoint.password
    if username is None and given.user is not None:
        username, password = given.user, given.password
    if endpoint.token:
        if username is not None:
            raise ConfigError("both token and username are set", cure="keep one of them")
        return {"Authorization": f"Bearer {endpoint.token}"}
    if username is not None:
        pair = f"{username}:{password or ''}".encode()
        return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
    return {}


def _tls(endpoint: Endpoint) -> ssl.SSLContext | bool:
    if _base_url(endpoint.url).scheme != "https":
        return True
    try:
        context = ssl.create_default_context(cafile=endpoint.ca_bundle)
        if endpoint.client_cert:
            context.load_cert_chain(endpoint.client_cert, endpoint.client_key)
    except OSError as error:  # ssl.SSLError is one
        raise ConfigError(
            f"ca_bundle, client_cert or client_key can't be loaded: {error.strerror or error}",
            cure="each is the path of a readable PEM file",
        ) from error
    if not endpoint.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
