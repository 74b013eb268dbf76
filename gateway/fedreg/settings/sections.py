"""The sections of a configuration, as dataclasses. Sizes in bytes, times in seconds."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fedreg.domain.errors import ConfigError
from fedreg.domain.links import Link
from fedreg.domain.stages import DEFAULT_ORDER, NONE, parse_stage
from fedreg.registries.policy import RegistryEntry
from fedreg.settings.redaction import mask_url, redact

DEFAULT_STORE = "sqlite:///fedreg.db"
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Role(StrEnum):
    """What a caller may do: read; write; decide on gates; all, the audit and other people's operations included."""

    READER = "reader"
    OPERATOR = "operator"
    APPROVER = "approver"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """`url`: `sqlite:///FILE`, relative to the configuration file, for one gateway; or
    `postgresql://USER:PASSWORD@HOST/DATABASE`, for several. `lease`, of PostgreSQL only: a gateway that was not seen
    for so many seconds loses its operations to another one."""

    url: str = DEFAULT_STORE
    lease: float = 15.0

    def __post_init__(self) -> None:
        if not 1 <= self.lease <= 3600:
            raise ConfigError(f"lease {self.lease:g} is out of range", cure="give 1 to 3600 seconds")

    def __repr__(self) -> str:
        return f"StoreSettings(url={mask_url(self.url)!r}, lease={self.lease!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSettings:
    """A caller. `sha256` is the hex digest of its token; `registries` limits what it sees, None means all.

    `groups`: names that a link's gate may ask for, besides roles.
    """

    subject: str
    sha256: str = field(repr=False)
    roles: tuple[Role, ...]
    registries: tuple[str, ...] | None = None
    groups: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.subject:
            raise ConfigError("subject is empty", cure="say who holds this token")
        if not _SHA256.fullmatch(self.sha256):
            raise ConfigError(
                "sha256 is not 64 characters of 0-9 and a-f",
                cure="give the digest, not the token: printf %s TOKEN | sha256sum",
            )
        if not self.roles:
            raise ConfigError("roles is empty", cure=f"give some of {', '.join(Role)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthSettings:
    """Callers of the HTTP API. Without any the gateway binds loopback only."""

    tokens: tuple[TokenSettings, ...] = ()

    def __post_init__(self) -> None:
        digests = [token.sha256 for token in self.tokens]
        twice = [token.subject for token in self.tokens if digests.count(token.sha256) > 1]
        if twice:
            raise ConfigError(
                f"tokens: {' and '.join(twice)} share one sha256", cure="give each caller a token of its own"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """Where the gateway listens. `max_body` bounds a request's body, `shutdown_timeout` the wait for open requests."""

    host: str = "127.0.0.1"
    port: int = 8080
    max_body: int = 8 << 20  # a plan of 20,000 versions
    shutdown_timeout: float = 10.0

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ConfigError(f"port {self.port} is no port", cure="give 1 to 65535, or 0 for a free one")
        if self.max_body < 1 or self.shutdown_timeout < 0:
            raise ConfigError("max_body and shutdown_timeout can't be negative", cure="leave them out for the defaults")


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetrySettings:
    """Traces for OpenTelemetry, with the extra `fedreg[telemetry]`. Without this section nothing is traced.

    `endpoint`: the base address of a collector that takes OTLP over HTTP; traces go to its `/v1/traces`. `headers` are
    sent along, and are secrets. `sample_ratio`: of the traces that begin here. `timeout` of one export, in seconds.
    """

    endpoint: str
    service_name: str = "fedreg"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    sample_ratio: float = 1.0
    timeout: float = 10.0

    def __post_init__(self) -> None:
        parts = urlsplit(self.endpoint)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ConfigError(
                f"endpoint {mask_url(self.endpoint)!r} is no http address", cure="write it as http://collector:4318"
            )
        if parts.username is not None or parts.password is not None:
            raise ConfigError("endpoint has credentials in it", cure="give them in headers: {Authorization: …}")
        if not 0 <= self.sample_ratio <= 1:
            raise ConfigError(f"sample_ratio {self.sample_ratio:g} is no share", cure="give 0 to 1")
        if self.timeout <= 0:
            raise ConfigError(f"timeout {self.timeout:g} is no time", cure="give seconds, more than 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSettings:
    """How changes are told to webhooks. Times in seconds.

    - `source`: the `source` of every message, a URI reference: which gateway it comes from.
    - `allow_http`: whether an address may be without TLS.
    - `allow_private`: networks (CIDR) that may be reached although they are not public, `10.0.0.0/8` for instance.
    - `ca_bundle`: PEM file of certificate authorities to trust beside the system's.
    - `timeout`: of one attempt, from the connection to the answer's head.
    - `max_attempts`, `max_age`: a message is a dead letter after so many attempts, or so long after the first one.
    - `backoff`, `backoff_max`: first and longest wait between attempts, before jitter.
    """

    source: str = "urn:fedreg"
    allow_http: bool = False
    allow_private: tuple[str, ...] = ()
    ca_bundle: str | None = field(default=None, metadata={"path": True})
    timeout: float = 10.0
    max_attempts: int = 15
    max_age: float = 259_200.0
    backoff: float = 5.0
    backoff_max: float = 3600.0

    def __post_init__(self) -> None:
        for network in self.allow_private:
            try:
                ipaddress.ip_network(network)
            except ValueError as error:
                raise ConfigError(
                    f"allow_private: {network!r} is no network: {error}", cure="write it as 10.0.0.0/8 or fd00::/8"
                ) from error
        if not self.source or not self.source.isascii() or not self.source.isprintable() or " " in self.source:
            raise ConfigError(f"source {self.source!r} is no URI", cure="write it as https://gateway.example")
        for name in ("timeout", "max_attempts", "max_age", "backoff", "backoff_max"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} {getattr(self, name):g} is out of range", cure="give more than 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchorSettings:
    """A place outside the store for signed heads: a `file` that they are appended to, or a `url` they are POSTed to.

    `headers` are sent along, and are secrets. `timeout` of one attempt, in seconds.
    """

    file: Path | None = None
    url: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout: float = 10.0

    def __post_init__(self) -> None:
        if (self.file is None) == (self.url is None):
            raise ConfigError("an anchor is one place", cure="give either file or url")
        if self.url is not None:
            parts = urlsplit(self.url)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ConfigError(
                    f"url {mask_url(self.url)!r} is no http address", cure="write it as https://host/path"
                )
            if parts.username is not None or parts.password is not None:
                raise ConfigError("url has credentials in it", cure="give them in headers: {Authorization: …}")
        elif self.headers:
            raise ConfigError("headers are of no use with a file", cure="leave them out")
        if self.timeout <= 0:
            raise ConfigError(f"timeout {self.timeout:g} is no time", cure="give seconds, more than 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class EverySettings:
    """How often a running gateway signs a head: once it has moved, after `seconds`, or by so many `entries` at once."""

    seconds: float = 60.0
    entries: int = 1000

    def __post_init__(self) -> None:
        if self.seconds <= 0 or self.entries < 1:
            raise ConfigError("seconds and entries can't be 0 or less", cure="leave them out for the defaults")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSettings:
    """Signed heads of the journal. Without this section none are signed.

    `key`: a file with an Ed25519 private key as PEM, made on first use; by default beside the store, which protects
    against nobody who can write there.
    """

    key: Path | None = None
    anchors: tuple[AnchorSettings, ...] = ()
    every: EverySettings = field(default_factory=EverySettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sections:
    """The top of the file. `registries` are bound one by one: their keys depend on their kind."""

    store: StoreSettings = field(default_factory=StoreSettings)
    auth: AuthSettings = field(default_factory=AuthSettings)
    registries: Mapping[str, Any] = field(default_factory=dict)
    links: Mapping[str, Link] = field(default_factory=dict)
    server: ServerSettings = field(default_factory=ServerSettings)
    telemetry: TelemetrySettings | None = None
    webhooks: WebhookSettings = field(default_factory=WebhookSettings)
    audit: AuditSettings | None = None
    stage_order: tuple[str, ...] = DEFAULT_ORDER

    def __post_init__(self) -> None:
        for stage in self.stage_order:
            if parse_stage(stage) == NONE or self.stage_order.count(stage) > 1:
                raise ConfigError(f"stage_order: {stage!r} has no place here, or two", cure="name each stage once")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A whole configuration: paths absolute, placeholders filled, everything validated."""

    file: Path
    store: StoreSettings
    auth: AuthSettings
    registries: Mapping[str, RegistryEntry]
    links: Mapping[str, Link]
    server: ServerSettings
    stage_order: tuple[str, ...]
    telemetry: TelemetrySettings | None = None
    webhooks: WebhookSettings = field(default_factory=WebhookSettings)
    audit: AuditSettings | None = None

    def redacted(self) -> dict[str, Any]:
        """The configuration in its own shape as JSON values, secrets masked."""
        shown: dict[str, Any] = redact(self)
        for name, entry in shown["registries"].items():
            shown["registries"][name] = {
                "kind": entry["kind"],
                **entry["options"],
                "calls": entry["calls"],
                "poll": entry["poll"],
            }
        return shown


def check_exposure(auth: AuthSettings, host: str) -> None:
    """ConfigError for an address beyond loopback while nobody has to say who they are."""
    if auth.tokens or is_loopback(host):
        return
    raise ConfigError(
        f"server.host {host!r} can be reached by others, and auth.tokens is empty",
        cure="add auth.tokens, or listen on 127.0.0.1",
    )


def is_loopback(host: str) -> bool:
    """Whether an address is this machine's own. A name other than localhost is not taken for it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
