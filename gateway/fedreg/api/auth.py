"""Who asks and what it may do: bearer tokens, roles, and what is allowed where nobody has to say who they are."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from urllib.parse import urlsplit

from aiohttp import web

from fedreg.domain.errors import Forbidden, NotFound, Unauthenticated
from fedreg.domain.records import Actor
from fedreg.settings import Settings, check_exposure
from fedreg.settings.sections import AuthSettings, Role, TokenSettings, is_loopback

RANK = {Role.READER: 0, Role.OPERATOR: 1, Role.APPROVER: 2, Role.ADMIN: 3}


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller. Roles are ranked: each includes those below. `registries` None means all of them."""

    actor: Actor
    role: Role
    registries: frozenset[str] | None = None
    groups: frozenset[str] = frozenset()

    @property
    def names(self) -> frozenset[str]:
        """What a gate may ask for: its role, those below, and its groups."""
        return frozenset(role.value for role in Role if RANK[role] <= RANK[self.role]) | self.groups

    def sees(self, registry: str) -> bool:
        """Whether this registry exists for the caller."""
        return self.registries is None or registry in self.registries

    def require(self, role: Role, *registries: str) -> None:
        """Forbidden where the caller's role is too low; NotFound for a registry that is not for it to see."""
        if RANK[self.role] < RANK[role]:
            raise Forbidden(
                f"{self.actor.subject!r} has role {self.role.value!r}, this needs {role.value!r}",
                cure="ask for a token with that role (auth.tokens)",
            )
        for registry in registries:
            if not self.sees(registry):
                raise NotFound(f"registry {registry!r} is not configured", registry=registry, cure="see /v1/registries")

    def require_everywhere(self, role: Role) -> None:
        """The same for what concerns all registries at once: a token limited to some of them is not enough."""
        self.require(role)
        if self.registries is not None:
            raise Forbidden(
                f"{self.actor.subject!r} is limited to some registries, this concerns all of them",
                cure="ask for a token without `registries` (auth.tokens)",
            )


ANONYMOUS = Principal(Actor(subject="anonymous", authenticated=False), Role.ADMIN)


class Authenticator:
    """Tells callers by the sha256 of their bearer token."""

    def __init__(self, auth: AuthSettings) -> None:
        self._known = [(bytes.fromhex(token.sha256), _principal(token)) for token in auth.tokens]

    def identify(self, request: web.Request) -> Principal:
        """The caller. Raises Unauthenticated; without configured tokens, Forbidden for a foreign web page."""
        if not self._known:
            _refuse_foreign_pages(request)
            return ANONYMOUS
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated("the request carries no token", cure="send 'Authorization: Bearer TOKEN'")
        digest = hashlib.sha256(token.strip().encode("utf-8", "surrogateescape")).digest()
        found = None
        for known, principal in self._known:  # all of them: the time taken tells nothing
            if hmac.compare_digest(known, digest):
                found = principal
        if found is None:
            raise Unauthenticated("the token is not known", cure="check it against auth.tokens")
        return found


def check_binding(host: str, settings: Settings) -> None:
    """ConfigError where `host` can be reached by others and no tokens are configured."""
    check_exposure(settings.auth, host)


def _principal(token: TokenSettings) -> Principal:
    role = max(token.roles, key=RANK.__getitem__)
    registries = None if token.registries is None else frozenset(token.registries)
    return Principal(Actor(subject=token.subject, authenticated=True), role, registries, frozenset(token.groups))


def _refuse_foreign_pages(request: web.Request) -> None:
    """A browser on this machine reaches loopback for any page it shows: by its Origin, or by a rebound host name."""
    host = request.host
    origin = request.headers.get("Origin")
    if not is_loopback(_host_name(host)):
        raise Forbidden(
            f"host {host!r} is not this machine's own name", cure="use 127.0.0.1 or localhost, or set up auth.tokens"
        )
    if origin is not None and origin.partition("://")[2] != host:
        raise Forbidden(f"origin {origin!r} may not use this gateway", cure="set up auth.tokens")


def _host_name(host: str) -> str:
    """The name in a Host header, without its port; empty where it is malformed."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
