"""Which domain error an obstore failure is.

obstore's messages quote whole answers and addresses, which may carry a SAS token: only status, error code
and kind are taken out of them.
"""

from __future__ import annotations

import re

from obstore import exceptions

from fedreg.domain.errors import (
    Conflict,
    FedregError,
    InvalidRequest,
    NotFound,
    Outcome,
    PreconditionFailed,
    RateLimited,
    RegistryAuthError,
    RegistryError,
    RegistryTimeout,
    RegistryUnavailable,
)

_AUTH_CODES = {"ExpiredToken", "InvalidToken", "InvalidAccessKeyId", "SignatureDoesNotMatch", "TokenRefreshRequired"}
_SLOW_CODES = {"SlowDown", "ServerBusy", "Throttling", "RequestLimitExceeded"}
_MISSING_STORES = {"NoSuchBucket", "ContainerNotFound"}
_AUTH_CURE = "check the credentials and permissions of the object store"


def is_past_end(error: Exception) -> bool:
    """Whether a ranged get began at or past the end (416; a local store says so in its own words)."""
    text = str(error)
    return "status code: 416" in text or "StartTooLarge" in text


def to_domain_error(error: Exception, doing: str, registry: str | None) -> FedregError:
    """The error to raise while `doing` (operation and address)."""
    text = str(error)
    status, code, kind = _first(r"status code: (\d{3})", text), _first(r"<Code>(\w+)</Code>", text), _kind(text)
    what = " ".join(part for part in (status, code or kind) if part) or type(error).__name__
    message = f"object store: {doing}: {what}"
    refused, cure, outcome, hint = _classify(error, int(status or 0), code or "", kind)
    return refused(message, cure=cure, registry=registry, outcome=outcome, upstream_code=code or status or hint or None)


def _classify(
    error: Exception, status: int, code: str, kind: str
) -> tuple[type[FedregError], str | None, Outcome, str]:
    applied = Outcome.NOT_APPLIED
    if code in _MISSING_STORES:
        return RegistryError, "create the bucket or container, or correct its name in the configuration", applied, ""
    if code in _SLOW_CODES or status == 429:
        return RateLimited, None, applied, ""
    if (
        code in _AUTH_CODES
        or status in (401, 403)
        or isinstance(error, (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError))
    ):
        return RegistryAuthError, _AUTH_CURE, applied, ""
    if isinstance(error, FileNotFoundError):
        return NotFound, None, applied, ""
    if isinstance(error, (exceptions.PreconditionError, exceptions.NotModifiedError)):
        return PreconditionFailed, None, applied, ""
    if isinstance(error, exceptions.AlreadyExistsError):
        return Conflict, None, applied, ""
    if isinstance(error, (ValueError, exceptions.InvalidPathError)):
        return InvalidRequest, "use a key the store can spell", applied, ""
    return _classify_by_wire(status, kind)


def _classify_by_wire(status: int, kind: str) -> tuple[type[FedregError], str | None, Outcome, str]:
    if status >= 500:
        return RegistryUnavailable, None, Outcome.UNKNOWN, ""
    if status:
        return RegistryError, None, Outcome.NOT_APPLIED, ""
    if kind == "Connect":
        return RegistryUnavailable, "check the endpoint of the object store", Outcome.NOT_APPLIED, kind
    if kind == "Timeout":
        return RegistryTimeout, None, Outcome.UNKNOWN, kind
    if kind:
        return RegistryUnavailable, None, Outcome.UNKNOWN, kind
    return RegistryError, None, Outcome.UNKNOWN, ""


def _kind(text: str) -> str:
    if "TimedOut" in text:
        return "Timeout"
    return _first(r"HttpError \{\s*kind: (\w+)", text) or ""


def _first(pattern: str, text: str) -> str | None:
    found = re.search(pattern, text)
    return found.group(1) if found else None
