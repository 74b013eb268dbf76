"""The table of errors: which of the domain's an answer of the Hub, or a failure of the SDK, is."""

from __future__ import annotations

import re
from collections.abc import Mapping

import httpx2
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
from huggingface_hub.utils import parse_ratelimit_headers

from fedreg.domain.errors import (
    AlreadyExists,
    ConfigError,
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

BAD_TOKEN = "Invalid credentials in Authorization header"  # noqa: S105 - the Hub's words
DISABLED = "Access to this resource is disabled."
GATED = "GatedRepo"
_TOKEN = re.compile(r"hf_[A-Za-z0-9]+")
_MISSING = {"RepoNotFound", "RevisionNotFound", "EntryNotFound"}
_BY_STATUS: Mapping[int, type[FedregError]] = {
    400: InvalidRequest,
    401: RegistryAuthError,
    403: RegistryAuthError,
    404: NotFound,
    408: RegistryTimeout,
    409: AlreadyExists,
    412: PreconditionFailed,
    413: InvalidRequest,
    422: InvalidRequest,
    429: RateLimited,
    502: RegistryUnavailable,
    503: RegistryUnavailable,
    504: RegistryTimeout,
}
_MAY_HAVE_HAPPENED = frozenset({408, 500, 502, 504})
_AUTH_CURE = "check the token, and that it may write to the repositories of this namespace (`fedreg doctor`)"


def from_answer(
    status: int, headers: Mapping[str, str], text: str, registry: str, operation: str, *, about_repo: bool = True
) -> FedregError:
    """The domain's error for an answer of 4xx or 5xx. `about_repo`: the address names a repository."""
    given = {name.lower(): value for name, value in headers.items()}
    code, said = given.get("x-error-code", ""), given.get("x-error-message", "")
    kind = _kind_of(status, code, said, about_repo)
    return kind(
        f"{operation}: {_clean(said or text) or f'status {status}'}",
        registry=registry,
        operation=operation,
        outcome=Outcome.UNKNOWN if status in _MAY_HAVE_HAPPENED else Outcome.NOT_APPLIED,
        upstream_code=code or str(status),
        request_id=given.get("x-request-id") or given.get("x-amzn-trace-id"),
        retry_after=_retry_after(status, given),
        cure=_cure_of(kind, code, said),
    )


def _kind_of(status: int, code: str, said: str, about_repo: bool) -> type[FedregError]:
    """As the SDK's hf_raise_for_status: a 401 on a repository means that it is missing, or hidden from us."""
    if code in _MISSING or (status == 401 and about_repo and said != BAD_TOKEN):
        return NotFound
    if code == GATED or said == DISABLED:
        return RegistryAuthError
    return _BY_STATUS.get(status) or (RegistryUnavailable if status >= 500 else RegistryError)


def _cure_of(kind: type[FedregError], code: str, said: str) -> str | None:
    if code == GATED:
        return "ask for access on the repository's page, with the user of this registry's token"
    if said == DISABLED:
        return "the Hub has disabled this repository; ask its support"
    return _AUTH_CURE if kind is RegistryAuthError else None


def from_failure(error: Exception, registry: str, operation: str) -> FedregError:
    """The domain's error for what the SDK raised."""
    if isinstance(error, HfHubHTTPError):
        answer = error.response
        return from_answer(answer.status_code, answer.headers, answer.text, registry, operation)
    kind, outcome, message, cure = _from_transport(error)
    return kind(
        f"{operation}: {message}",
        registry=registry,
        operation=operation,
        outcome=outcome,
        cure=cure,
        upstream_code=type(error).__name__,
    )


def _from_transport(error: Exception) -> tuple[type[FedregError], Outcome, str, str | None]:
    name = type(error).__name__
    if isinstance(error, OfflineModeIsEnabled):
        return ConfigError, Outcome.NOT_APPLIED, "the SDK is in offline mode", "unset HF_HUB_OFFLINE"
    if isinstance(error, (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)):
        return RegistryUnavailable, Outcome.NOT_APPLIED, f"can't connect ({name})", "check endpoint and the network"
    if isinstance(error, (httpx2.InvalidURL, httpx2.UnsupportedProtocol)):
        return ConfigError, Outcome.NOT_APPLIED, "endpoint is no address", "give https://host[:port]"
    if isinstance(error, httpx2.TimeoutException):
        return RegistryTimeout, Outcome.UNKNOWN, "no answer in time", None
    if isinstance(error, httpx2.TransportError):
        return RegistryUnavailable, Outcome.UNKNOWN, f"the connection broke ({name})", None
    if isinstance(error, RuntimeError):  # somebody closed the SDK's session, which a whole process shares
        return RegistryUnavailable, Outcome.UNKNOWN, "the SDK's session was closed meanwhile", None
    return RegistryError, Outcome.UNKNOWN, f"the SDK failed ({name})", None


def _retry_after(status: int, headers: Mapping[str, str]) -> float | None:
    """Seconds to wait: what the rate limit says where it is used up, else Retry-After."""
    limit = parse_ratelimit_headers(headers)
    if status == 429 and limit is not None and limit.remaining == 0:
        return float(limit.reset_in_seconds)
    given = headers.get("retry-after", "").strip()
    return float(given) if given.isdigit() else None


def _clean(text: str) -> str:
    """The Hub's words in one line, without tokens and without a web page's marks."""
    plain = " ".join(re.sub(r"<[^>]*>", " ", text).split())
    return _TOKEN.sub("hf_***", plain)[:300]
